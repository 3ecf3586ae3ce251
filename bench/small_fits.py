"""Why: a small network is paid by what surrounds its steps: what does a fit cost beside scikit-learn's, and 64 of them?

In: nothing. Out: a Markdown table: seconds of a fit, the share of it inside the engine, many networks beside as many fits.

    python bench/small_fits.py [--repeats 15] [--networks 64] [--only fit many folds]

A network of 8 inputs, 16 hidden units and one output (relu, Adam), 200 rows, 50 epochs, in batches of 32 and of all rows.
What is compared takes turns; every repeat is timed by the clock and by the processor time of the process.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

import chainrule.sklearn
from chainrule import NetRegressor
from chainrule.bench.measure import Spread, interleave
from chainrule.engines.native import extension

ROWS, COLUMNS, HIDDEN, EPOCHS, FOLDS = 200, 8, (16,), 50, 8
BATCHES = (32, 200)


@dataclass(frozen=True)
class Cost:
    """Seconds of a call by the clock and of the processor, and those inside the engine's epochs."""

    wall: float
    cpu: float
    inside: float


class Inside:
    """The time that calls of the extension's epochs take, while it is entered."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Inside:
        module = extension()
        self._run = run = module.run_blocks

        def timed(**arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return run(**arguments)
            finally:
                self.seconds += time.perf_counter() - began

        module.run_blocks = timed
        return self

    def __exit__(self, *error: object) -> None:
        extension().run_blocks = self._run


def cost(call: Callable[[], Any]) -> Cost:
    """Run a call once."""
    with Inside() as inside:
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        return Cost(time.perf_counter() - wall, time.process_time() - cpu, inside.seconds)


def rows() -> tuple[Any, Any]:
    """Return rows with a target that depends on them, and noise."""
    random = np.random.default_rng(0)
    X = random.normal(size=(ROWS, COLUMNS))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * random.normal(size=ROWS)


def ours(batch: int, **more: Any) -> Any:
    """Return this package's network."""
    return NetRegressor(HIDDEN, max_iter=EPOCHS, batch_size=batch, early_stopping=False, random_state=0, **more)


def theirs(batch: int, kind: Any = MLPRegressor, **more: Any) -> Any:
    """Return scikit-learn's, or the one that takes its place, with as many epochs."""
    never = {"n_iter_no_change": 10 * EPOCHS, "tol": 0.0}
    return kind(hidden_layer_sizes=HIDDEN, max_iter=EPOCHS, batch_size=batch, random_state=0, **never, **more)


def measured(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Cost]]:
    """Run calls in turns, once to warm up."""
    for call in calls.values():
        call()
    kept: dict[str, list[Cost]] = {name: [] for name in calls}

    def noted(name: str) -> Callable[[], float]:
        def run() -> float:
            kept[name].append(cost(calls[name]))
            return kept[name][-1].wall

        return run

    interleave({name: noted(name) for name in calls}, repeats)
    return kept


def spread(values: list[float], digits: int = 2) -> str:
    """Return the median with quartiles."""
    found = Spread.of(values)
    return f"{found.median:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def show(title: str, costs: Mapping[str, list[Cost]], base: str, over: bool) -> None:
    """Print a line for each call; ratios to the base are taken repeat by repeat."""
    for name, each in costs.items():
        pairs = list(zip(costs[base], each, strict=True))
        ratio = [b.wall / a.wall if over else a.wall / b.wall for a, b in pairs]
        work = [b.cpu / a.cpu if over else a.cpu / b.cpu for a, b in pairs]
        wall, cpu = (1e3 * statistics.median(getattr(c, n) for c in each) for n in ("wall", "cpu"))
        share = 100 * statistics.median(c.inside / c.wall for c in each)
        cells = (title, name, f"{wall:.2f}", f"{cpu:.2f}", f"{share:.0f} %", spread(ratio), spread(work))
        print("| " + " | ".join(cells) + " |", flush=True)


def fits(batch: int, networks: int) -> dict[str, Callable[[], Any]]:
    """Return a fit of each package."""
    X, y = rows()
    models = {
        "chainrule.NetRegressor": ours(batch),
        "chainrule.sklearn.MLPRegressor": theirs(batch, chainrule.sklearn.MLPRegressor),
        "scikit-learn": theirs(batch),
    }
    return {name: lambda model=model: model.fit(X, y) for name, model in models.items()}


def many(batch: int, networks: int) -> dict[str, Callable[[], Any]]:
    """Return networks of one estimator, and as many fits."""
    X, y = rows()

    def apart() -> None:
        for seed in range(networks):
            ours(batch).set_params(random_state=seed).fit(X, y)

    return {f"{networks} fits": apart, f"n_networks={networks}": lambda: ours(batch, n_networks=networks).fit(X, y)}


def folds(batch: int, networks: int) -> dict[str, Callable[[], Any]]:
    """Return a cross-validation of each package; a batch has at most the rows that it trains on."""
    X, y = rows()
    batch = min(batch, ROWS - ROWS // FOLDS)
    models = {"chainrule, cross_val_score": ours(batch), "scikit-learn, cross_val_score": theirs(batch)}
    return {name: lambda model=model: cross_val_score(model, X, y, cv=FOLDS) for name, model in models.items()}


PARTS: Mapping[str, tuple[Callable[[int, int], dict[str, Callable[[], Any]]], bool]] = {
    "fit": (fits, False),
    "many": (many, True),
    "folds": (folds, False),
}
"""What is timed; whether the ratio is the share of the first call, or how many times it takes."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--networks", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| batch | call | ms | CPU ms | inside the epochs | by the clock | by processor time |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    with threadpool_limits(1, user_api="blas"):
        for part in given.only:
            make, share = PARTS[part]
            for batch in BATCHES:
                calls = make(batch, given.networks)
                base = next(iter(calls)) if share else list(calls)[-1]
                show(str(batch), measured(calls, given.repeats), base, share)


if __name__ == "__main__":
    main()
