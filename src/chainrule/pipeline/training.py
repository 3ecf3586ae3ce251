"""Why: from rows to a trained model there is one way, which the estimators and the command line both take.

In: rows X, targets y as the user has them, a `Target`, `Settings`. Out: a `Job`, the runs it came to, a `Model`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from chainrule.arrays import Array
from chainrule.checkpoint import checkpoint_folder, fingerprint
from chainrule.data import Standardizer
from chainrule.engines import Rows, choose
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.nn.net import Net
from chainrule.nn.schedules import ConstantSchedule, ReduceOnPlateau, Schedule
from chainrule.nn.step import Recipe, State
from chainrule.pipeline.settings import Settings
from chainrule.pipeline.targets import Target
from chainrule.train import EarlyStopping, Monitor, RangeTest, Run, TrainConfig, range_test, train
from chainrule.train.checkpointing import Checkpointer, NoCheckpoint


@dataclass(frozen=True, eq=False)
class Job:
    """Rows on the network's scale with all that training them needs; the start is the state to go on from, if any."""

    settings: Settings
    target: Target
    inputs: Standardizer
    recipe: Recipe
    rows: Rows = field(repr=False)
    held_out: Rows | None = field(repr=False)
    start: State | None = field(repr=False)
    feature_names: tuple[str, ...] = field(repr=False)
    target_name: str

    def model(self, state: State) -> Model:
        """What predicts with a state's numbers."""
        return Model(
            self.recipe.net,
            self.target.loss,
            self.recipe.weights(state),
            state.buffers,
            self.inputs,
            self.target.scaling,
            self.target.classes,
            self.feature_names,
            self.target_name,
        )

    def config(self) -> TrainConfig:
        """The course of this run; one that goes on from a state runs its schedule from the beginning."""
        config = self.settings.config()
        done = 0 if self.start is None else int(self.start.step) // self._steps
        follows = isinstance(config.schedule, ConstantSchedule | ReduceOnPlateau)
        schedule: Schedule = config.schedule if follows or not done else Later(config.schedule, done)
        return replace(config, epochs=done + config.epochs, schedule=schedule)

    @property
    def _steps(self) -> int:
        return len(self.recipe.batches(len(self.rows)))

    def after(self, state: State) -> Job:
        """The same from a state on, whose step number is raised to the start of an epoch over these rows."""
        step = -(-int(state.step) // self._steps) * self._steps
        return replace(self, start=replace(self.recipe.adopt(state), step=step))


@dataclass(frozen=True)
class Later:
    """A schedule that begins when so many epochs are done."""

    schedule: Schedule
    done: int

    def factor(self, e: float, E: float) -> float:
        """The schedule's own, counted from there."""
        return self.schedule.factor(e - self.done, E - self.done)


def scaler(X: Array, scaling: str, weights: Array | None = None) -> Standardizer:
    """The scaling of inputs, from training rows only; a row of weight 2 counts as two rows."""
    if scaling == "none":
        return Standardizer.identity(X.shape[1])
    return Standardizer.fit(X, shared=scaling == "shared", weights=weights)


def prepare(
    X: Array,
    y: Array,
    target: Target,
    settings: Settings,
    *,
    weights: Array | None = None,
    validation: tuple[Array, ...] | None = None,
    base: Model | None = None,
    feature_names: Sequence[str] = (),
    target_name: str = "target",
) -> Job:
    """Scale and encode rows (n, d) and the validation rows (X, y) or (X, y, weights), all in the user's units.

    With a trained `base` its scaling and its layers are taken instead of the settings'; its last layer too when it
    answers the same question (`same_question`), else a new one for this target.

    Raises `InvalidValueError` with all faults of rows, targets and weights.
    """
    net = settings.network(X.shape[1], target.outputs) if base is None else _inherited(base, X, target)
    inputs = scaler(X, settings.scaling, weights) if base is None else base.inputs
    recipe = settings.recipe(net, target.loss, len(X))
    rows = Rows.of(recipe, inputs.apply(X, settings.dtype), target.encode(y), weights)
    held_out = None
    if validation is not None:
        Xv, yv, *cv = validation
        held_out = Rows.of(recipe, inputs.apply(Xv, settings.dtype), target.encode(yv), *cv)
    names = tuple(feature_names) or tuple(f"x{i}" for i in range(X.shape[1]))
    start = None if base is None else _first_state(recipe, base, target)
    return Job(settings, target, inputs, recipe, rows, held_out, start, names, target_name)


def seeded(job: Job, seed: int, base: Model | None = None) -> Job:
    """The same job with another seed, and with the numbers of another trained base of the same shape."""
    recipe = replace(job.recipe, seed=seed)
    start = None if base is None else _first_state(recipe, base, job.target)
    return replace(job, recipe=recipe, start=start)


def same_question(base: Model, target: Target) -> bool:
    """Whether a trained model's outputs mean what this target's outputs mean: the same loss and the same classes."""
    if (base.loss, base.net.outputs) != (target.loss, target.outputs):
        return False
    known, asked = (x if isinstance(x, tuple) else (x,) for x in (base.classes, target.classes))
    return len(known) == len(asked) and all(np.array_equal(a, b) for a, b in zip(known, asked, strict=True))


def _inherited(base: Model, X: Array, target: Target) -> Net:
    if X.shape[1] != base.net.inputs:
        hint = "A start can be taken only for rows with its columns."
        raise InvalidValueError(must_be("fit", "X", f"of {base.net.inputs} columns, as start's", X.shape[1], hint))
    return base.net if base.net.outputs == target.outputs else base.net.replace_head(target.outputs)


def _first_state(recipe: Recipe, base: Model, target: Target) -> State:
    """First numbers with those of the base in place, and an optimizer that remembers nothing."""
    w, buffers = base.w, base.buffers
    if not same_question(base, target):
        w, buffers = recipe.net.inherit(recipe.seed, base.net, base.w, base.buffers)
    return replace(recipe.start(), w=np.asarray(w, recipe.dtype), buffers=np.asarray(buffers, recipe.dtype))


def found_rate(job: Job) -> float:
    """The learning rate that a range test over the job's rows suggests, from where the job starts.

    Reference  [smith2017]
    """
    engine, _ = choose(job.settings.engine, job.recipe)
    session = engine.compile(job.recipe, job.rows)
    if job.start is not None:
        session.load(job.start)
    return range_test(session, job.recipe, job.rows, RangeTest()).suggestion


class JobCallback(Protocol):
    """Watches runs, and has to know what is trained before it can: asked for a monitor of each network."""

    def for_job(self, job: Job) -> Monitor:
        """The monitor of one network."""


def run(job: Job, monitors: Sequence[Monitor] = (), checkpoint: str | Path | None = None) -> Run:
    """Train; with a folder `checkpoint` the run is kept there, and the same call goes on where an earlier one was ended."""
    with nullcontext(NoCheckpoint()) if checkpoint is None else _kept(checkpoint, job) as checkpointer:
        return run_kept(job, monitors, checkpointer)


def run_kept(job: Job, monitors: Sequence[Monitor], checkpointer: Checkpointer) -> Run:
    """Train, and leave to the keeper what is kept of the run, and where it goes on."""
    return train(
        job.recipe,
        job.rows,
        job.config(),
        validation=job.held_out,
        monitors=monitors,
        engine=job.settings.engine,
        start=job.start,
        checkpointer=checkpointer,
    )


def _kept(folder: str | Path, job: Job) -> AbstractContextManager[Checkpointer]:
    """The keeper of this run; a run from another start is another run."""
    name = fingerprint(job.recipe, job.config(), job.rows, job.held_out)
    if job.start is not None:
        digest = hashlib.sha256(name.encode())
        for vector in (
            job.start.w,
            job.start.buffers,
            *(job.start.optimizer_state[k] for k in sorted(job.start.optimizer_state)),
        ):
            digest.update(np.ascontiguousarray(vector).data.cast("B"))
        name = digest.hexdigest()
    return checkpoint_folder(folder, name)


def train_model(
    X: Array,
    y: Array,
    target: Target,
    settings: Settings,
    *,
    weights: Array | None = None,
    validation: tuple[Array, ...] | None = None,
    monitors: Sequence[Monitor] = (),
    feature_names: Sequence[str] = (),
    target_name: str = "target",
    checkpoint: str | Path | None = None,
) -> tuple[Model, Run]:
    """Scale, train, and put what is needed to predict together.

    `validation` is (X, y) or (X, y, weights) in the user's units; with it and a monitor that keeps, the best epoch's
    weights are kept. With a folder `checkpoint` the run is kept there, and the same call goes on where an earlier one was
    ended.
    """
    job = prepare(
        X,
        y,
        target,
        settings,
        weights=weights,
        validation=validation,
        feature_names=feature_names,
        target_name=target_name,
    )
    ended = run(job, monitors, checkpoint)
    return job.model(ended.state), ended


def stopping(settings: Settings, validated: bool) -> EarlyStopping:
    """The rule that ends a run of these settings: by validation loss where there are validation rows."""
    watched = "validation_loss" if validated else "train_loss"
    return EarlyStopping(settings.n_iter_no_change, settings.tol, watched, keep=validated)
