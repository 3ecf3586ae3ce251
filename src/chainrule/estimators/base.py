"""The training of both estimators: prepare the problems, train under monitors, and keep what the result is.

In: an estimator's arguments, rows, targets, weights. Out: its fitted attributes, or the doctor's report.
"""

from __future__ import annotations

import copy
import signal
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.arrays import Array
from chainrule.calibration import temperature
from chainrule.callbacks.scikit_learn import Fitted, fit_task, with_callbacks
from chainrule.data.stream.dataset import StreamedDataset
from chainrule.ensemble import cores, train_together
from chainrule.estimators.call import Call, SplitBy, UserValidation
from chainrule.estimators.preparing import BUILDING, PreparingNetwork
from chainrule.estimators.scoring import Score, Scored, Scoring, scorer
from chainrule.model import Model
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.pipeline import stopped_run, stopping_monitors
from chainrule.target import Target
from chainrule.train import Epoch, Monitor, Progress, Run, TrainingProblem, train
from chainrule.train.columns import Epochs
from chainrule.train.many import train_many
from chainrule.train.records import filled

if TYPE_CHECKING:
    from chainrule.doctor import Report

_IMPORTANCE_ROWS = 256
"""Training rows from which the importance of columns is measured."""


def store(estimator: Any, arguments: Mapping[str, Any]) -> None:
    """Keep a constructor's arguments, its local names, under their names, untouched."""
    for name, value in arguments.items():
        if name not in {"self", "__class__"}:
            setattr(estimator, name, value)


class NetEstimator(PreparingNetwork):
    """What both estimators have in common; not for use by itself."""

    model_: Model
    run_: Run
    runs_: tuple[Run, ...]
    epochs_: Sequence[Epoch]
    t_: int

    def _note_classes(self, target: Target | None) -> None:
        """Keep the classes, which scorers read, where there are some."""
        raise NotImplementedError

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
        times: Any = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Train from new weights, or with `warm_start` from where the last call ended.

        Whenever there are validation rows, the best epoch's weights are kept. Ctrl-C ends the training and keeps what was
        learned, of several networks by those that began; `run_.stop` says so.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d), or StreamedDataset
            Rows; a pandas or polars frame gives the columns' names, a sparse matrix (csr or csc) is made dense. Rows that
            `chainrule.open_dataset` opened are read while the network trains on them.
        y : array-like of shape (n,) or (n, k), default=None
            Targets; only a `StreamedDataset` has them itself.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights >= 0, where 2 counts a row twice and 0 leaves it out; None is 1.
        X_val, y_val, sample_weight_val : like X, y, sample_weight, default=None
            Rows to choose the epoch by, in place of those that `early_stopping` holds out.
        groups : array-like of shape (n,) or None, default=None
            The group of each row; `early_stopping` then holds out whole groups.
        times : array-like of shape (n,) or None, default=None
            When each row was measured; `early_stopping` then holds out the latest rows.
        checkpoint : str, Path or None, default=None
            A folder to save checkpoints in; the same call continues an interrupted run from there.

        Returns
        -------
        Self

        Raises
        ------
        InvalidValueError
            Naming every argument outside its limits, every argument that was changed and would have no effect here (such
            as `validation_fraction` without `early_stopping`), and for data that cannot be learned from.

        Warns
        -----
        ConvergenceWarning
            When the loss is no longer a finite number; the weights of the epoch before are kept.

        Examples
        --------
        >>> import numpy as np
        >>> from chainrule import NetRegressor
        >>> X = np.linspace(-1, 1, 200)[:, None]
        >>> NetRegressor(max_iter=100, random_state=0).fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9
        True
        """
        if isinstance(X, StreamedDataset):
            from chainrule.estimators.streamed import streamed_call

            others = {"sample_weight": sample_weight, "X_val": X_val, "y_val": y_val, "y": y, "groups": groups}
            call = streamed_call(self, X, {**others, "sample_weight_val": sample_weight_val, "times": times})
            y = None
        else:
            call = self._fit_call(X, y, sample_weight, (X_val, y_val, sample_weight_val), SplitBy(groups, times))
        self._note_classes(call.problems[0].target)
        score = self._score(call)
        folders = _folders(checkpoint, len(call.problems))
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        models = [_predicting(problem) for problem in call.problems]
        with fit_task(self, int(call.settings.max_iter), models, X=X, y=y, metadata=metadata) as announced:
            monitors = [
                [*_stopping(call, problem, score, folder), *self._own_monitors(i), *announced[i]]
                for i, (problem, folder) in enumerate(zip(call.problems, folders, strict=True))
            ]
            runs = _train_all(call.problems, monitors, folders)
            self._finish(call, runs)
            self._keep_scores(runs[0], call.validation is not None)
        self._importance_rows = _some_rows(call.problems[0])
        _warn(runs)
        return self

    def examine(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
        times: Any = None,
        fix: bool = False,
    ) -> Report:
        """Diagnose the training that `fit` would do with these rows; the estimator stays as it is.

        The doctor trains the network (of several the first), probes it on the way, and tests remedies for what it
        suspects. It judges by the rows that `fit` would choose the epoch by; otherwise a fifth is held out and a note says
        so.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.
        y : array-like of shape (n,) or (n, k)
            Targets.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights of the rows.
        X_val, y_val, sample_weight_val : like X, y, sample_weight, default=None
            Validation rows.
        groups, times : array-like of shape (n,) or None, default=None
            What the held-out rows are chosen by, as for `fit`.
        fix : bool, default=False
            Whether to keep the remedies that help on three seeds, and report on the repaired training; `notes` lists what
            was tried.

        Returns
        -------
        Report

        Raises
        ------
        InvalidValueError
            As `fit` does.

        Examples
        --------
        >>> import numpy as np
        >>> from chainrule import NetClassifier
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> report = NetClassifier((8,), learning_rate_init=1e-6, random_state=0).examine(X, X.sum(axis=1) > 0)
        >>> report.verdict, report.primary.symptom
        ('ill', 'learning-rate-too-low')
        """
        user = (X_val, y_val, sample_weight_val)
        return copy.copy(self)._examined(X, y, sample_weight, user, SplitBy(groups, times), fix)

    def _examined(
        self, X: Any, y: Any, sample_weight: Any, user: UserValidation, split_by: SplitBy, fix: bool
    ) -> Report:
        """Return the doctor's report on the first network, trained as long as `fit` would train it."""
        from chainrule.doctor import examine_and_repair
        from chainrule.doctor.examine import examine_few
        from chainrule.doctor.vocabulary.thresholds import USUAL

        chooses = bool(self.early_stopping) or user[0] is not None
        few = not chooses and len(np.asarray(y)) < USUAL.fewest_to_judge
        fraction = None if chooses or few else 1 / USUAL.held_out_part
        call = self._fit_call(X, y, sample_weight, user, split_by, fraction)
        problem = call.problems[0]
        self._note_classes(problem.target)
        monitors = (
            _stopping(call, problem, self._score(call), None) if chooses else stopping_monitors(call.settings, False)
        )
        run = stopped_run(problem, monitors, validated=chooses)
        count = len(problem.validation or ())
        notes = () if chooses else (f"{count} of {count + len(problem.rows)} rows were held out to judge by.",)
        if few:
            return examine_few(problem, fix=fix, run=run)
        return examine_and_repair(problem, fix=fix, notes=notes, run=run)

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> None:
        """Train one epoch over these rows, from where the last call ended."""
        call = self._partial_fit_call(X, y, sample_weight, classes)
        runs = _train_all(call.problems, [[]] * len(call.problems), [None] * len(call.problems))
        self._finish(call, runs)
        self._keep_scores(runs[0], False)
        self._importance_rows = None
        _warn(runs)

    def _score(self, call: Call) -> Score | None:
        """Return what chooses and stops by `scoring`; None where the loss does."""
        if self.scoring is None or call.validation is None:
            return None
        return scorer(self, call.validation, call.weighted)

    def _own_monitors(self, number: int) -> list[Monitor]:
        """Return the user's callbacks, and the bar for the first network."""
        return [*self.callbacks, *([Progress()] if self.verbose and number == 0 else [])]

    def _finish(self, call: Call, runs: Sequence[Run]) -> None:
        """Set the fitted attributes that every way of training sets; no record holds rows."""
        known = call.continues
        problems = call.problems[: len(runs)]
        model: Model = problems[0].model(runs[0].state)
        others = [(each.recipe.weights(run.state), run.state.buffers) for each, run in zip(problems, runs, strict=True)]
        model = replace(model, others=tuple(others[1:])) if len(others) > 1 else model
        if known:
            model = replace(model, temperature=self.model_.temperature)
        if getattr(self, "calibrate", False) and call.validation is not None:
            model = replace(model, temperature=_temperature(model, *call.validation))
        self._note_classes(problems[0].target)
        self.model_ = model
        if not known:
            self.built_with_ = {name: getattr(self, name) for name in BUILDING if hasattr(self, name)}
        self.runs_ = tuple(filled(Run, **{**vars(run), "memories": ()}) for run in runs)
        self.run_ = self.runs_[0]
        self.epochs_ = Epochs([self.epochs_] if known else []) + self.run_.epochs
        self.t_ = (self.t_ if known else 0) + problems[0].trained_rows * len(self.run_.epochs)

    def _keep_scores(self, run: Run, validated: bool) -> None:
        """Keep the validation scores of this call, by `scoring` or by the loss's metric."""
        scored = next((memory.scores for memory in run.memories if isinstance(memory, Scored)), None)
        self.validation_scores_ = self.best_validation_score_ = None
        if not validated:
            return
        by_epoch = scored or {epoch.number: epoch.validation_score for epoch in run.epochs}
        self.validation_scores_ = [by_epoch[epoch.number] for epoch in run.epochs]
        best = run.best_epoch
        self.best_validation_score_ = None if best is None else by_epoch[best]


def _predicting(problem: TrainingProblem) -> Fitted:
    """Return what makes a copy of the estimator predict with an epoch's weights."""
    return lambda epoch: {"model_": problem.model(epoch.state())}


def _folders(checkpoint: str | Path | None, count: int) -> list[Path | None]:
    """Return where each network's run is kept."""
    if checkpoint is None:
        return [None] * count
    return [Path(checkpoint)] if count == 1 else [Path(checkpoint) / f"network-{i}" for i in range(count)]


def _stopping(call: Call, problem: TrainingProblem, score: Score | None, folder: Path | None) -> list[Monitor]:
    """Return what keeps the best epoch, by the score where there is one, and what stops."""
    monitors = stopping_monitors(call.settings, problem.validation is not None)
    if score is None:
        return monitors
    rule, *others = monitors
    file = None if folder is None else folder / "scores.json"
    return [Scoring(problem.model, score, rule, file), *others]


def _train_all(
    problems: Sequence[TrainingProblem], monitors: Sequence[Sequence[Monitor]], folders: Sequence[Path | None]
) -> list[Run]:
    """Train each network; after Ctrl-C return only the runs of those that began."""
    checkpointed = folders[0] is not None
    if len(problems) == 1:
        return [train(problems[0], monitors[0], checkpoint=folders[0])]
    together = None if checkpointed else train_many(problems, monitors, cores())
    if together is not None:
        return together
    calls = [
        lambda problem=problem, watching=watching, folder=folder: train(problem, watching, checkpoint=folder)
        for problem, watching, folder in zip(problems, monitors, folders, strict=True)
    ]
    return train_together(calls, signals=(signal.SIGINT, signal.SIGTERM) if checkpointed else (signal.SIGINT,))


def _warn(runs: Sequence[Run]) -> None:
    """Warn of a loss that is no longer a number, at the line that called `fit` or `partial_fit`."""
    stop = next((run.stop for run in runs if run.diverged), None)
    if stop is not None:
        advice = "Lower learning_rate_init, or set max_grad_norm."
        warnings.warn(f"{stop}. {advice}", ConvergenceWarning, stacklevel=4)


def _temperature(model: Model, X: Array, y: Array, weights: Array) -> float:
    """Return the temperature of unsmoothed targets."""
    loss = SoftmaxCrossEntropy() if isinstance(model.loss, SoftmaxCrossEntropy) else model.loss
    return float(temperature(loss, model.logits(X), Target.of(model).encode(y), weights))


def _some_rows(problem: TrainingProblem) -> tuple[Array, Array]:
    """Return training rows on the network's scale, evenly spaced, with their weights."""
    rows = problem.rows
    if len(rows) <= _IMPORTANCE_ROWS:
        return rows.X.copy(), rows.c.copy()
    take = np.linspace(0, len(rows) - 1, min(len(rows), _IMPORTANCE_ROWS)).astype(int)
    return rows.X[take], rows.c[take]
