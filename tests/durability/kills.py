"""Whole commands killed at random moments, each run again until it ends: `python tests/durability/kills.py --kills 200`.

In: commands that train, search and study, each in a child of a warm process. Out: folders with the bits of an undisturbed
run and nothing stray; how many kills there were, and where they fell.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from faulty_disk import dies, disk

TABLE = "a,b,kind\n" + "".join(f"{i * 7 % 40},{i * i % 31},{'xyz'[i * 5 % 3]}\n" for i in range(90))
SHORT = "table.csv --target kind --engine reference --json"
COMMANDS = {
    "train": f"train {SHORT} --epochs 12 --patience 0 --checkpoint kept --out run",
    "train, into an empty folder": f"train {SHORT} --epochs 8 --patience 0 --doctor off --checkpoint kept --out there",
    "search": f"search {SHORT} --trials 3 --method random --workers 1 --epochs 6 --seeds 1 --out found",
    "study": "study random-search --quick --seeds 1 --workers 1 --out claims --json",
    "study, processes": "study input-scaling --quick --seeds 1 --workers 2 --out claims --json",
    "fit": "fit",
}
EXPENSIVE = ("search", "study, processes")
"""Those that start processes, which takes longer than what they do; they are killed less often."""


def place(folder: Path) -> None:
    """Make what a command finds in its working folder."""
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text(TABLE)
    (folder / "there").mkdir()


def warm() -> None:
    """Load what commands load and draw a picture, so that children begin with it; no engine computes here."""
    import sklearn.datasets  # noqa: F401

    from chainrule.report import matplotlib
    from chainrule.report.plots import Curve, LinePlot

    figure = matplotlib._figure(2.0, 2.0)
    matplotlib.draw(figure.subplots(), LinePlot("warm", [Curve("a", [1.0, 2.0], [1.0, 2.0])]))
    matplotlib.png(figure)


def fit() -> int:
    """Train the estimator with checkpoints and save it, as a script of a user does."""
    import numpy as np

    from chainrule import NetClassifier, save_model

    X = np.linspace(-1, 1, 120).reshape(60, 2)
    network = NetClassifier(
        (6,), max_iter=10, random_state=0, engine="reference", scoring="accuracy", early_stopping=True
    )
    save_model(network.fit(X, (X[:, 0] > 0).astype(int), checkpoint="kept/fit"), "fitted.safetensors")
    return 0


def child(folder: Path, command: str, at: int = 0) -> int:
    """Run a command in a forked child in a folder; return its process id.

    At effect `at` on files it dies; with -1 it counts them and writes their number beside the folder.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        from chainrule import cli
        from chainrule.train import checkpoint

        checkpoint.FolderCheckpointer.due = lambda self: True  # type: ignore[method-assign]
        os.fsync = lambda handle: None  # type: ignore[assignment]  # a kill loses nothing that was written
        with open(folder.parent / f"{folder.name}.out", "a") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        with disk(folder, dies, at) if at else contextlib.nullcontext() as counted:
            code = fit() if command == "fit" else cli.run(command.split())
        if at < 0:
            (folder.parent / f"{folder.name}.effects").write_text(str(len(counted.effects)))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started."""
    with contextlib.suppress(OSError):
        own = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(p) for p in own] + [d for p in own for d in descendants(int(p))]
    return []


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def check_nobody_is_left(processes: list[int]) -> None:
    until = time.monotonic() + 20
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(alive, processes)), "processes outlive the one that started them"


def timeless(value: object) -> object:
    """Return plain data without times, which no two runs share."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if "second" not in k and k not in ("run", "model")}
    if isinstance(value, list):
        return [timeless(v) for v in value]
    return value


def contents(path: Path) -> object:
    """Return what of a file must be the same after any kills."""
    if path.suffix == ".safetensors" and not path.name.startswith("snapshot"):
        return path.read_bytes()
    if path.suffix == ".jsonl":
        return sorted(json.dumps(timeless(json.loads(line))) for line in path.read_text().splitlines())
    if path.name == "doctor.json":  # it says what the doctor had no time for, which no two runs share
        return sorted(json.loads(path.read_text()))
    if path.suffix == ".json" and not path.name.startswith("snapshot"):
        return timeless(json.loads(path.read_text()))
    if path.suffix == ".db":
        with contextlib.closing(sqlite3.connect(path)) as database:
            trials = database.execute("SELECT number, settings, state, reason FROM trials ORDER BY number").fetchall()
            rungs = database.execute("SELECT trial, rung, result FROM rungs ORDER BY trial, rung").fetchall()
        return trials, [(trial, rung, timeless(json.loads(result))) for trial, rung, result in rungs]
    return path.stat().st_size > 0 or path.name == "lock"


def found(folder: Path) -> dict[str, object]:
    """Return everything below a folder by name; snapshots are counted, not named."""
    files: dict[str, object] = {}
    numbers: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        name = re.sub(r"snapshot-\d+", "snapshot", str(path.relative_to(folder)))
        numbers[name] += 1
        files[f"{name} {numbers[name]}"] = contents(path) if path.is_file() else "folder"
    return files


def check_same(now: dict[str, object], whole: dict[str, object], told: str) -> None:
    assert sorted(now) == sorted(whole), (sorted(set(now) ^ set(whole)), told)
    for name, value in whole.items():
        assert now[name] == value, (name, told)


class Harness:
    """Folders below a root in which commands are killed."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root, self.draw = root, random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.moments: Counter[str] = Counter()
        self.finished = 0
        self.whole: dict[str, tuple[dict[str, object], float]] = {}

    def undisturbed(self, name: str) -> tuple[dict[str, object], float]:
        """Return what a command leaves when nothing happens to it, and the seconds it takes."""
        if name not in self.whole:
            folder = self.root / f"whole-{list(COMMANDS).index(name)}"
            place(folder)
            began = time.monotonic()
            assert wait(child(folder, COMMANDS[name], -1)) == 0, (self.root / f"{folder.name}.out").read_text()
            self.whole[name] = found(folder), time.monotonic() - began
        return self.whole[name]

    def killed_at_random(self, name: str, kills: int) -> None:
        """Kill a command some times at random moments of its whole length, then let it end, and compare."""
        _, seconds = self.undisturbed(name)
        folder = self.root / f"run-{self.finished}"
        place(folder)
        for _ in range(kills):
            moment = self.draw.random()
            pid = child(folder, COMMANDS[name])
            time.sleep(seconds * moment)
            processes = descendants(pid)
            os.kill(pid, signal.SIGKILL)
            if wait(pid) == -signal.SIGKILL:
                self.kills[name] += 1
                self.moments[f"{int(10 * moment)}0 %"] += 1
            check_nobody_is_left(processes)
        self._end(name, folder)

    def effects(self, name: str) -> int:
        """Return how many effects on files an undisturbed command has."""
        self.undisturbed(name)
        return int((self.root / f"whole-{list(COMMANDS).index(name)}.effects").read_text())

    def killed_at_effect(self, name: str, at: int) -> None:
        """Kill a command at one effect on files, in its middle if that is a write."""
        folder = self.root / f"run-{self.finished}"
        place(folder)
        code = wait(child(folder, COMMANDS[name], at))
        if code == -signal.SIGKILL:
            self.kills[f"{name}, at an effect on files"] += 1
        self._end(name, folder)

    def _end(self, name: str, folder: Path) -> None:
        code = wait(child(folder, COMMANDS[name]))
        told = (self.root / f"{folder.name}.out").read_text()
        assert code == 0, told
        check_same(found(folder), self.undisturbed(name)[0], told)
        self.finished += 1


def main() -> None:
    """Kill commands until there were as many kills as wanted, and print how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="commands whose name begins so")
    parser.add_argument(
        "--effects", type=int, default=0, help="kills at effects on files, spread evenly over each command"
    )
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was found so far is printed then too
    names = [name for name in COMMANDS if name.startswith(asked.only)]
    with tempfile.TemporaryDirectory() as root:
        harness = Harness(Path(root), asked.seed)
        began = time.monotonic()
        try:
            work(harness, names, asked.kills, asked.effects)
        finally:
            print(
                f"{harness.kills.total()} kills, {harness.finished} runs ended with the bits of undisturbed ones,",
                end=" ",
            )
            moments = dict(sorted(harness.moments.items()))
            print(f"{time.monotonic() - began:.0f} s: {dict(harness.kills)}; moments {moments}")


def work(harness: Harness, names: list[str], kills: int, effects: int) -> None:
    """Kill commands at random moments, then each at some of its effects on files."""
    weights = [1 if name in EXPENSIVE else 3 for name in names]
    while harness.kills.total() < kills:
        name = harness.draw.choices(names, weights)[0]
        harness.killed_at_random(name, harness.draw.randint(1, 6))
    for name in names if effects else ():
        count = harness.effects(name)
        last = min(effects // 2, count)  # the folder and the page are written by the last ones
        first = [round(count * i / (effects - last)) for i in range(effects - last)]
        for at in sorted({max(1, at) for at in (*first, *range(count - last + 1, count + 1))}):
            harness.killed_at_effect(name, at)


if __name__ == "__main__":
    warm()
    main()
