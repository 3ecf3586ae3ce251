"""Why: a user waits for an accuracy, not for a step.

In: MNIST (from the folder in CHAINRULE_DATA, the cache, or a download), seeds. Out: seconds and epochs until 98 % of the
test rows are right, this package and PyTorch taking turns; and the seconds of the whole command line.

    python bench/time_to_accuracy.py [--seeds 0 1 2] [--engine auto] [--accuracy 0.98]

784-256-128-10 with batch norm, dropout 0.2 and Adam at 0.001, 128 rows to a step, pixels on one shared scale. Seconds of
training and of measuring on the test rows are told apart; loading, scaling and imports are in neither.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.bench.machine import facts
from chainrule.bench.peers import Skipped, need
from chainrule.bench.peers.pytorch import network
from chainrule.bench.workloads import Workload
from chainrule.data import Standardizer, load
from chainrule.engines import Rows, choose
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.step import Recipe
from chainrule.train.loop import iterate
from chainrule.train.problem import TrainConfig

WORK = Workload("mnist", "training", (784, 256, 128, 10), 128, 60_000, batch_norm=True, dropout=0.2)
RATE, EPOCHS = 1e-3, 20


@dataclass(frozen=True)
class Reached:
    """What it took: epochs, seconds in training, seconds in measuring, the accuracy that ended it."""

    epochs: int
    training: float
    measuring: float
    accuracy: float

    def __str__(self) -> str:
        return (
            f"{self.epochs} epochs, {self.training:.2f} s of training and {self.measuring:.2f} s of measuring, "
            f"test accuracy {self.accuracy:.4f}"
        )


@dataclass(frozen=True)
class Digits:
    """Scaled rows and classes."""

    X: Any
    y: Any
    test: Any
    wanted: Any


def main() -> int:
    """One seed after another, the two taking turns; then the command line with as many epochs as ours needed."""
    arguments = parse()
    print(", ".join(f"{name} {value}" for name, value in facts().items()))
    digits = read()
    contenders = {f"chainrule ({arguments.engine})": lambda seed: ours(digits, seed, arguments.engine)}
    for variant in ("eager", "compiled"):
        contenders[f"PyTorch {variant}"] = lambda seed, variant=variant: pytorch(digits, seed, variant)
    found: dict[str, list[Reached]] = {}
    for seed in arguments.seeds:
        for name, epochs in contenders.items():
            try:
                reached = until(epochs(seed), arguments.accuracy)
            except Skipped as reason:
                print(f"{name}: skipped, {reason}")
                continue
            found.setdefault(name, []).append(reached)
            print(f"seed {seed}, {name}: {reached}", flush=True)
    for name, all_of_them in found.items():
        print(f"median, {name}: {statistics.median(r.training + r.measuring for r in all_of_them):.2f} s")
    needed = max(reached.epochs for reached in next(iter(found.values())))
    print(f"chainrule train mnist, {needed} epochs, from start to end: {command_line(needed, arguments.engine):.2f} s")
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Seconds to an accuracy on MNIST, beside PyTorch.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--accuracy", type=float, default=0.98)
    return parser.parse_args()


def read() -> Digits:
    """MNIST on the scale that both train on."""
    data = load("mnist")
    scaling = Standardizer.fit(data.X, shared=True)
    X, test = scaling.apply(data.X, "float32"), scaling.apply(data.test.X, "float32")
    return Digits(X, data.y.astype(np.int64), test, data.test.y.astype(np.int64))


def until(epochs: Iterator[Callable[[], float]], goal: float) -> Reached:
    """Trains by taking the next epoch and measures by calling what it gives, to the goal or to the last epoch."""
    training = measuring = accuracy = 0.0
    done = 0
    next(epochs)  # sets up, compiles, and trains nothing
    while accuracy < goal and done < EPOCHS:
        began = time.perf_counter()
        measure = next(epochs)
        trained = time.perf_counter()
        accuracy, done = measure(), done + 1
        training, measuring = training + trained - began, measuring + time.perf_counter() - trained
    return Reached(done, training, measuring, accuracy)


def ours(digits: Digits, seed: int, engine: str) -> Iterator[Callable[[], float]]:
    """This package's loop."""
    recipe = Recipe(WORK.net, SoftmaxCrossEntropy(), batch_size=WORK.batch, seed=seed)
    rows = Rows.of(recipe, digits.X, digits.y)
    session = choose(engine, recipe)[0].compile(recipe, rows)
    yield lambda: 0.0
    for _ in iterate(session, recipe, rows, TrainConfig(EPOCHS, RATE)):
        yield lambda: float((session.logits(digits.test).argmax(axis=1) == digits.wanted).mean())


def pytorch(digits: Digits, seed: int, variant: str) -> Iterator[Callable[[], float]]:
    """The loop that PyTorch's users write, rows in memory as tensors; what it compiles is compiled beforehand."""
    torch = need("torch")
    torch.manual_seed(seed)
    model = network(torch, WORK)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    X, y, test, wanted = map(torch.from_numpy, (digits.X, digits.y, digits.test, digits.wanted))

    def loss_of(rows: Any, classes: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(rows), classes)

    def measure() -> float:
        model.eval()
        with torch.inference_mode():
            return float((model(test).argmax(1) == wanted).float().mean())

    forward = torch.compile(loss_of, dynamic=True) if variant == "compiled" else loss_of
    if variant == "compiled":
        for size in (WORK.batch, len(X) % WORK.batch):
            forward(X[:size], y[:size]).backward()
    yield measure
    while True:
        model.train()
        for take in torch.randperm(len(X)).split(WORK.batch):
            optimizer.zero_grad()
            forward(X[take], y[take]).backward()
            optimizer.step()
        yield measure


def command_line(epochs: int, engine: str) -> float:
    """Seconds of the whole program: start, imports, reading, training, figures on all parts, files."""
    network = ["--hidden", "256,128", "--batch-norm", "--dropout", "0.2", "--batch-size", "128"]
    config = ["--epochs", str(epochs), "--patience", "0", "--validation-fraction", "0", "--engine", engine, "--json"]
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-c", "from chainrule.cli import main; main()", "train", "mnist"]
        began = time.perf_counter()
        subprocess.run([*program, *network, *config, "--out", f"{folder}/run"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
