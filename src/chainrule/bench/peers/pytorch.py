"""PyTorch, with which most people build networks.

In: a workload; eager, compiled, with CUDA graphs, or with every kernel tuned; a device. Out: a runner of epochs or
predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from chainrule.bench.peers import Runner, Skipped, need, one_or_all
from chainrule.bench.workloads import LEARNING_RATE, Workload

_MODES = {"compiled": "default", "graphs": "reduce-overhead", "autotune": "max-autotune"}


def prepare(workload: Workload, variant: str, threads: int, device: str = "cpu") -> Runner:
    """Set up the rows as tensors on the device, shuffled and gathered there, with fused Adam."""
    torch = need("torch")
    if device == "cuda" and not torch.cuda.is_available():
        raise Skipped("this PyTorch sees no GPU")
    torch.compiler.reset()  # earlier compilations count toward a limit, beyond which it runs eagerly
    make = _training if workload.kind == "training" else _prediction
    run = make(torch, workload, variant, device)
    return Runner(run, one_or_all(threads), torch.set_num_threads) if device == "cpu" else Runner(run)


def network(torch: Any, workload: Workload) -> Any:
    """Build the workload's network from PyTorch's own layers."""
    layers: list[Any] = []
    *hidden, (last, outputs) = pairwise(workload.widths)
    for d, k in hidden:
        layers.append(torch.nn.Linear(d, k, bias=not workload.batch_norm))
        layers += [torch.nn.BatchNorm1d(k)] if workload.batch_norm else []
        layers.append(torch.nn.ReLU() if workload.activation == "relu" else torch.nn.Tanh())
        layers += [torch.nn.Dropout(workload.dropout)] if workload.dropout else []
    return torch.nn.Sequential(*layers, torch.nn.Linear(last, outputs))


def _training(torch: Any, workload: Workload, variant: str, device: str) -> Callable[[int], None]:
    torch.manual_seed(0)
    model = network(torch, workload).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    X, y = (torch.from_numpy(array).to(device) for array in workload.data())

    def loss_of(rows: Any, classes: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(rows), classes)

    forward = torch.compile(loss_of, mode=_MODES[variant]) if variant in _MODES else loss_of

    def epoch() -> None:
        order = torch.randperm(len(X), device=device) if workload.per_epoch > 1 else None
        for start in range(0, len(X), workload.batch):
            take = slice(None) if order is None else order[start : start + workload.batch]
            loss = forward(X[take], y[take])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return _repeated(torch, epoch, workload.epochs, device)


def _prediction(torch: Any, workload: Workload, variant: str, device: str) -> Callable[[int], None]:
    model = network(torch, workload).to(device).eval()
    forward = torch.compile(model, mode=_MODES[variant]) if variant in _MODES else model
    X = torch.from_numpy(workload.data()[0][: workload.batch]).to(device)

    def predict() -> None:
        with torch.inference_mode():
            forward(X)

    return _repeated(torch, predict, 1, device)


def _repeated(torch: Any, action: Callable[[], None], times: int, device: str) -> Callable[[int], None]:
    def run(units: int) -> None:
        for _ in range(units * times):
            action()
        if device == "cuda":
            torch.cuda.synchronize()

    return run
