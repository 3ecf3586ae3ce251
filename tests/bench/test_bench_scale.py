"""Why: the figures about many machines come from a model, and a wrong formula would advise everybody wrongly.

In: links, steps and packs whose times are known by hand; the script in its short form. Out: the same times, tables, figures.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import chainrule

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from bench import kills, scale  # noqa: E402

LINK = scale.Link("one byte a second", 0.5, 1.0, 0.0)
STEP = scale.Step("made", 25, 1.0, 0.01)


def test_sums_of_gradients_take_what_their_messages_take():
    assert scale.ring(LINK, 4, 100) == 6 * (0.5 + 25)
    assert scale.tree(LINK, 4, 100) == 4 * (0.5 + 100)
    assert scale.summed(LINK, 1, 100) == 0
    assert scale.summed(LINK, 1024, 1.0) == scale.tree(LINK, 1024, 1.0) < scale.ring(LINK, 1024, 1.0)
    assert scale.summed(LINK, 4, 100) == scale.ring(LINK, 4, 100)


def test_a_step_lasts_as_long_as_its_slowest_worker():
    assert scale.slowest(64, 0.0) == 1.0
    few, many = (scale.slowest(n, 0.3) for n in (2, 512))
    assert 1.0 < few < many
    assert scale.fixed_step(STEP, LINK, 1) == pytest.approx(1.0 + 0.01 * scale.FIXED_BATCH)
    expected = 1.0 + 0.01 * 256 + scale.summed(LINK, 4, 100)
    assert scale.fixed_step(STEP, LINK, 4) == pytest.approx(expected)


def test_a_network_that_costs_nothing_to_send_scales():
    fast = scale.Link("no time at all", 0.0, 1e30, 0.0)
    free = scale.Step("made", 1, 0.0, 0.01)
    assert scale.efficiencies(free, fast)[-1] == pytest.approx(1.0)
    assert scale.speedups(free, fast) == pytest.approx(scale.WORKERS)


@pytest.mark.parametrize("workers", [1, 3, 1024])
def test_a_pack_without_failures_takes_its_share(workers):
    fast = scale.Link("no time at all", 0.0, 1e30, 0.0)
    member = scale.Member(2.0, 0, 0)
    assert scale.pack_seconds(member, fast, workers, 0.0) == (2.0 * -(-scale.MEMBERS // workers), 0)


def test_failures_cost_the_networks_that_they_hit():
    fast = scale.Link("no time at all", 0.0, 1e30, 0.0)
    member = scale.Member(60.0, 0, 0)
    clean = scale.pack_seconds(member, fast, 16, 0.0)[0]
    end, lost = scale.pack_seconds(member, fast, 16, 6.0)
    assert lost == pytest.approx(scale.MEMBERS * 0.1, rel=0.4)
    assert clean < end < clean + 2 * lost * 120 / 16 + 240


@pytest.mark.slow
def test_the_script_prints_its_tables_and_draws_its_figures(tmp_path):
    command = [sys.executable, str(ROOT / "bench/scale.py"), "--quick", "--figures", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n## ") + done.stdout.startswith("## ") == 4
    assert "| 64-128-10 | 9,610 |" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scale-fixed.svg", "scale-grown.svg"]
    assert (tmp_path / "scale-fixed.svg").read_text().startswith("<svg")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_killed_process_is_back_within_half_a_minute(tmp_path):
    pytest.importorskip("jax")
    assert chainrule.__version__
    found = kills.kill(tmp_path, kills=1, processes=2, epochs=30, longest=1.0)
    assert found.equal == found.runs
    assert max(found.joined) < 30
