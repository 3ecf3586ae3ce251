"""Why: a peer that computes something else is no peer. In: the C++ program. Out: what the reference engine computes."""

from dataclasses import replace

import numpy as np
import pytest

from chainrule.bench import peers
from chainrule.bench.peers import PEERS, Skipped, onednn
from chainrule.bench.workloads import Workload
from chainrule.engines import Rows, choose

WORK = Workload("small", "training", (20, 33, 16, 5), 64, 64, activation="tanh")


def at_hand():
    try:
        onednn.Training(WORK)
    except Skipped:
        return False
    return True


needs_onednn = pytest.mark.skipif(not at_hand(), reason="oneDNN with its headers, or a C++ compiler, is not installed")


@needs_onednn
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"activation": "relu"},
        {"widths": (4, 32, 16, 4)},
        {"widths": (7, 3)},
        {"widths": (100, 64, 64, 64, 2), "batch": 48, "rows": 48},
    ],
)
def test_it_trains_as_the_reference_engine_does(change):
    work = replace(WORK, **change)
    session = choose("reference", work.recipe)[0].compile(work.recipe, Rows.of(work.recipe, *work.data()))
    program = onednn.Training(work)
    program.limit(1)
    program.write(session.state.w)
    np.testing.assert_array_equal(program.read(), session.state.w)
    for epoch in range(3):
        sums = session.run(epoch, 0, np.full(1, 1e-3))
        assert program.epochs(1, 1e-3) == pytest.approx(sums.loss / sums.weight, rel=1e-5)
    # Adam moves a weight by 1e-3 a step; where a gradient is nearly 0, rounding may turn its sign
    assert np.quantile(np.abs(program.read() - session.state.w), 0.99) < 1e-5


@needs_onednn
def test_a_number_of_threads_keeps_the_weights():
    program = onednn.Training(WORK)
    program.epochs(2, 1e-3)
    before = program.read()
    program.limit(2)
    np.testing.assert_array_equal(program.read(), before)


@needs_onednn
def test_it_is_timed_like_every_peer():
    runner = peers.prepare("onednn", replace(WORK, batch=16), 2)
    runner.run(2)
    assert runner.threads == (1, 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"batch_norm": True}, "batch norm"),
        ({"dropout": 0.2}, "dropout"),
        ({"kind": "prediction"}, "does not take part in prediction"),
        ({"kind": "program"}, "does not take part in program"),
        ({"batch_norm": True, "dropout": 0.2}, "batch norm nor dropout"),
    ],
)
def test_what_it_does_not_run_is_said(change, reason):
    with pytest.raises(Skipped, match=reason):
        peers.prepare("onednn", replace(WORK, **change), 1)


def test_a_missing_library_or_compiler_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(onednn, "_places", lambda: [tmp_path])
    with pytest.raises(Skipped, match="pip install onednn-cpu-gomp onednn-devel-cpu-gomp"):
        onednn.Training(WORK)
    header = tmp_path / "include" / "oneapi" / "dnnl" / "dnnl.hpp"
    header.parent.mkdir(parents=True)
    header.write_text("#error not this one")
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    with pytest.raises(Skipped, match="needs a C\\+\\+ compiler"):
        onednn.Training(WORK)


def test_a_program_that_does_not_compile_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(onednn, "_places", lambda: [tmp_path])
    header = tmp_path / "include" / "oneapi" / "dnnl" / "dnnl.hpp"
    header.parent.mkdir(parents=True)
    header.write_text("#error not this one")
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\necho not this one >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(Skipped, match="the C\\+\\+ compiler failed: not this one"):
        onednn.Training(WORK)


def test_the_title_names_it():
    assert PEERS["onednn"].title == "oneDNN from C++"
    assert onednn._SOURCE.is_file()
