"""Why: a cluster that starts the ranks of a training must give the training that one machine gives, whatever is lost.

In: a Ray cluster of two nodes on the loopback, one of which is killed and replaced. Out: the same bits, and a clear line for
every mistake.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from cluster_cases import added

import chainrule
from chainrule import cli
from chainrule.cli import cluster_ranks, distributed
from chainrule.cluster import versions
from chainrule.errors import InvalidValueError

needs_ray = [
    pytest.mark.skipif(
        find_spec("ray") is None or find_spec("jax") is None, reason="chainrule[cluster] or jax is absent"
    ),
    pytest.mark.filterwarnings("ignore"),
]
FIXED = ["digits", "--patience", "0", "--hidden", "32", "--doctor", "off", "--seed", "3", "--epochs", "60"]


def start(*arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(chainrule.__file__).parents[1]), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "chainrule", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process, seconds=600):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cluster", "h:1"], "train: --workers must be given with --cluster for one network, got none"),
        (
            ["--cluster", "h:1", "--workers", "2", "--processes", "2"],
            "train: --processes must be left out with --cluster",
        ),
        (["--cluster", "h:1", "--workers", "2", "--rank", "0"], "train: --rank must be left out with --cluster"),
        (
            ["--cluster", "h:1", "--workers", "2", "--coordinator", "h:2"],
            "--coordinator must be left out with --cluster",
        ),
        (
            ["--cluster", "h:1", "--workers", "2", "--distributed"],
            "train: --distributed must be left out with --cluster",
        ),
        (["--cluster", "h:1", "--workers", "0"], "train: --workers must be"),
        (["--cluster", "h:1", "--workers", "2", "--engine", "native"], "train: --engine must be jax"),
        (["--workers", "2"], "train: --workers must be left out without --cluster"),
        (["--insecure-cluster"], "train: --insecure-cluster must be left out without --cluster"),
        (["--networks", "3"], "train: --networks must be left out here"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_starts(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", "moons", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_networks_and_seconds_exclude_each_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,y\n" + "1,2\n" * 9)
    assert cli.run(["train", "t.csv", "--target", "y", "--networks", "2", "--seconds", "1"]) == 2
    assert "train: --seconds must be left out beside --networks, got 1.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wanted", "folder", "said"),
    [
        ("chainrule 0", "/", r"cluster must be of chainrule 0 on every machine, got 'chainrule .*'\. That is 127"),
        (
            versions(),
            "/nowhere at all",
            r"folder '/nowhere at all' must be on every machine of the cluster, got none on",
        ),
    ],
)
def test_a_machine_that_lacks_something_is_named(monkeypatch, wanted, folder, said):
    monkeypatch.setattr(cluster_ranks, "this_address", lambda: "127.0.0.1")
    place, fault = cluster_ranks.Rank().place(wanted, folder)
    assert place == ""
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(fault)


def test_a_machine_without_the_package_is_named():
    died = RuntimeError("The actor died.\nModuleNotFoundError: No module named 'chainrule'\n  at worker")
    said = "train: every machine of the cluster must have chainrule .*, got: No module named 'chainrule'"
    assert re.match(said, cluster_ranks._fault(died))
    assert cluster_ranks._fault(RuntimeError("The node died.")) == ""
    assert cluster_ranks._fault(("10.0.0.1:5", "")) == ""


def test_a_machine_without_a_free_port_is_named(monkeypatch, tmp_path):
    class Full(socket.socket):
        def bind(self, address):
            raise OSError(98, "Address already in use")

    monkeypatch.setattr(distributed.socket, "socket", Full)
    with pytest.raises(
        InvalidValueError, match=r"train: 127\.0\.0\.1 must have a free port, got none \(Address already"
    ):
        distributed.free_port()
    monkeypatch.setattr(cluster_ranks, "this_address", lambda: "127.0.0.2")
    assert "train: 127.0.0.2 must have a free port" in cluster_ranks.Rank().place(versions(), str(tmp_path))[1]


def test_a_rank_ends_with_what_started_it(tmp_path):
    rank = cluster_ranks.Rank()
    rank.start(str(tmp_path), ["train", "moons", "--epochs", "1000000", "--patience", "0", "--doctor", "off"])
    assert rank.news().code is None
    rank._process.stdin.close()
    assert rank._process.wait(60) == 75
    rank.end()


def test_what_a_rank_prints_comes_back_with_its_exit_code(tmp_path):
    rank = cluster_ranks.Rank()
    rank.start(str(tmp_path), ["train", "moons", "--lr", "-1"])
    out, err, code = b"", b"", None
    while code is None:
        news = rank.news()
        out, err, code = out + news.out, err + news.err, news.code
        time.sleep(0.05)
    rank.end()
    assert (code, out) == (2, b"")
    assert b"error: train: --lr must be" in err


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    """One network and a pack, trained by a cluster."""

    pytestmark = needs_ray

    def test_more_ranks_than_cores_are_refused(self, cluster, tmp_path):
        code, _, err = ended(start("train", *FIXED, "--cluster", cluster.address, "--workers", "3", folder=tmp_path))
        assert code == 2, err
        assert "error: train: --workers must be at most the cluster's 1 cores, got 3. Each rank needs one." in err
        assert list(tmp_path.iterdir()) == []

    def test_a_node_that_is_killed_changes_no_bit_of_the_weights(self, cluster, tmp_path):
        whole = ended(start("train", *FIXED, "--processes", "2", "--out", "whole", folder=tmp_path))
        assert whole[0] == 0, whole[2]
        node = added(cluster)
        more = ["--cluster", cluster.address, "--workers", "2", "--checkpoint", "kept", "--out", "killed"]
        process = start("train", *FIXED, *more, folder=tmp_path)
        line = process.stderr.readline()
        while line and "joined" not in line:
            line = process.stderr.readline()
        cluster.remove_node(node, allow_graceful=False)
        added(cluster)
        code, out, err = ended(process)
        assert code == 0, err
        assert err.count("a process was lost") == 1, err
        assert "killed: model.safetensors" in out
        assert (tmp_path / "killed/model.safetensors").read_bytes() == (
            tmp_path / "whole/model.safetensors"
        ).read_bytes()

    def test_a_pack_of_the_command_line_is_that_of_one_machine(self, cluster, tmp_path):
        rows = [f"{i % 7},{(i * i) % 5},{'yes' if i % 3 else 'no'}" for i in range(120)]
        (tmp_path / "t.csv").write_text("p,q,y\n" + "\n".join(rows) + "\n")
        (tmp_path / "quick.json").write_text(json.dumps({"folds": 2, "epochs": [5, 5], "width": [8, 8]}))
        options = ["t.csv", "--target", "y", "--preset", "quick.json", "--networks", "4", "--json"]
        alone = ended(start("train", *options, "--out", "alone", folder=tmp_path))
        spread = ended(start("train", *options, "--cluster", cluster.address, "--out", "spread", folder=tmp_path))
        assert (alone[0], spread[0]) == (0, 0), spread[2]
        assert json.loads(spread[1])["networks"] == 4
        assert (tmp_path / "spread/model.safetensors").read_bytes() == (
            tmp_path / "alone/model.safetensors"
        ).read_bytes()
