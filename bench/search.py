"""Why: a search is paid by the trial; what counts is how many are done in an hour, start and bookkeeping included.

In: the same space, rows, split, epochs and early stopping for all. Out: trials an hour on two workers of one thread each.

    python bench/search.py [--trials 60] [--peer-trials 20] [--patience 10] [--only random asha tpe optuna ray]

Values are drawn at random, so that all try the same kind of networks (tpe soon prefers large ones, asha ends most
early); Optuna with scikit-learn's MLPClassifier in two threads, its study in memory; Ray
Tune with a PyTorch network trained by index into tensors, two trials at a time. Peers that are not
installed are skipped. The retraining of the best is left out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", "ab" * 32

# The libraries read the number of threads when they are imported.
import numpy as np  # noqa: E402

from chainrule.pipeline import Settings  # noqa: E402
from chainrule.search import SearchBudget, search  # noqa: E402
from chainrule.search.spec import SearchSpec, plan_search  # noqa: E402

SPACE: Mapping[str, Any] = {
    "learning_rate_init": {"low": 1e-4, "high": 1e-1, "log": True},
    "width": {"low": 16, "high": 256, "log": True},
    "depth": {"low": 1, "high": 3},
    "batch_size": {"choices": [16, 32, 64, 128]},
    "activation": {"choices": ["relu", "tanh"]},
    "alpha": {"low": 1e-6, "high": 1e-1, "log": True},
}
EPOCHS, WORKERS = 100, 2


@dataclass(frozen=True)
class Rate:
    """What a search took, and the best validation accuracy it found."""

    trials: int
    seconds: float
    best: float
    epochs: int = 0

    def __str__(self) -> str:
        hourly = 3600 * self.trials / self.seconds
        took = f"{self.trials} trials in {self.seconds:.1f} s"
        epochs = f" of {self.epochs / self.trials:.0f} epochs in the mean" if self.epochs else ""
        return f"{took}: {hourly:,.0f} an hour{epochs}, best validation accuracy {self.best:.4f}"


def asked() -> SearchSpec:
    """Digits, split as all of them get them."""
    settings = Settings(max_iter=EPOCHS, n_iter_no_change=10)
    return plan_search("digits", SPACE, settings, SearchBudget("tpe", 1))


def arrays() -> tuple[Any, ...]:
    """Scaled rows to learn from and to choose by."""
    parts = asked().parts
    assert parts.validation is not None
    mean, scale = parts.train.X.mean(), parts.train.X.std()
    train, held_out = ((part.X - mean) / scale for part in (parts.train, parts.validation))
    return train.astype(np.float32), parts.train.y, held_out.astype(np.float32), parts.validation.y


def ours(method: str, trials: int, patience: int) -> Rate:
    """This package."""
    began = time.perf_counter()
    seen: list[float] = []

    def watch(board: Any) -> None:
        if not seen and len(board.trials) == trials and all(t.state != "running" for t in board.trials):
            seen.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder:
        budget, settings = SearchBudget(method, trials, seeds=1), Settings(max_iter=EPOCHS, n_iter_no_change=patience)
        found = search("digits", SPACE, out=folder, budget=budget, settings=settings, workers=WORKERS, watch=watch)
    assert found.best is not None
    epochs = sum(trial.epochs for trial in found.trials)
    return Rate(trials, seen[0] if seen else found.seconds, found.best.score, epochs)


def optuna_scikit(trials: int, patience: int) -> Rate:
    """Optuna and scikit-learn."""
    import optuna
    from sklearn.neural_network import MLPClassifier

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X, y, Xv, yv = arrays()
    epochs: list[int] = []

    def objective(trial: Any) -> float:
        width = trial.suggest_int("width", 16, 256, log=True)
        model = MLPClassifier(
            (width,) * trial.suggest_int("depth", 1, 3),
            activation=trial.suggest_categorical("activation", ["relu", "tanh"]),
            learning_rate_init=trial.suggest_float("lr", 1e-4, 1e-1, log=True),
            batch_size=trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
            alpha=trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
            max_iter=EPOCHS,
            early_stopping=patience < EPOCHS,
            validation_fraction=0.2,
            n_iter_no_change=patience,
            random_state=0,
        )
        model.fit(X, y)
        epochs.append(model.n_iter_)
        return float(model.score(Xv, yv))

    began = time.perf_counter()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=trials, n_jobs=WORKERS)
    return Rate(trials, time.perf_counter() - began, study.best_value, sum(epochs))


def trained(config: Mapping[str, Any], rows: tuple[Any, ...], patience: int) -> float:
    """A PyTorch network, as a careful user writes it; the best epoch's accuracy."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    X, y, Xv, yv = (torch.as_tensor(array) for array in rows)
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[config["activation"]]
    sizes = [X.shape[1], *[int(config["width"])] * int(config["depth"])]
    layers = [m for a, b in pairwise(sizes) for m in (torch.nn.Linear(a, b), activation())]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=config["lr"], weight_decay=config["alpha"])
    loss, best, accuracy, waited = torch.nn.CrossEntropyLoss(), float("inf"), 0.0, 0
    for _ in range(EPOCHS):
        order = torch.randperm(len(X))
        for i in range(0, len(X), config["batch_size"]):
            rows_now = order[i : i + config["batch_size"]]
            optimizer.zero_grad()
            loss(net(X[rows_now]), y[rows_now]).backward()
            optimizer.step()
        with torch.no_grad():
            Z = net(Xv)
            now = float(loss(Z, yv))
        waited = 0 if now < best - 1e-4 else waited + 1
        if now < best:
            best, accuracy = now, float((Z.argmax(1) == yv).float().mean())
        if waited >= patience:
            break
    return accuracy


def ray_torch(trials: int, patience: int) -> Rate:
    """Ray Tune and PyTorch."""
    import ray
    import torch
    from ray import tune

    assert torch.__version__
    rows = arrays()
    began = time.perf_counter()
    ray.init(num_cpus=WORKERS, include_dashboard=False, logging_level="error", log_to_driver=False)
    started = time.perf_counter() - began
    space = {
        "lr": tune.loguniform(1e-4, 1e-1),
        "width": tune.lograndint(16, 257),
        "depth": tune.randint(1, 4),
        "batch_size": tune.choice([16, 32, 64, 128]),
        "activation": tune.choice(["relu", "tanh"]),
        "alpha": tune.loguniform(1e-6, 1e-1),
    }

    def trainable(config: Any, rows: Any) -> dict[str, float]:
        return {"accuracy": trained(config, rows, patience)}

    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, rows=rows), {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(metric="accuracy", mode="max", num_samples=trials),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(), verbose=0),
    )
    found = tuner.fit().get_best_result().metrics["accuracy"]
    seconds = time.perf_counter() - began
    ray.shutdown()
    print(f"  (of which {started:.1f} s to start Ray)")
    return Rate(trials, seconds, found)


WAYS: Mapping[str, tuple[str, Callable[[int, int], Rate]]] = {
    "random": ("chainrule search --method random", partial(ours, "random")),
    "asha": ("chainrule search --method asha", partial(ours, "asha")),
    "tpe": ("chainrule search --method tpe", partial(ours, "tpe")),
    "optuna": ("Optuna + scikit-learn", optuna_scikit),
    "ray": ("Ray Tune + PyTorch", ray_torch),
}


def main() -> None:
    """Time them in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--peer-trials", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--patience", type=int, default=10, help="1000 for the same number of epochs in all trials")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in arguments.only:
        called, way = WAYS[name]
        try:
            trials = arguments.trials if called.startswith("chainrule") else arguments.peer_trials
            print(f"{called}: {way(trials, arguments.patience)}", flush=True)
        except ImportError as error:
            print(f"{called}: skipped ({error})")


if __name__ == "__main__":
    main()
