"""Why: a bench that computes wrongly is worse than none. In: fake peers with known speeds. Out: the arithmetic, by hand."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from chainrule.bench import embeddings, figure, instructions, machine, measure, peers, tables, workers, workloads
from chainrule.bench import profile as profiles
from chainrule.bench.measure import MeasureSettings, Result, Spread, Timing
from chainrule.bench.peers import PEERS, Skipped
from chainrule.bench.workloads import WORKLOADS, Workload
from chainrule.cli import benchmarks, run
from chainrule.engines import Rows, choose
from chainrule.engines.reference import logits
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import Activation
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.report.explain import explain
from chainrule.report.matplotlib import png

SCRIPTS = Path(__file__).parents[2] / "bench"
TINY = Workload("tiny", "training", (5, 4, 3), 4, 24, goals={"pytorch": 2.0, "jax": 9.0})
PEAK = machine.Peak({"one": 1e9, "other": 4e9}, memory=1e9, cache=1e10)


class Fake:
    """A peer that takes so many seconds per unit and thread, plus some per call."""

    def __init__(self, unit, call=0.0, threads=()):
        self.unit, self.call, self.threads, self.chosen, self.asked = unit, call, threads, 1, []

    def limit(self, n):
        self.chosen = n

    def run(self, units):
        self.asked.append(units)
        return self.call + units * (self.unit[self.chosen] if self.threads else self.unit)


def result(**seconds):
    timings = [Timing(name.replace("_", "-"), tuple(taken)) for name, taken in seconds.items()]
    return Result(TINY, "native", (*timings, Timing("scikit-learn", skipped="not today")))


MEASURED = result(
    native=(2e-6, 4e-6, 2e-6), torch=(6e-6, 6e-6, 8e-6), jax_step=(20e-6, 20e-6, 20e-6), jax_scan=(10e-6, 10e-6, 12e-6)
)
REPORT = tables.BenchReport({"processor": "one"}, PEAK, MeasureSettings(3, 0.1), (MEASURED,))


def test_ten_workloads_of_training_are_the_tables():
    training = [w for w in WORKLOADS.values() if w.kind == "training"]
    found = {(w.widths, w.batch, w.batch_norm) for w in training}
    assert found == {
        ((64, 32, 16, 2), 288, False),
        ((64, 32, 16, 2), 288, True),
        ((64, 128, 10), 32, False),
        ((64, 128, 10), 32, True),
        ((784, 256, 128, 10), 128, False),
        ((784, 256, 128, 10), 128, True),
        ((784, 512, 512, 10), 128, False),
        ((50, 64, 64, 2), 256, False),
        ((1024, 2048, 2048, 1000), 512, False),
        ((4, 32, 16, 4), 10_000, False),
    }
    assert all(w.rows % w.batch == 0 for w in training)  # no ragged batch, which JAX's users would have to leave out
    assert all((w.dropout == 0.2) == w.batch_norm for w in training)
    assert {w.batch for w in WORKLOADS.values() if w.kind == "prediction"} == {1, 10_000}


def test_operations_are_those_of_the_derivation_without_the_first_layers_dA():
    work = replace(TINY, widths=(50, 64, 32, 3))
    derived = explain(work.net, work.recipe.loss, work.batch)
    dense = [stage for stage in derived.stages if stage.name.startswith("Dense")]
    n, (d, k) = work.batch, work.widths[:2]
    biases = sum(2 * n * out for out in work.widths[1:])
    assert work.operations == sum(s.forward_operations + s.backward_operations for s in dense) - biases - 2 * n * d * k
    forward = sum(2 * n * a * b for a, b in pairwise(work.widths))
    assert replace(work, kind="prediction").operations == forward
    assert replace(work, kind="program").operations == 0


def test_data_cannot_be_learned_by_heart():
    X, y = TINY.data()
    again, _ = TINY.data()
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(X[:12], X[12:])
    assert (y[:12] != y[12:]).all()
    assert set(y) <= {0, 1, 2}


def test_names_that_are_none_are_refused_with_a_hint():
    with pytest.raises(InvalidValueError, match="Did you mean '64-128-10'"):
        workloads.chosen(["64-128-1"], quick=False)
    with pytest.raises(InvalidValueError, match="Did you mean 'torch'"):
        peers.chosen(["torhc"], "native")
    with pytest.raises(InvalidValueError, match="--engine must be an engine's name, got 'nativ'"):
        benchmarks.our_key("nativ")
    with pytest.raises(InvalidValueError, match=r"--threads must be in \[1, "):
        benchmarks.processors("bench", 10**6)


def test_a_quick_run_takes_small_workloads_and_ours_always_takes_part():
    quick = {w.name for w in workloads.chosen([], quick=True)}
    assert "64-32-16-2" in quick
    assert not quick & {"1024-2048-2048-1000", "train-digits"}
    assert [p.key for p in peers.chosen(["torch"], "reference")] == ["reference", "torch"]


def test_spread_by_hand():
    assert Spread.of([3.0, 1.0]) == Spread(2.0, 1.0, 3.0)
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 10.0]) == Spread(3.0, 2.0, 4.0)


def test_a_repeat_is_long_enough_and_grows_at_most_tenfold():
    fake = Fake(unit=0.001, call=0.005)
    units, each = measure.calibrate(fake.run, 0.2)
    assert fake.call + units * fake.unit >= 0.2
    assert each == pytest.approx((0.005 + 0.001 * units) / units)
    assert all(b <= 10 * a for a, b in pairwise(fake.asked))
    assert measure.calibrate(Fake(unit=5.0).run, 0.2) == (1, 5.0)


def test_the_faster_number_of_threads_is_kept():
    fake = Fake(unit={1: 0.1, 2: 0.3}, threads=(1, 2))
    units, threads = measure.settle(fake, 0.2)
    assert (threads, fake.chosen) == (1, 1)
    assert units * 0.1 >= 0.2
    assert measure.settle(Fake(unit=0.1), 0.2)[1] is None


def test_peers_take_turns_and_each_leads_once():
    order = []
    runs = {name: lambda name=name: order.append(name) or 1.0 for name in "abc"}
    taken = measure.interleave(runs, 3)
    assert "".join(order) == "abcbcacab"
    assert taken == {"a": [1.0] * 3, "b": [1.0] * 3, "c": [1.0] * 3}


def test_a_peer_that_fails_in_the_middle_is_out():
    def broken():
        raise Skipped("gone")

    taken = measure.interleave({"a": lambda: 1.0, "b": broken}, 2)
    assert taken == {"a": [1.0, 1.0]}


def test_seconds_per_step_from_seconds_per_run():
    fast, slow = Fake(unit=0.06), Fake(unit=0.3)
    timings = {t.peer: t for t in measure.measure(TINY, {"native": fast, "torch": slow}, MeasureSettings(2, 0.1))}
    # 24 rows in batches of 4: six steps to a unit
    assert timings["native"].seconds == pytest.approx((0.01, 0.01))
    assert timings["torch"].seconds == pytest.approx((0.05, 0.05))


def test_ratios_go_repeat_by_repeat():
    assert MEASURED.ratio("torch") == Spread(3.0, 1.5, 4.0)
    assert MEASURED.ratio("native") == Spread(1.0, 1.0, 1.0)
    assert MEASURED.ratio("scikit-learn") is None
    assert MEASURED.best(["jax-step", "jax-scan", "keras"]) == "jax-scan"
    assert MEASURED.rate("native") == TINY.operations / 2e-6
    assert math.isnan(replace(MEASURED, workload=replace(TINY, kind="program")).rate("native"))


def test_goals_are_against_the_best_of_a_family():
    (family, wanted, ratio), (second, high, other) = tables.goals(MEASURED)
    assert (family, wanted, ratio) == ("pytorch", 2.0, Spread(3.0, 1.5, 4.0))
    assert (second, high) == ("jax", 9.0)
    assert (other.low, other.median, other.high) == pytest.approx((2.5, 5.0, 6.0))
    assert tables.best_peer(MEASURED) == "torch"


def test_share_of_the_peak_is_of_the_best_product():
    # 4·4·5·4 + 6·4·4·3 = 608 operations in 2 µs are 304 MFLOP/s, 7.6 % of 4 GFLOP/s
    assert TINY.operations == 608
    assert tables.share(MEASURED, "native", PEAK) == "8 %"


def test_markdown_shows_every_figure():
    text = tables.markdown(REPORT)
    assert "| tiny | **2.00 ±25 %** | - |" not in text  # a peer without figures has no column
    assert "| tiny | **2.00 ±50 %** | 6.00 ±17 % | 20.0 ±0 % | 10.0 ±10 % |" in text
    assert "PyTorch eager, 3.00 | 8 % |" in text
    assert "| tiny | jax | 9 | 5.00 | no |" in text
    assert "| processor | one |" in text


def test_a_pages_block_is_replaced_and_the_rest_stays():
    page = f"# Title\n{tables.BEGIN}\nold\n{tables.END}\ntail\n"
    once = tables.replaced(page, "new")
    assert once == tables.replaced(once, "new")
    assert once.startswith("# Title\n")
    assert once.endswith("\ntail\n")
    assert "old" not in once
    assert tables.replaced("no marks", "block") == "block"


def test_plain_data_survive_json_and_keep_every_repeat():
    found = json.loads(json.dumps(tables.plain(REPORT)))
    [one] = found["results"]
    assert one["seconds"]["native"] == [2e-6, 4e-6, 2e-6]
    assert one["skipped"] == {"scikit-learn": "not today"}
    assert one["ratio"]["torch"] == 3.0
    assert one["goals"]["pytorch"] == {"wanted": 2.0, "reached": 3.0}


def test_the_figure_shows_ratios_on_a_logarithmic_scale():
    drawn = figure.ratios([MEASURED])
    [axes] = drawn.axes
    assert axes.get_xscale() == "log"
    [marks] = zip(*(c.lines[0].get_xdata() for c in axes.containers), strict=True)
    assert marks == pytest.approx((3.0, 10.0, 5.0))
    assert [c.get_label() for c in axes.containers] == ["PyTorch eager", "JAX, jit per step", "JAX, scanned epoch"]
    assert png(drawn).startswith(b"\x89PNG")


def test_a_peer_that_is_not_installed_is_skipped_with_its_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Skipped, match=r"torch cannot be imported.*bench"):
        peers.prepare("torch", TINY, 1)
    with pytest.raises(Skipped, match="neither batch norm nor dropout"):
        peers.prepare("scikit-learn", replace(TINY, batch_norm=True), 1)
    with pytest.raises(Skipped, match="does not take part in prediction"):
        peers.prepare("jax-scan", replace(TINY, kind="prediction"), 1)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_peers_built_by_hand_learn(batch_norm, monkeypatch):
    work = replace(TINY, batch_norm=batch_norm, rows=24)
    from chainrule.bench.peers import lecture

    monkeypatch.setattr(lecture, "LEARNING_RATE", 0.01)
    network = lecture.LectureNetwork(work.widths, batch_norm, keep=1.0)
    X, y = work.data()
    X, Y = X[:12].T.astype(float), np.eye(3)[y[:12]].T
    costs = [network.step(X, Y) for _ in range(200)]
    assert costs[-1] < 0.5 * costs[0]


def test_the_lectures_gradient_is_right_where_it_has_no_batch_norm(monkeypatch):
    from chainrule.bench.peers import lecture

    network = lecture.LectureNetwork((3, 4, 2), False, keep=1.0)
    generator = np.random.default_rng(1)
    X, Y = generator.standard_normal((3, 6)), generator.integers(2, size=(2, 6)).astype(float)
    taken = {}
    monkeypatch.setattr(network, "update", taken.update)
    network.step(X, Y)
    for name, array in network.p.items():
        nudged = array.copy()
        nudged.flat[1], h = array.flat[1] + 1e-6, 1e-6
        network.p[name] = nudged
        up = _cost(network, X, Y)
        nudged.flat[1] -= 2 * h
        down = _cost(network, X, Y)
        network.p[name] = array
        assert taken[name].flat[1] == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-9)


def _cost(network, X, Y):
    out = network.forward(X, True)
    return -np.sum(Y * np.log(out) + (1 - Y) * np.log(1 - out)) / X.shape[1]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_jax_users_network_is_the_same_function_as_ours(batch_norm):
    import jax

    from chainrule.bench.peers import jax_user

    work = replace(TINY, batch_norm=batch_norm)
    parameters, statistics = jax_user.first_parameters(work)
    X = work.data()[0]
    Z, _ = jax_user.apply(jax, work, parameters, statistics, X)
    net = work.net
    letters = {"beta": "b", "W": "W", "b": "b", "gamma": "gamma"}
    dense = [i for i, layer in enumerate(net.layers) if type(layer).__name__ == "Dense"]
    named = {}
    for slot in net.parameters.slots:
        i, letter = slot.name.split(".")
        at = max(k for k, start in enumerate(dense) if start <= int(i))
        named[slot.name] = parameters[at][letters[letter]]
    w = net.parameters.pack(np, named, np.zeros(0, np.float32))
    np.testing.assert_allclose(Z, logits(net, w, net.init(0)[1].astype(np.float32), X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("key", ["reference", "chainrule-jax", "scikit-learn", "jax-step", "jax-scan", "lecture"])
def test_every_peer_at_hand_runs_steps_and_calls(key):
    for work in (TINY, replace(TINY, kind="prediction", batch=2)):
        if work.kind in PEERS[key].kinds:
            runner = peers.prepare(key, work, 2)
            runner.run(2)
            assert set(runner.threads) <= {1, 2}


def test_ours_does_the_steps_that_it_is_timed_for(monkeypatch):
    from chainrule.bench.peers import ours

    session = choose("reference", TINY.recipe)[0].compile(TINY.recipe, Rows.of(TINY.recipe, *TINY.data()))
    monkeypatch.setattr(ours, "_session", lambda workload, engine: session)
    runner = ours.prepare(replace(TINY, epochs=2), "reference", 1)
    runner.run(3)
    assert session.state.step == 3 * 2 * TINY.per_epoch
    runner.run(1)
    assert session.state.step == 4 * 2 * TINY.per_epoch


def test_a_worker_times_in_its_own_process_and_outlives_a_peer_that_cannot():
    with workers.Worker(PEERS["reference"], 1) as worker:
        worker.prepare(TINY)
        assert worker.threads == ()
        assert worker.run(2) > 0.0
        with pytest.raises(Skipped, match="Net: inputs must be"):
            worker.prepare(replace(TINY, widths=(0, 4, 3)))
        worker.prepare(TINY)
        worker._process.kill()
        worker._process.join()
        with pytest.raises(Skipped, match="its process ended"):
            worker.run(1)


@pytest.mark.skipif(workers.os.name != "posix", reason="other Pythons are started on POSIX systems")
def test_a_peer_can_run_in_another_python_that_has_this_package(tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={":".join(filter(None, sys.path))} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with workers.Worker(PEERS["reference"], 1, str(python)) as worker:
        worker.prepare(TINY)
        assert worker.run(2) > 0.0
    with workers.Worker(PEERS["reference"], 1, "/bin/false") as worker, pytest.raises(Skipped, match="/bin/false: is"):
        worker.prepare(TINY)


def test_a_peer_of_an_old_release_says_how_to_run_it():
    with pytest.raises(Skipped, match=r"needs jax 0.4.31, found .*--interpreter jax-0.4.31=PYTHON"):
        peers.prepare("jax-0.4.31", TINY, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("tohrch=python3", "PEER=PYTHON with a peer that takes part, got 'tohrch=python3'. Did you mean 'torch'"),
        ("torch", "PEER=PYTHON with a peer that takes part, got 'torch'"),
        ("torch=", "PEER=PYTHON with a peer that takes part, got 'torch='"),
        ("keras=python3", "PEER=PYTHON with a peer that takes part, got 'keras=python3'"),
        ("torch=/no/such/python", "PEER=PYTHON with a program, got '/no/such/python'"),
    ],
)
def test_an_interpreter_that_cannot_be_is_refused(given, message):
    with pytest.raises(InvalidValueError, match=message.replace(".", r"\.")):
        benchmarks._pythons([given], ["native", "torch"])


def test_all_libraries_keep_to_one_set_of_instructions_and_forget_it_afterwards(monkeypatch):
    monkeypatch.setattr(instructions, "available", lambda: ("v3",))
    monkeypatch.setenv("XLA_FLAGS", "--one")
    monkeypatch.delenv("CHAINRULE_ISA", raising=False)
    with instructions.kept("v3"):
        assert instructions.os.environ["CHAINRULE_ISA"] == "v3"
        assert instructions.os.environ["XLA_FLAGS"] == "--one --xla_cpu_max_isa=AVX2"
    assert "CHAINRULE_ISA" not in instructions.os.environ
    assert instructions.os.environ["XLA_FLAGS"] == "--one"
    with pytest.raises(InvalidValueError, match="--isa must be a level of this processor: v3, got 'v4'"):
        instructions.kept("v4")
    with instructions.kept(None):
        assert "CHAINRULE_ISA" not in instructions.os.environ


@pytest.mark.parametrize("level", instructions.available())
def test_the_native_engine_runs_on_the_instructions_it_is_told(level):
    with instructions.kept(level):
        session = choose("native", TINY.recipe)[0].compile(TINY.recipe, Rows.of(TINY.recipe, *TINY.data()))
        assert session.isa == level


def test_a_workload_says_its_activation():
    net = WORKLOADS["4-32-16-4-tanh"].net
    assert [layer.function for layer in net.layers if isinstance(layer, Activation)] == ["tanh", "tanh"]


def test_fewer_processors_for_a_while():
    before = workers.processors()
    with workers.restricted(1):
        assert workers.processors() == (1 if hasattr(workers.os, "sched_setaffinity") else before)
    assert workers.processors() == before


def test_rates_are_what_was_done_over_the_best_time(monkeypatch):
    ticks = iter([0.0, 0.0, 0.5, 0.6, 0.7, 0.7, 0.9, 9.0, 9.0])
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(ticks))
    # three calls of 0.5, 0.1 (0.6 to 0.7) and 0.2 seconds, then the time is over
    assert machine.fastest(lambda: None, 1.0) == pytest.approx(0.1)
    monkeypatch.setattr(machine, "fastest", lambda action, seconds: 0.5)
    assert machine.copy_rate(2, 1000, 3) == 2 * 1000 * 3 * 2 / 0.5
    monkeypatch.setattr(machine, "_SIZES", (10,))
    assert machine.product_rate(0.0) == 2 * 10**3 / 0.5


def test_the_floor_of_a_part_is_the_longer_of_products_and_bytes():
    near = profiles.StepPart("near", "", 1.0, operations=8 * 10**9, nbytes=1000)
    far = profiles.StepPart("far", "", 1.0, operations=4, nbytes=2 * 10**9)
    assert (near.floor(PEAK), near.bound(PEAK)) == (2.0, "products")
    assert (far.floor(PEAK), far.bound(PEAK)) == (2.0, "memory")
    assert replace(near, operations=0).bound(PEAK) == "cache"


def test_the_reference_engines_step_opened_up_is_the_step():
    recipe = replace(TINY, batch_norm=True, dropout=0.2).recipe
    rows = Rows.of(recipe, *TINY.data())
    state = recipe.start()
    take = recipe.order(np, len(rows), 0)[:4]
    after = profiles._timed_step(recipe, state, (rows.X[take], rows.Y[take], rows.c[take]), profiles.Clock())
    session = choose("reference", recipe)[0].compile(recipe, rows)
    session.run(0, 0, np.full(1, workloads.LEARNING_RATE))
    np.testing.assert_array_equal(after.w, session.state.w)
    np.testing.assert_array_equal(after.buffers, session.state.buffers)


def test_a_profile_names_every_part_once():
    work = replace(TINY, batch_norm=True)
    found = profiles.profile(work.recipe, Rows.of(work.recipe, *work.data()), "reference", 0.02)
    names = [part.text for part in found.parts]
    assert names[:3] == ["gather rows", "0 Dense forward", "1 BatchNorm forward"]
    assert names[-2:] == ["0 Dense backward", "Adam"]
    assert len(names) == len(set(names)) == 2 * len(work.net.layers) + 3
    assert all(part.seconds > 0 for part in found.parts)
    with pytest.raises(InvalidValueError, match="--engine must be auto, native or reference, got 'jax'"):
        profiles.profile(work.recipe, Rows.of(work.recipe, *work.data()), "jax", 0.02)


@pytest.fixture
def cli(monkeypatch):
    """The two commands, with a peak that costs no time and one tiny workload."""
    monkeypatch.setitem(workloads.WORKLOADS, "tiny", TINY)
    monkeypatch.setattr(machine, "peak", lambda count, seconds=0.5: PEAK)
    app = typer.Typer()
    app.command("bench")(benchmarks.bench)
    app.command("profile")(benchmarks.profile)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_bench_from_the_command_line(cli, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"kept\n{tables.BEGIN}{tables.END}")
    options = ["--engine", "reference", "--peers", "reference", "--quick", "--repeats", "2"]
    done = cli("bench", "--workload", "tiny", *options, "--json", "--markdown", str(page))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    [one] = found["results"]
    assert one["ours"] == "reference"
    assert one["median"]["reference"] > 0
    assert "chainrule, reference" in page.read_text()
    assert page.read_text().startswith("kept\n")


def test_profile_from_the_command_line(cli):
    done = cli("profile", "5-4-3", "--batch-size", "4", "--engine", "reference", "--seconds", "0.02")
    assert done.exit_code == 0, done.output
    assert "0 Dense backward" in done.stdout
    assert "roofline minimum" in done.stdout
    wrong = cli("profile", "5x4")
    assert isinstance(wrong.exception, InvalidValueError)


@pytest.mark.slow
def test_the_gpu_script_says_where_there_is_no_gpu():
    import jax

    if jax.default_backend() == "gpu":
        pytest.skip("there is one")
    done = subprocess.run([sys.executable, SCRIPTS / "gpu.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("No GPU")


def test_the_costs_of_embeddings_are_counted_and_timed():
    found = embeddings.costs("auto", MeasureSettings(repeats=2, seconds=1e-3))
    by_name = {cost.name: cost for cost in found}
    assert list(by_name) == list(embeddings.LAYERS)
    dense = lambda d: d * 128 + 128 + 128 * 128 + 128 + 128 + 1  # noqa: E731
    for name, layer in embeddings.LAYERS.items():
        cost = by_name[name]
        derived = explain(embeddings.network(layer), SoftmaxCrossEntropy(), 4).stages[0]
        assert (cost.outputs, cost.parameters) == (derived.outputs, derived.parameters)
        assert cost.network == cost.parameters + dense(cost.outputs)
        assert len(cost.seconds) == 2
        assert min(cost.seconds) > 0
    assert by_name["none"].parameters == 0
    # 16 numbers of 12 units: a and c, and P for 48 bins
    assert by_name["PiecewiseLinearEmbedding"].parameters == 16 * 12 * (2 + 48)
    assert by_name["CategoryEmbedding"].parameters == 16 * 32 * 8
    assert by_name["Parallel"].parameters == 8 * 12 * (2 + 48) + 4 * 32 * 8
    lines = embeddings.markdown(found).splitlines()
    assert len(lines) == 2 + len(found)
    assert lines[2].endswith("| 1.00 |")


def test_the_command_prints_the_costs_of_embeddings(capsys):
    assert run(["bench", "--layers", "--quick", "--repeats", "1", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["layers"]] == list(embeddings.LAYERS)
    for option in (["--workload", "import"], ["--peers", "torch"], ["--markdown", "a.md"], ["--figure", "a.png"]):
        assert run(["bench", "--layers", *option]) == 2
        assert f"bench: {option[0]} must be left out beside --layers." in capsys.readouterr().err
