"""The lecture's network as its students write it: NumPy, float64, examples in columns, a dictionary of arrays.

In: a workload. Out: a runner of epochs or predictions. Its errors (γ and β are never updated, the derivative of relu is
taken at the Z before batch norm) are left in, since they are part of its cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from chainrule.arrays import Array
from chainrule.bench.peers import Runner, Skipped, numpy_threads
from chainrule.bench.workloads import LEARNING_RATE, Workload


class LectureNetwork:
    """Affine, batch norm, relu and dropout for each hidden layer; a sigmoid for each output; Adam."""

    def __init__(self, widths: Sequence[int], batch_norm: bool, keep: float) -> None:
        generator = np.random.default_rng(0)
        self.depth, self.batch_norm, self.keep = len(widths) - 1, batch_norm, keep
        self.p: dict[str, Array] = {}
        for i, (d, k) in enumerate(pairwise(widths), 1):
            self.p[f"W{i}"] = generator.standard_normal((k, d)) * np.sqrt(2.0 / d)
            self.p[f"b{i}"] = np.zeros((k, 1))
        self.gamma = {i: np.ones((widths[i], 1)) for i in range(1, self.depth)}
        self.running = {i: (np.zeros((widths[i], 1)), np.ones((widths[i], 1))) for i in range(1, self.depth)}
        self.m = {name: np.zeros_like(array) for name, array in self.p.items()}
        self.v = {name: np.zeros_like(array) for name, array in self.p.items()}
        self.steps = 0
        self.cache: dict[str, Array] = {}

    def forward(self, X: Array, training: bool) -> Array:
        """Return outputs (k, n) for examples in columns; every array is kept by name."""
        A = self.cache["A0"] = X
        for i in range(1, self.depth):
            Z = self.cache[f"Z{i}"] = self.p[f"W{i}"] @ A + self.p[f"b{i}"]
            A = np.maximum(0, self.normalize(i, Z, training) if self.batch_norm else Z)
            if training:
                self.cache[f"mask{i}"] = (np.random.rand(*A.shape) < self.keep).astype(float)  # noqa: NPY002
                A = A * self.cache[f"mask{i}"] / self.keep
            self.cache[f"A{i}"] = A
        Z = self.p[f"W{self.depth}"] @ A + self.p[f"b{self.depth}"]
        A = self.cache["out"] = 1 / (1 + np.exp(-np.clip(Z, -500, 500)))
        return A

    def normalize(self, i: int, Z: Array, training: bool) -> Array:
        """Apply batch norm of layer i."""
        mean, variance = self.running[i]
        if training:
            mean, variance = Z.mean(axis=1, keepdims=True), Z.var(axis=1, keepdims=True)
            old = self.running[i]
            self.running[i] = (0.9 * old[0] + 0.1 * mean, 0.9 * old[1] + 0.1 * variance)
        self.cache[f"deviation{i}"] = np.sqrt(variance + 1e-5)
        self.cache[f"normal{i}"] = (Z - mean) / self.cache[f"deviation{i}"]
        return self.gamma[i] * self.cache[f"normal{i}"]

    def step(self, X: Array, Y: Array) -> float:
        """Run forward, cost, backward and Adam."""
        n = X.shape[1]
        out = np.clip(self.forward(X, True), 1e-10, 1 - 1e-10)
        cost = -np.sum(Y * np.log(out) + (1 - Y) * np.log(1 - out)) / n
        dZ, gradients = self.cache["out"] - Y, {}
        for i in reversed(range(1, self.depth + 1)):
            if i < self.depth:
                dA = self.p[f"W{i + 1}"].T @ dZ * self.cache[f"mask{i}"] / self.keep
                dZ = dA * (self.cache[f"Z{i}"] > 0)
                dZ = self.through_norm(i, dZ) if self.batch_norm else dZ
            gradients[f"W{i}"] = dZ @ self.cache[f"A{i - 1}"].T / n
            gradients[f"b{i}"] = np.sum(dZ, axis=1, keepdims=True) / n
        self.update(gradients)
        return float(cost)

    def through_norm(self, i: int, dout: Array) -> Array:
        """Return the gradient at the input of batch norm from that at its output."""
        normal, n = self.cache[f"normal{i}"], dout.shape[1]
        d = dout * self.gamma[i]
        inner = n * d - d.sum(axis=1, keepdims=True) - normal * np.sum(d * normal, axis=1, keepdims=True)
        return inner / n / self.cache[f"deviation{i}"]

    def update(self, gradients: dict[str, Array]) -> None:
        """Apply Adam, array by array."""
        self.steps += 1
        for name, g in gradients.items():
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g**2
            m, v = self.m[name] / (1 - 0.9**self.steps), self.v[name] / (1 - 0.999**self.steps)
            self.p[name] -= LEARNING_RATE * m / (np.sqrt(v) + 1e-8)


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Set up classes as columns of 0 and 1, and batches by a shuffle of the columns."""
    if workload.activation != "relu":
        raise Skipped("its hidden layers are relu")
    network = LectureNetwork(workload.widths, workload.batch_norm, 1.0 - workload.dropout)
    X, y = workload.data()
    X, Y = X.T.astype(float), np.eye(workload.widths[-1])[y].T
    rows, generator = X[:, : workload.batch], np.random.default_rng(0)

    def train(units: int) -> None:
        for _ in range(units * workload.epochs):
            if workload.per_epoch == 1:
                network.step(X, Y)
                continue
            order = generator.permutation(workload.rows)
            for start in range(0, workload.rows, workload.batch):
                take = order[start : start + workload.batch]
                network.step(X[:, take], Y[:, take])

    def predict(units: int) -> None:
        for _ in range(units):
            network.forward(rows, False)

    return Runner(train if workload.kind == "training" else predict, *numpy_threads(threads))
