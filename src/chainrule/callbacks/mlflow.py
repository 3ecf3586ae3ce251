"""A monitor that writes each epoch to MLflow, beside the settings that made it.

In: epoch records. Out: metrics of an MLflow run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chainrule.callbacks.optional import optional
from chainrule.train import Decision, Epoch, Run, TrainingProblem


@dataclass(frozen=True)
class Place:
    """The MLflow run that is written to, and whether it was opened here and so must be closed here."""

    mlflow: Any
    client: Any
    run: str
    opened: bool
    clean: bool = True


@dataclass(frozen=True)
class MLflowLogger:
    """A monitor that writes every epoch's figures as metrics of an MLflow run.

    Within `with mlflow.start_run():` it writes to that run, otherwise to a new one. Of several networks trained at once,
    each has a run of its own. A run that diverged ends as failed. Needs
    `pip install 'chainrule[mlflow]'`.

    Parameters
    ----------
    experiment : str, default="Default"
        Experiment of a new run; made if it does not exist.
    name : str or None, default=None
        Name of a new run.
    parameters : mapping, default={}
        Parameters that are written once, such as `estimator.get_params()`.
    tracking_uri : str or None, default=None
        MLflow's server; None takes MLflow's own setting.

    Raises
    ------
    MissingError
        At the start of a run where the package is not installed.

    Examples
    --------
    >>> MLflowLogger("digits", parameters={"alpha": 0.1}).experiment
    'digits'
    """

    experiment: str = "Default"
    name: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tracking_uri: str | None = None

    def start(self, problem: TrainingProblem) -> Place:
        """Open a run."""
        mlflow = optional("mlflow", "mlflow", "MLflowLogger")
        client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        active = mlflow.active_run()
        run = self._opened(client) if active is None else active
        for name, value in self.parameters.items():
            client.log_param(run.info.run_id, name, value)
        return Place(mlflow, client, run.info.run_id, active is None)

    def _opened(self, client: Any) -> Any:
        """Return a new run."""
        known = client.get_experiment_by_name(self.experiment)
        experiment = client.create_experiment(self.experiment) if known is None else known.experiment_id
        return client.create_run(experiment, run_name=self.name)

    def observe(self, memory: Place, epoch: Epoch) -> tuple[Place, Decision]:
        """Write what was measured, with the epoch's number as the step."""
        figures = {name: value for name, value in epoch.record().items() if name != "epoch" and value is not None}
        metric, now = memory.mlflow.entities.Metric, int(1000 * time.time())
        metrics = [metric(name, value, now, epoch.number) for name, value in figures.items()]
        memory.client.log_batch(memory.run, metrics=metrics)
        return replace(memory, clean=epoch.finite), Decision()

    def end(self, memory: Place, run: Run | None) -> None:
        """Close the run if it was opened here."""
        if memory.opened:
            memory.client.set_terminated(memory.run, "FINISHED" if memory.clean else "FAILED")
