"""scikit-learn's MLP, which most people with a table try first.

In: a workload. Out: a runner of epochs or predictions with `MLPClassifier`.
"""

from __future__ import annotations

import warnings

from chainrule.bench.peers import Runner, Skipped, need, numpy_threads
from chainrule.bench.workloads import LEARNING_RATE, Workload


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Set up `fit` with a warm start, so that each call continues for some epochs, without penalty or early stopping."""
    if workload.batch_norm or workload.dropout:
        raise Skipped("it has neither batch norm nor dropout")
    network = need("sklearn.neural_network").MLPClassifier(
        workload.widths[1:-1],
        workload.activation,
        alpha=0.0,
        batch_size=min(workload.batch, workload.rows),
        learning_rate_init=LEARNING_RATE,
        max_iter=1,
        n_iter_no_change=10**9,
        warm_start=True,
        random_state=0,
    )
    X, y = workload.data()
    warnings.simplefilter("ignore")  # it warns that training stopped before convergence

    def train(units: int) -> None:
        network.set_params(max_iter=units * workload.epochs).fit(X, y)

    def predict(units: int) -> None:
        for _ in range(units):
            network.predict_proba(rows)

    if workload.kind == "prediction":
        network.fit(X[:1024], y[:1024])
        rows = X[: workload.batch]
    return Runner(train if workload.kind == "training" else predict, *numpy_threads(threads))
