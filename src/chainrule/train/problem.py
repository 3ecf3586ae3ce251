"""One training problem: the value that the loop, the command line, the estimators, the search and the doctor share.

In: a recipe, rows on the network's scale, a configuration. Out: `TrainConfig`, `TrainingProblem`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import COUNT, POSITIVE, Checked, constrained
from chainrule.data import Dataset, Standardizer
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.nn.schedules import ConstantSchedule, Plateau, ReduceOnPlateau, Schedule
from chainrule.nn.step import Recipe, State
from chainrule.target import Target
from chainrule.train.records import filled

if TYPE_CHECKING:
    from chainrule.data.stream.rows import StreamRows


@dataclass(frozen=True)
class TrainConfig(Checked):
    """How long and how fast to train.

    Parameters
    ----------
    epochs : int, default=100
        Largest number of epochs, counted from the first weights.
    learning_rate : float, default=0.001
        Base learning rate.
    schedule : Schedule, default=ConstantSchedule()
        Factor of the base rate over the epochs.

    Examples
    --------
    >>> TrainConfig(epochs=10).learning_rate
    0.001
    """

    epochs: int = constrained(COUNT, 100)
    learning_rate: float = constrained(POSITIVE, 1e-3)
    schedule: Schedule = ConstantSchedule()

    def rates(self, step: int, steps: int, per_epoch: int, plateau: Plateau) -> Array:
        """Return the learning rates of the next steps.

        Parameters
        ----------
        step : int
            Number of the first step, from 0.
        steps : int
            Number of steps.
        per_epoch : int
            Steps in an epoch.
        plateau : Plateau
            What a schedule that follows the losses remembers.

        Returns
        -------
        ndarray of shape (steps,)
        """
        if isinstance(self.schedule, ConstantSchedule):
            return np.full(steps, self.learning_rate * plateau.factor)
        times = [(step + i) / per_epoch for i in range(steps)]
        return np.array([self.learning_rate * plateau.factor * self.schedule.factor(e, self.epochs) for e in times])


@dataclass(frozen=True)
class DelayedSchedule:
    """A schedule that begins when `delay` epochs are done."""

    schedule: Schedule
    delay: int

    def factor(self, e: float, E: float) -> float:
        """Return the schedule's own factor, counted from there."""
        return self.schedule.factor(e - self.delay, E - self.delay)


def rows_per_batch(batch_size: int | str, n: int) -> int:
    """Return the number of rows in a batch of n training rows, of which "full" takes all.

    >>> rows_per_batch(32, 100), rows_per_batch("full", 100)
    (32, 100)
    """
    if not isinstance(batch_size, str):
        return batch_size
    if batch_size != "full":
        raise InvalidValueError(must_be("fit", "batch_size", "a whole number >= 1 or 'full'", batch_size))
    return max(n, 1)


@dataclass(frozen=True, eq=False)
class TrainingProblem:
    """All that a training needs, and what makes its result a usable model.

    `chainrule.pipeline.build_problem` makes it from settings and data.

    Parameters
    ----------
    recipe : Recipe
        Network, loss, optimizer, penalties, batch size, seed and dtype.
    rows : Rows
        Training rows as the network sees them, after scaling and encoding.
    config : TrainConfig
        How long and how fast.
    validation : Rows or None, default=None
        Held-out rows that choose the epoch and judge.
    engine : str, default="auto"
        The engine that runs it.
    start : State or None, default=None
        The state to begin from in place of the recipe's first weights.
    feature_names : tuple of str, default=()
        Names of the columns.
    test : Rows or None, default=None
        Rows that nothing is trained or chosen by.
    inputs : Standardizer or None, default=None
        The scaling that the rows went through; a model needs it.
    target : Target or None, default=None
        The encoding that the targets went through; a model needs it.
    target_name : str, default="target"
        Name of the target.
    interface : {"fit", "estimator", "command line"}, default="fit"
        Who made the problem: reports use the names that this interface gives the settings.
    stream : StreamRows or None, default=None
        Training rows that are read while the network is trained on them; `rows` are then a sample of them, which monitors
        and reports look at.
    table : Dataset or None, default=None
        The training rows as they are in the user's table, for advice on how to read it.

    Examples
    --------
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.train import train
    >>> recipe, X = Recipe(mlp(1, [4], 1), MeanSquaredError()), np.linspace(-1, 1, 40)[:, None]
    >>> run = train(TrainingProblem(recipe, Rows.of(recipe, X, X), TrainConfig(5, 0.01)))
    >>> len(run.epochs)
    5
    """

    recipe: Recipe
    rows: Rows = field(repr=False)
    config: TrainConfig
    validation: Rows | None = field(default=None, repr=False)
    engine: str = "auto"
    start: State | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] = field(default=(), repr=False)
    test: Rows | None = field(default=None, repr=False)
    inputs: Standardizer | None = field(default=None, repr=False)
    target: Target | None = field(default=None, repr=False)
    target_name: str = "target"
    interface: str = "fit"
    stream: StreamRows | None = field(default=None, repr=False)
    table: Dataset | None = field(default=None, repr=False)

    @property
    def trained_rows(self) -> int:
        """Number of rows that an epoch visits."""
        return len(self.rows if self.stream is None else self.stream)

    @property
    def classes(self) -> Array | None:
        """The user's labels in the order of the class indices; None for other targets and for several of them."""
        classes = None if self.target is None else self.target.classes
        return None if isinstance(classes, tuple) else classes

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch."""
        return self.recipe.batch_count(self.trained_rows)

    @property
    def steps(self) -> int:
        """Number of steps in all epochs."""
        return self.config.epochs * self.steps_per_epoch

    def model(self, state: State) -> Model:
        """Return the model that predicts with a state's numbers, in the user's units and labels.

        Parameters
        ----------
        state : State
            Numbers of this problem's network, as `Run.state` or `Epoch.state()` gives them.

        Returns
        -------
        Model

        Raises
        ------
        InvalidValueError
            Where the scaling of the inputs or the encoding of the targets is not known.
        """
        inputs = self.inputs
        target = self.target
        if inputs is None or target is None:
            hint = "chainrule.pipeline.build_problem makes a problem with both."
            missing = "inputs" if inputs is None else "target"
            raise InvalidValueError(must_be("TrainingProblem", missing, "given to make a model", None, hint))
        return Model(
            self.recipe.net,
            self.recipe.loss,
            self.recipe.weights(state),
            state.buffers,
            inputs,
            target.scaling,
            target.classes,
            self.feature_names,
            self.target_name,
        )

    def with_seed(self, seed: int) -> TrainingProblem:
        """Return the problem with another seed.

        Parameters
        ----------
        seed : int
            Seed of first weights, shuffles and masks.

        Returns
        -------
        TrainingProblem
        """
        if seed == self.recipe.seed:
            return self
        return filled(TrainingProblem, **{**vars(self), "recipe": self.recipe.with_seed(seed)})

    def with_learning_rate(self, rate: float) -> TrainingProblem:
        """Return the problem with another base learning rate.

        Parameters
        ----------
        rate : float
            The rate.

        Returns
        -------
        TrainingProblem
        """
        same = rate == self.config.learning_rate
        return self if same else replace(self, config=replace(self.config, learning_rate=rate))

    def with_weights_of(self, model: Model) -> TrainingProblem:
        """Return the problem that begins with a trained model's weights and a fresh optimizer.

        Parameters
        ----------
        model : Model
            A model of the same hidden layers. The weights of its last layer are taken over only where it predicts the
            same classes or values (`Target.matches`).

        Returns
        -------
        TrainingProblem
        """
        recipe = self.recipe
        w, buffers = model.w, model.buffers
        if self.target is None or not self.target.matches(model):
            w, buffers = recipe.net.inherit(recipe.seed, model.net, model.w, model.buffers)
        start = replace(recipe.start(), w=np.asarray(w, recipe.dtype), buffers=np.asarray(buffers, recipe.dtype))
        return replace(self, start=start)

    def after(self, state: State) -> TrainingProblem:
        """Return the problem that continues from a state for another `config.epochs` epochs.

        A schedule starts again, unless it is constant or follows the losses.

        Parameters
        ----------
        state : State
            Numbers to begin from, optimizer included; the step number is raised to the start of an epoch.

        Returns
        -------
        TrainingProblem
        """
        begun = 0 if self.start is None else int(self.start.step) // self.steps_per_epoch
        done = -(-int(state.step) // self.steps_per_epoch)
        schedule = self.config.schedule
        schedule = schedule.schedule if isinstance(schedule, DelayedSchedule) else schedule
        if done and not isinstance(schedule, ConstantSchedule | ReduceOnPlateau):
            schedule = DelayedSchedule(schedule, done)
        config = replace(self.config, epochs=self.config.epochs - begun + done, schedule=schedule)
        start = replace(self.recipe.adopt(state), step=done * self.steps_per_epoch)
        return replace(self, config=config, start=start)
