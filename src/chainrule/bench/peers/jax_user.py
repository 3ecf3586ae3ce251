"""JAX, for people who write their own compiled loop.

In: a workload; a program per step, one that scans an epoch, or one that scans many full-batch epochs. Out: a runner of
epochs or predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.bench.peers import Runner, Skipped, need
from chainrule.bench.workloads import LEARNING_RATE, Workload


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Set up a list of parameter dictionaries, `jax.grad`, Adam from optax, everything donated; XLA chooses its threads."""
    jax = need("jax")
    if workload.kind == "prediction":
        return Runner(_prediction(jax, workload))
    if variant == "step":
        return Runner(_stepped(jax, need("optax"), workload))
    if variant == "epochs" and workload.epochs == 1:
        raise Skipped("an epoch has many steps, see the scanned epoch")
    return Runner(_scanned(jax, need("optax"), workload, workload.epochs if variant == "epochs" else 1))


def first_parameters(workload: Workload) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return weights and running statistics, layer by layer."""
    generator = np.random.default_rng(0)
    parameters, statistics = [], []
    for d, k in pairwise(workload.widths):
        W = generator.standard_normal((d, k), np.float32) * np.float32(np.sqrt(2.0 / d))
        parameters.append({"W": W, "b": np.zeros(k, np.float32)})
        if workload.batch_norm:
            parameters[-1]["gamma"] = np.ones(k, np.float32)
        statistics.append({"mean": np.zeros(k, np.float32), "variance": np.ones(k, np.float32)})
    return parameters, statistics


def apply(jax: Any, workload: Workload, parameters: Any, statistics: Any, x: Any, key: Any = None) -> tuple[Any, Any]:
    """Return logits and new running statistics; training if there is a key."""
    new = []
    for i, (p, s) in enumerate(zip(parameters[:-1], statistics, strict=False)):
        z, after = x @ p["W"], s
        if workload.batch_norm:
            z, after = _normalized(jax, z, p, s, key is not None)
        else:
            z = z + p["b"]
        new.append(after)
        x = jax.nn.relu(z) if workload.activation == "relu" else jax.numpy.tanh(z)
        if workload.dropout and key is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1.0 - workload.dropout, x.shape)
            x = jax.numpy.where(kept, x / (1.0 - workload.dropout), 0.0)
    return x @ parameters[-1]["W"] + parameters[-1]["b"], [*new, statistics[-1]]


def _normalized(jax: Any, z: Any, p: Any, s: Any, training: bool) -> tuple[Any, Any]:
    mean = z.mean(0) if training else s["mean"]
    variance = z.var(0) if training else s["variance"]
    normal = (z - mean) * jax.lax.rsqrt(variance + 1e-5) * p["gamma"] + p["b"]
    return normal, {"mean": 0.9 * s["mean"] + 0.1 * mean, "variance": 0.9 * s["variance"] + 0.1 * variance}


def _step(jax: Any, optax: Any, workload: Workload) -> tuple[Callable[..., Any], Any]:
    """Return one step as a pure function from (carry, rows, classes) to (carry, loss), and the first carry."""
    optimizer = optax.adam(LEARNING_RATE)

    def loss_of(parameters: Any, statistics: Any, x: Any, y: Any, key: Any) -> Any:
        logits, new = apply(jax, workload, parameters, statistics, x, key)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), new

    def step(carry: Any, x: Any, y: Any) -> Any:
        parameters, statistics, memory, key = carry
        key, mask = jax.random.split(key) if workload.dropout else (key, key)
        graded = jax.value_and_grad(loss_of, has_aux=True)
        (loss, statistics), gradient = graded(parameters, statistics, x, y, mask)
        updates, memory = optimizer.update(gradient, memory)
        return (optax.apply_updates(parameters, updates), statistics, memory, key), loss

    parameters, statistics = jax.tree.map(jax.numpy.asarray, first_parameters(workload))
    return step, (parameters, statistics, optimizer.init(parameters), jax.random.key(0))


def _data(jax: Any, workload: Workload) -> tuple[Any, Any]:
    X, y = workload.data()
    return jax.device_put(X), jax.device_put(y.astype(np.int32))


def _stepped(jax: Any, optax: Any, workload: Workload) -> Callable[[int], None]:
    """Gather the batch inside the compiled step, from an order drawn for each epoch."""
    step, first = _step(jax, optax, workload)
    X, y = _data(jax, workload)
    shuffled = workload.per_epoch > 1
    compiled = jax.jit(
        lambda carry, X, y, take: step(carry, X[take], y[take]) if shuffled else step(carry, X, y), donate_argnums=0
    )
    generator, carry, losses = np.random.default_rng(0), [first], [None]

    def run(units: int) -> None:
        for _ in range(units * workload.epochs):
            order = generator.permutation(workload.rows).astype(np.int32) if shuffled else np.zeros(1, np.int32)
            for start in range(0, workload.rows, workload.batch):
                carry[0], losses[0] = compiled(carry[0], X, y, order[start : start + workload.batch])
        jax.block_until_ready((carry[0], losses[0]))

    return run


def _scanned(jax: Any, optax: Any, workload: Workload, epochs: int) -> Callable[[int], None]:
    """Run several epochs in one compiled call, which reports nothing about the epochs within it."""
    step, first = _step(jax, optax, workload)
    X, y = _data(jax, workload)
    shuffled, shape = workload.per_epoch > 1, (workload.per_epoch, workload.batch)

    def call(carry: Any, X: Any, y: Any, orders: Any) -> Any:
        def body(carry: Any, take: Any) -> Any:
            return step(carry, X[take], y[take]) if shuffled else step(carry, X, y)

        carry, losses = jax.lax.scan(body, carry, orders, length=workload.per_epoch * epochs)
        return carry, losses.mean()

    compiled = jax.jit(call, donate_argnums=0)
    generator, carry, losses = np.random.default_rng(0), [first], [None]

    def run(units: int) -> None:
        for _ in range(units * workload.epochs // epochs):
            orders = generator.permutation(workload.rows).astype(np.int32).reshape(shape) if shuffled else None
            carry[0], losses[0] = compiled(carry[0], X, y, orders)
        jax.block_until_ready((carry[0], losses[0]))

    return run


def _prediction(jax: Any, workload: Workload) -> Callable[[int], None]:
    parameters, statistics = jax.tree.map(jax.numpy.asarray, first_parameters(workload))
    X = workload.data()[0][: workload.batch]
    compiled = jax.jit(lambda parameters, X: apply(jax, workload, parameters, statistics, X)[0])

    def run(units: int) -> None:
        for _ in range(units):
            np.asarray(compiled(parameters, X))

    return run
