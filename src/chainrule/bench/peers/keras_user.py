"""Keras, for people who want a network in five lines.

In: a workload. Out: a runner of epochs or predictions with Keras on JAX.
"""

from __future__ import annotations

import os
from typing import Any

from chainrule.bench.peers import Runner, need
from chainrule.bench.workloads import LEARNING_RATE, Workload

_STEPS_PER_CALL = 50
"""Most steps that Keras runs in one compiled call."""


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Set up compiled `fit` with several steps per call, and `predict_on_batch`."""
    os.environ["KERAS_BACKEND"] = "jax"
    need("jax")
    keras = need("keras")
    model = network(keras, workload)
    X, y = workload.data()
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=min(workload.per_epoch, _STEPS_PER_CALL),
        jit_compile=True,
    )

    def train(units: int) -> None:
        model.fit(X, y, batch_size=workload.batch, epochs=units * workload.epochs, verbose=0)

    def predict(units: int) -> None:
        for _ in range(units):
            model.predict_on_batch(rows)

    rows = X[: workload.batch]
    return Runner(train if workload.kind == "training" else predict)


def network(keras: Any, workload: Workload) -> Any:
    """Build the workload's network from Keras's own layers."""
    model = keras.Sequential([keras.Input((workload.widths[0],))])
    for k in workload.widths[1:-1]:
        model.add(keras.layers.Dense(k, use_bias=not workload.batch_norm))
        if workload.batch_norm:
            model.add(keras.layers.BatchNormalization(momentum=0.9))
        model.add(keras.layers.Activation(workload.activation))
        if workload.dropout:
            model.add(keras.layers.Dropout(workload.dropout))
    model.add(keras.layers.Dense(workload.widths[-1]))
    return model
