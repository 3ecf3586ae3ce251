"""Chainrule timed as it is used: through the loop that yields a record after every epoch.

In: a workload and an engine. Out: a runner of epochs, or of predictions through a session or the estimator.
"""

from __future__ import annotations

from collections import deque

from chainrule.bench.peers import Runner, Skipped
from chainrule.bench.workloads import LEARNING_RATE, Workload
from chainrule.engines import Rows, Session, choose, why_unavailable
from chainrule.errors import ChainruleError
from chainrule.train.loop import iterate
from chainrule.train.problem import TrainConfig


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Set up a session of the engine `variant`, or a fitted estimator; the engine chooses its threads."""
    if variant == "estimator":
        return _estimator(workload)
    session = _session(workload, variant)
    return training(workload, session) if workload.kind == "training" else _prediction(workload, session)


def _session(workload: Workload, engine: str) -> Session:
    if why_unavailable(engine):
        raise Skipped(f"the {engine} engine is {why_unavailable(engine)}")
    try:
        return choose(engine, workload.recipe)[0].compile(workload.recipe, Rows.of(workload.recipe, *workload.data()))
    except (ChainruleError, ImportError) as error:
        raise Skipped(str(error)) from error


def training(workload: Workload, session: Session) -> Runner:
    """Return what trains a session by epochs."""
    recipe, rows = workload.recipe, Rows.of(workload.recipe, *workload.data())

    def run(units: int) -> None:
        done = int(session.state.step) // workload.per_epoch
        config = TrainConfig(done + units * workload.epochs, LEARNING_RATE)
        deque(iterate(session, recipe, rows, config), maxlen=0)

    return Runner(run)


def _prediction(workload: Workload, session: Session) -> Runner:
    X = workload.data()[0][: workload.batch]

    def run(units: int) -> None:
        for _ in range(units):
            session.logits(X)

    return Runner(run)


def _estimator(workload: Workload) -> Runner:
    from chainrule.estimators import NetClassifier

    X, y = workload.data()
    network = NetClassifier(workload.widths[1:-1], max_iter=1, random_state=0).fit(X[:1024], y[:1024])
    X = X[: workload.batch]

    def run(units: int) -> None:
        for _ in range(units):
            network.predict(X)

    return Runner(run)
