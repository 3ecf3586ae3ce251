"""A training that runs a few steps at a time and can be looked at, saved and continued anywhere in between.

In: a `TrainingProblem`. Out: frames for the page, snapshots that continue bit for bit, a `Run` like that of `train`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import choose, never
from chainrule.engines.border import checked_state
from chainrule.engines.native import NativeEngine
from chainrule.engines.reference import logits
from chainrule.ensemble import cores
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.lab.figures import layer_figures, probed
from chainrule.nn.schedules import ConstantSchedule, Plateau, plateau_rule
from chainrule.nn.step import State, Sums
from chainrule.train import Epoch, Run, Stop, StopReason, TrainingProblem
from chainrule.train.records import COMPLETED, diverged, epoch_record, measure_rows, spent

MOST_EPOCHS = 100_000
"""Epochs of one training in the lab; their records take some 50 MB."""

_FIGURES = ("number", "train_loss", "train_score", "validation_loss", "validation_score", "learning_rate")
_RECORD = (*_FIGURES, "gradient_norm", "seconds", "steps")
"""What a snapshot keeps of each epoch, all as float64."""

_FIRST_LOOK = 5000
"""Rows that the loss before the first step is measured on."""


class LiveTraining:
    """One training, from its first weights to wherever the page leaves it.

    Parameters
    ----------
    problem : TrainingProblem
        What is trained; its number of epochs is a limit only where the schedule depends on it, or `limited` says so.
    limited : bool, default=False
        Whether the training ends after `problem.config.epochs` in any case.
    """

    def __init__(self, problem: TrainingProblem, limited: bool = False) -> None:
        engine, self.notes = choose(problem.engine, problem.recipe)
        self.problem = problem
        self.engine = engine.name
        if isinstance(engine, NativeEngine):
            engine = NativeEngine(max(1, cores() - 1))  # the page needs a core, and bits do not depend on the number
        self.session = engine.compile(problem.recipe, problem.rows)
        if problem.start is not None:
            self.session.load(problem.start)
        self.per_epoch = problem.steps_per_epoch
        self.step = 0 if problem.start is None else int(problem.start.step)
        follows = isinstance(problem.config.schedule, ConstantSchedule) or plateau_rule(problem.config.schedule)
        self.limit = problem.config.epochs if limited or not follows else MOST_EPOCHS
        self.epochs: list[Epoch] = []
        self.finite = True
        self.seconds = 0.0
        self.step_seconds = 0.0
        self._sums = Sums()
        self._plateau = Plateau()
        self._moved: Array | None = None
        self._probed = probed(problem.rows, problem.recipe.net)
        self._layers: list[dict[str, Any]] = []
        self._layers_step = -1
        self._shown = self._first_look()
        self._variance = [_variance(rows) for rows in (problem.rows, problem.validation)]

    @property
    def epoch(self) -> int:
        """Number of whole epochs done."""
        return self.step // self.per_epoch

    @property
    def over(self) -> bool:
        """Whether no step is left: the last epoch is done, or the numbers are not finite."""
        return not self.finite or self.epoch >= self.limit

    def steps_to(self, epochs: int) -> int:
        """Return the steps to the end of that many epochs from here, of which one begun counts as the first."""
        return (self.epoch + epochs) * self.per_epoch - self.step

    def info(self) -> dict[str, Any]:
        """Return what does not change during the training."""
        isa = getattr(self.session, "isa", "")
        return {
            "parameters": self.problem.recipe.net.size,
            "steps_per_epoch": self.per_epoch,
            "outputs": self.problem.recipe.net.outputs,
            "engine": f"{self.engine} {isa}".strip(),
            "batch_size": self.problem.recipe.batch_size,
            "rows": {
                "train": len(self.problem.rows),
                "validation": 0 if self.problem.validation is None else len(self.problem.validation),
            },
            "epochs": self.limit,
            "notes": list(self.notes),
        }

    def run(self, steps: int, stop: Callable[[], bool] = never, measured: bool = False) -> int:
        """Train some steps and return how many were done.

        Parameters
        ----------
        steps : int
            The most steps to do.
        stop : callable, default=never
            Asked now and then between steps; True ends the call early.
        measured : bool, default=False
            Whether the last step is taken alone, so that the next frame can say how far it moved.

        Returns
        -------
        int
        """
        began = time.perf_counter()
        done = self._stretch(steps - 1 if measured else steps, stop)
        if measured and done == steps - 1 and not self.over:
            before = self.session.state.w
            done += self._stretch(1, never)
            self._moved = self.session.state.w - before
        took = time.perf_counter() - began
        self.seconds += took
        if done:
            self.step_seconds = took / done
        return done

    def _stretch(self, steps: int, stop: Callable[[], bool]) -> int:
        done = 0
        while done < steps and not self.over:
            first = self.step % self.per_epoch
            count = min(steps - done, self.per_epoch - first)
            rates = self.problem.config.rates(self.step, count, self.per_epoch, self._plateau)
            began = time.perf_counter()
            part = self.session.run(self.epoch, first, rates, stop)
            taken = int(part.steps)
            self._sums = self._sums + part
            self.finite = bool(np.isfinite(self._sums.loss) and np.isfinite(self._sums.norm))
            done += taken
            rate = float(rates[max(taken, 1) - 1])
            if taken and (first + taken == self.per_epoch or not self.finite):
                self._end_epoch(first + taken, rate, time.perf_counter() - began)
            elif taken:
                self._shown = {**self._shown, **self._training_figures(self._sums), "learning_rate": rate}
            self.step += taken
            if taken < count or stop():
                break
        return done

    def _end_epoch(self, steps: int, rate: float, seconds: float) -> None:
        """Record an epoch, as `train` does, before the next one begins."""
        problem = self.problem
        held = None
        if problem.validation is not None and self.finite:
            with np.errstate(all="ignore"):
                held = measure_rows(problem.recipe, self.session.logits(problem.validation.X), problem.validation)
        complete = steps == self.per_epoch
        record = epoch_record(
            self.epoch + 1,
            problem.recipe.loss,
            self._sums,
            held,
            rate=rate,
            seconds=seconds,
            complete=complete,
            state=spent,
        )
        self.epochs.append(record)
        self.finite = record.finite
        rule = plateau_rule(problem.config.schedule)
        if rule is not None:
            watched = record.train_loss if held is None else record.validation_loss
            self._plateau = rule.observe(self._plateau, watched)
        self._shown = {**self._training_figures(self._sums), "learning_rate": rate, **self._held_figures(held)}
        self._sums = Sums()

    def _training_figures(self, sums: Sums) -> dict[str, Any]:
        return {"loss": sums.mean_loss, "score": self._score(sums.mean_score, 0)}

    def _held_figures(self, sums: Sums | None) -> dict[str, Any]:
        if sums is None:
            return {"validation_loss": None, "validation_score": None}
        return {"validation_loss": sums.mean_loss, "validation_score": self._score(sums.mean_score, 1)}

    def _score(self, score: float, part: int) -> float | None:
        """Return the accuracy as it is; of continuous targets R², from the mean squared error."""
        if self.problem.recipe.loss.targets.are_classes:
            return score
        variance = self._variance[part]
        return 1.0 - score / variance if variance > 0 else None

    def _first_look(self) -> dict[str, Any]:
        """Return loss and score before the first step of this session, on some of the rows."""
        self._variance = [_variance(self.problem.rows), _variance(self.problem.validation)]
        rows = (self.problem.rows, self.problem.validation)
        few = [None if part is None else part[np.arange(min(len(part), _FIRST_LOOK))] for part in rows]
        sums = [
            None if part is None else measure_rows(self.problem.recipe, self.session.logits(part.X), part)
            for part in few
        ]
        rate = float(self.problem.config.rates(self.step, 1, self.per_epoch, self._plateau)[0])
        assert sums[0] is not None
        return {**self._training_figures(sums[0]), "learning_rate": rate, **self._held_figures(sums[1])}

    def frame(self, layers: bool = True) -> dict[str, Any]:
        """Return what the page draws.

        Parameters
        ----------
        layers : bool, default=True
            Whether the layers are measured and part of it.

        Returns
        -------
        dict
        """
        shown = {
            "epoch": self.epoch,
            "step": self.step,
            **self._shown,
            "finite": self.finite,
            "over": self.over,
            "seconds": self.seconds,
        }
        if not layers:
            return shown
        if self._layers_step != self.step or not self._layers:
            self._layers = layer_figures(self.problem.recipe, self.session.state, self._probed, self._moved)
            self._layers_step = self.step
        return {**shown, "layers": self._layers, "layers_step": self._layers_step}

    def outputs(self, X: Array, state: State) -> Array:
        """Return probabilities, or values on the target's own scale, for rows in the user's units.

        The training may go on meanwhile: only the copied state is read.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows.
        state : State
            A copy of the numbers.

        Returns
        -------
        array of shape (n, k), float32
        """
        problem = self.problem
        inputs, target, recipe = problem.inputs, problem.target, problem.recipe
        assert inputs is not None
        assert target is not None
        with np.errstate(all="ignore"):
            Z = logits(recipe.net, recipe.weights(state), state.buffers, inputs.apply(X, recipe.dtype))
            found = recipe.loss.predict(np, Z)
            if target.scaling is not None and np.isfinite(found).all():
                found = target.scaling.undo(found.astype(np.float64))
        return np.asarray(found, np.float32)

    def save(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return a snapshot: header and arrays of a message, from which `load` continues bit for bit."""
        state = self.session.state
        sums = self._sums
        header = {
            "kind": "lab snapshot",
            "epoch": self.epoch,
            "step": self.step,
            "per_epoch": self.per_epoch,
            "plateau": [float(value) for value in vars(self._plateau).values()],
            "layout": self.problem.recipe.net.size,
            "seconds": self.seconds,
        }
        measured = [float(sums.loss), float(sums.score), float(sums.weight), float(sums.norm), float(sums.steps)]
        records = [[float(getattr(epoch, name)) for name in _RECORD] for epoch in self.epochs]
        arrays = {
            "w": state.w,
            "buffers": state.buffers,
            "sums": np.array(measured),
            "epochs": np.array(records, np.float64).reshape(-1, len(_RECORD)),
            **{f"state {name}": vector for name, vector in state.optimizer_state.items()},
        }
        return header, arrays

    def load(self, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Continue from a snapshot: exactly where it is of this recipe, at the start of its epoch where it is of another.

        Parameters
        ----------
        header : mapping
            As `save` returns it; a stranger may have written it.
        arrays : mapping of str to array
            Likewise.

        Raises
        ------
        InvalidValueError
            For a snapshot of another network, and for what is no snapshot.
        """
        raise_all(_snapshot_faults(header, arrays))
        recipe = self.problem.recipe
        step, per_epoch = int(header["step"]), int(header["per_epoch"])
        vectors = {name.removeprefix("state "): array for name, array in arrays.items() if name.startswith("state ")}
        state = State(arrays["w"], arrays["buffers"], vectors, step)
        same = per_epoch == self.per_epoch
        if not same:
            state = replace(state, step=-(-step // per_epoch) * self.per_epoch)
        if set(vectors) != set(recipe.state_names) and arrays["w"].shape == (recipe.net.size,):
            state = recipe.adopt(state)
        epochs = [_epoch_of(row, recipe.loss.metric) for row in arrays["epochs"]]
        if int(state.step) // self.per_epoch > self.limit or not np.isfinite(arrays["w"]).all():
            raise InvalidValueError(f"lab: a snapshot must be of finite numbers and at most {self.limit} epochs.")
        self.session.load(checked_state(recipe, state, "lab", "snapshot"))
        self.step = int(state.step)
        self.epochs = epochs
        self.seconds = float(header["seconds"])
        self._sums = Sums(*(float(value) for value in arrays["sums"])) if same else Sums()
        self._plateau = Plateau()
        rule = plateau_rule(self.problem.config.schedule)
        for epoch in epochs if rule is not None else ():
            assert rule is not None
            watched = epoch.train_loss if self.problem.validation is None else epoch.validation_loss
            self._plateau = rule.observe(self._plateau, watched)
        self.finite = True
        self._moved = None
        self._layers_step = -1
        self._shown = self._remembered()

    def _remembered(self) -> dict[str, Any]:
        """Return the figures of the last epoch of a snapshot, and those of the epoch under way if one is."""
        shown = self._first_look()
        if self.epochs:
            last = self.epochs[-1]
            held = self.problem.validation is not None
            shown["loss"] = last.train_loss
            shown["score"] = self._shown_score(last.train_score, 0)
            shown["validation_loss"] = last.validation_loss if held else None
            shown["validation_score"] = self._shown_score(last.validation_score, 1) if held else None
            shown["learning_rate"] = last.learning_rate
        if self._sums.steps:
            shown |= self._training_figures(self._sums)
        return shown

    def _shown_score(self, score: float, part: int) -> float | None:
        """Return the page's score from an epoch's: R² from the root of the mean squared error."""
        rooted = self.problem.recipe.loss.metric == "rmse"
        return self._score(score * score if rooted else score, part)

    def run_record(self) -> Run:
        """Return the training so far as `train` would: its epochs, and the numbers that the page shows."""
        state = self.session.state
        stop = COMPLETED if self.epoch >= self.limit else Stop(StopReason.PAUSED, f"in epoch {self.epoch + 1}")
        if self.step % self.per_epoch == 0 and self.epoch < self.limit:
            stop = Stop(StopReason.PAUSED, f"after epoch {self.epoch}")
        if not self.finite:
            stop = diverged(self.epochs[-1].number if self.epochs else 1)
        return Run(tuple(self.epochs), state, None, stop, self.engine, self.notes, self.seconds)


def epoch_figures(live: LiveTraining, epoch: Epoch) -> list[float | None]:
    """Return the figures of an epoch that curves are drawn from: number, losses and scores of both parts."""
    held = live.problem.validation is not None
    return [
        epoch.number,
        epoch.train_loss,
        live._shown_score(epoch.train_score, 0),
        epoch.validation_loss if held else None,
        live._shown_score(epoch.validation_score, 1) if held else None,
    ]


def _variance(rows: Any) -> float:
    """Return the variance of continuous targets, weighted and averaged over their columns; 0 without rows."""
    if rows is None or rows.Y.ndim != 2:
        return 0.0
    Y = rows[:].Y.astype(np.float64)
    c = rows[:].c.astype(np.float64)
    mean = np.average(Y, axis=0, weights=c)
    return float(np.average((Y - mean) ** 2, axis=0, weights=c).mean())


def _epoch_of(row: Array, metric: str) -> Epoch:
    """Return the record of an epoch from a snapshot."""
    values = dict(zip(_RECORD, row.tolist(), strict=True))
    number, steps = int(values.pop("number")), int(values.pop("steps"))
    return Epoch(number=number, metric=metric, steps=steps, complete=True, finite=True, state=spent, **values)


def _snapshot_faults(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[str]:
    """Return what is wrong with the form of a snapshot; the state itself is checked against the recipe."""
    counts = [header.get(name) for name in ("epoch", "step", "per_epoch")]
    sound = header.get("kind") == "lab snapshot" and all(type(n) is int and 0 <= n < 2**53 for n in counts)
    seconds = header.get("seconds")
    sound = sound and isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < 1e12
    sound = sound and bool(header["per_epoch"]) and {"w", "buffers", "sums", "epochs"} <= set(arrays)
    if sound:
        shapes = arrays["sums"].shape == (5,) and arrays["epochs"].shape[1:] == (len(_RECORD),)
        numbers = shapes and len(arrays["epochs"]) <= MOST_EPOCHS and bool(np.isfinite(arrays["sums"]).all())
        whole = numbers and bool(
            (arrays["epochs"][:, [0, -1]] >= 0).all() and (arrays["epochs"][:, [0, -1]] < 2**53).all()
        )
        sound = whole and bool((arrays["sums"][2:] >= 0).all())
    return [] if sound else [must_be("lab", "snapshot", "what the lab saved", "something else")]
