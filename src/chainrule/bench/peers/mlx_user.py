"""MLX, whose compiled functions run on processors too.

In: a workload. Out: a runner of epochs or predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from chainrule.bench.peers import Runner, need
from chainrule.bench.workloads import LEARNING_RATE, Workload


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Set up the rows as arrays and a compiled step with Adam; a step is computed when the next one is asked for."""
    mx, nn = need("mlx.core"), need("mlx.nn")
    mx.set_default_device(mx.cpu)
    mx.random.seed(0)
    model = network(nn, workload)
    make = _training if workload.kind == "training" else _prediction
    return Runner(make(mx, nn, model, workload))


def network(nn: Any, workload: Workload) -> Any:
    """Build the workload's network from MLX's own layers."""
    layers: list[Any] = []
    *hidden, (last, outputs) = pairwise(workload.widths)
    for d, k in hidden:
        layers.append(nn.Linear(d, k, bias=not workload.batch_norm))
        layers += [nn.BatchNorm(k)] if workload.batch_norm else []
        layers.append(nn.ReLU() if workload.activation == "relu" else nn.Tanh())
        layers += [nn.Dropout(workload.dropout)] if workload.dropout else []
    return nn.Sequential(*layers, nn.Linear(last, outputs))


def _training(mx: Any, nn: Any, model: Any, workload: Workload) -> Callable[[int], None]:
    optimizer = need("mlx.optimizers").Adam(learning_rate=LEARNING_RATE)
    X, y = (mx.array(array) for array in workload.data())

    def loss_of(rows: Any, classes: Any) -> Any:
        return nn.losses.cross_entropy(model(rows), classes, reduction="mean")

    graded = nn.value_and_grad(model, loss_of)
    state = [model.state, optimizer.state, mx.random.state]

    def step(rows: Any, classes: Any) -> Any:
        loss, gradient = graded(rows, classes)
        optimizer.update(model, gradient)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)

    def epoch() -> None:
        order = mx.random.permutation(workload.rows) if workload.per_epoch > 1 else None
        for start in range(0, workload.rows, workload.batch):
            take = slice(None) if order is None else order[start : start + workload.batch]
            loss = compiled(X[take], y[take])
            mx.async_eval(loss, state)

    def run(units: int) -> None:
        for _ in range(units * workload.epochs):
            epoch()
        mx.eval(state)

    return run


def _prediction(mx: Any, nn: Any, model: Any, workload: Workload) -> Callable[[int], None]:
    model.eval()
    X = mx.array(workload.data()[0][: workload.batch])
    compiled = mx.compile(model)

    def run(units: int) -> None:
        for _ in range(units):
            mx.eval(compiled(X))

    return run
