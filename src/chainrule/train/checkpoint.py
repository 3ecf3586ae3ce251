"""Checkpoints: a run that a machine, a queue or a person ends goes on later as if nothing had happened.

In: snapshots from the loop. Out: a folder with the last two of them, each whole or absent, and the newest whole one back.
"""

from __future__ import annotations

import hashlib
import json
import math
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines.border import checked_state
from chainrule.errors import FormatError, InvalidValueError, MissingError, WriteError
from chainrule.io.files import locked, make_folder, remove, write_atomically
from chainrule.io.tensors import check_tensors
from chainrule.nn import spec
from chainrule.nn.step import Recipe, State, Sums
from chainrule.train.checkpointing import Checkpointer, NoCheckpoint
from chainrule.train.manifest import check_manifest
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch, Snapshot, Stop, StopReason, spent

FORMAT = 1
KEPT = 2
"""Snapshots on disk: the newest, and the one before in case the newest is damaged."""

_LARGEST_SHARE = 0.02
"""Share of the run's time that writing may take; where it is slow, snapshots come less often."""


def opened(
    checkpoint: str | Path | Checkpointer | None, problem: TrainingProblem
) -> AbstractContextManager[Checkpointer]:
    """Open what keeps a run: a folder's checkpointer for a path, a checkpointer as it is, nothing for None."""
    if checkpoint is None:
        return nullcontext(NoCheckpoint())
    if isinstance(checkpoint, str | Path):
        return checkpoint_folder(checkpoint, fingerprint(problem), recipe=problem.recipe)
    return nullcontext(checkpoint)


def reading(folder: str | Path, problem: TrainingProblem) -> Checkpointer:
    """Return a checkpointer that resumes from a folder's last snapshot and writes nothing: another process does.

    Parameters
    ----------
    folder : str or Path
        Where the snapshots are.
    problem : TrainingProblem
        What is trained.

    Returns
    -------
    Checkpointer
    """
    return _ReadingCheckpointer(Path(folder), fingerprint(problem), float("inf"), problem.recipe)


def fingerprint(problem: TrainingProblem) -> str:
    """Return the sha256 of a problem's recipe, configuration, rows and first state: another one is another run."""
    plain = {"recipe": spec.encode(problem.recipe), "config": spec.encode(problem.config)}
    digest = hashlib.sha256(_canonical(plain))
    for part in (problem.rows, problem.validation):
        for array in () if part is None else (part.X, part.Y, part.c):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B"))
    if problem.stream is not None:
        digest.update(problem.stream.fingerprint.encode())
    if problem.start is not None:
        memory = problem.start.optimizer_state
        for vector in (problem.start.w, problem.start.buffers, *(memory[name] for name in sorted(memory))):
            digest.update(np.ascontiguousarray(vector).data.cast("B"))
    return digest.hexdigest()


@contextmanager
def checkpoint_folder(
    folder: str | Path, run: str, every: float = 30.0, recipe: Recipe | None = None
) -> Iterator[FolderCheckpointer]:
    """Open a folder for the checkpoints of a run; no other process can use it meanwhile.

    Parameters
    ----------
    folder : str or Path
        Where the snapshots are; made if it does not exist.
    run : str
        The run's name, as `fingerprint` gives it.
    every : float, default=30.0
        Seconds between snapshots; more where writing one takes over 2 % of that.
    recipe : Recipe or None, default=None
        The run's recipe: a snapshot whose vectors are not those of its network counts as damaged. With None the session that
        loads it refuses it.

    Yields
    ------
    FolderCheckpointer

    Raises
    ------
    InvalidValueError
        When another process holds the folder, or, when the run is loaded, where it belongs to another run.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, checkpoint_folder(folder, "a run") as checkpointer:
    ...     checkpointer.load() is None
    True
    """
    folder = Path(folder)
    make_folder(folder, "Checkpoint")
    hint = "Wait for it, or give this run a folder of its own."
    taken = f"Checkpoint: folder {str(folder)!r} must be free, got one in use by another process. {hint}"
    with locked(folder, taken, "Checkpoint"):
        yield FolderCheckpointer(folder, run, every, recipe)


class FolderCheckpointer:
    """A checkpointer that writes files: tensors, then a manifest with their checksum, each written atomically."""

    signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, folder: Path, run: str, every: float, recipe: Recipe | None = None) -> None:
        self._folder = folder
        self._run = run
        self._recipe = recipe
        self._every = every
        self._next = time.monotonic() + every
        self.notes: tuple[str, ...] = ()
        self._failing = False

    def due(self) -> bool:
        """Check whether the time between snapshots is over."""
        return time.monotonic() >= self._next

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot, then remove all but the last two.

        Where it cannot be written, this warns, the run goes on, and the next one is tried when it is due.
        """
        began = time.monotonic()
        number = max(self._numbers(), default=0) + 1
        try:
            self._write(number, snapshot)
        except (WriteError, MissingError) as error:
            self._give_up(number, error)
        else:
            self._failing = False
            self._remove_before(number - KEPT + 1)
        now = time.monotonic()
        self._next = now + max(self._every, (now - began) / _LARGEST_SHARE)

    def _write(self, number: int, snapshot: Snapshot) -> None:
        from safetensors.numpy import save

        make_folder(self._folder, "Checkpoint")
        tensors = save(_tensors(snapshot))
        write_atomically(self._tensor_file(number), tensors, "Checkpoint")
        digest = hashlib.sha256(tensors).hexdigest()
        body = {"format": FORMAT, "run": self._run, "tensors": digest, **_plain(snapshot)}
        write_atomically(self._manifest(number), _canonical(body | {"sha256": _digest(body)}), "Checkpoint")

    def _give_up(self, number: int, error: Exception) -> None:
        """Remove what was written of a snapshot, and warn once until one is written again."""
        if not self._manifest(number).exists():
            remove(self._tensor_file(number))
        if not self._failing:
            text = f"{error} Training goes on; the checkpoints before are kept."
            self.notes = (*self.notes, text)
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self._failing = True

    def load(self) -> Snapshot | None:
        """Return the newest whole snapshot; a damaged one is skipped with a note.

        What a process could not remove before it was killed is removed here: the run may be over and write no more.

        Raises `InvalidValueError` when the folder holds another run, `FormatError` when nothing in it is whole.
        """
        numbers = sorted(self._numbers(), reverse=True)
        for number in numbers:
            try:
                snapshot = self._read(number)
            except FormatError as error:
                self.notes = (*self.notes, f"checkpoint {number} is damaged ({error}); the one before is used")
            else:
                self._remove_before(number - KEPT + 1)
                return snapshot
        if numbers:
            raise FormatError(f"{self._folder}: no checkpoint is whole. {'; '.join(self.notes)}.")
        return None

    def _read(self, number: int) -> Snapshot:
        data = self._manifest(number).read_bytes()
        body = _checked(data)
        if body["run"] != self._run:
            hint = "Data, network or settings differ; use a new folder."
            raise InvalidValueError(
                f"Checkpoint: folder {str(self._folder)!r} must be of this run, got another. {hint}"
            )
        try:
            tensors = self._tensor_file(number).read_bytes()
        except OSError:
            raise FormatError("its tensors are missing") from None
        if hashlib.sha256(tensors).hexdigest() != body["tensors"]:
            raise FormatError("its tensors do not match their checksum")
        check_tensors(tensors)
        snapshot = _parsed(body, tensors)
        for state in [snapshot.state, *([] if snapshot.best is None else [snapshot.best[1]])]:
            self._check(state)
        return snapshot

    def _check(self, state: State) -> None:
        """Refuse vectors that are not those of the run, whatever the checksums say."""
        if self._recipe is None:
            return
        if set(state.optimizer_state) != set(self._recipe.state_names):
            raise FormatError(f"its vectors are not those of this run: {sorted(state.optimizer_state)}")
        try:
            checked_state(self._recipe, state)
        except InvalidValueError as error:
            raise FormatError(f"its vectors are not those of this run: {error}") from None

    def _numbers(self) -> list[int]:
        names = (path.stem.removeprefix("snapshot-") for path in self._folder.glob("snapshot-*.json"))
        return [int(name) for name in names if name.isdigit()]

    def _manifest(self, number: int) -> Path:
        return self._folder / f"snapshot-{number:06}.json"

    def _tensor_file(self, number: int) -> Path:
        return self._folder / f"snapshot-{number:06}.safetensors"

    def _remove_before(self, first: int) -> None:
        """Remove old snapshots, manifests first, so that none is left without its tensors, and leftovers."""
        for number in (n for n in self._numbers() if n < first):
            remove(self._manifest(number))
        kept = {path.stem for path in self._folder.glob("snapshot-*.json")}
        for path in self._folder.glob("snapshot-*.safetensors"):
            if path.stem not in kept:
                remove(path)
        for path in self._folder.glob(".snapshot-*.tmp"):
            remove(path)


class _ReadingCheckpointer(FolderCheckpointer):
    """A checkpointer of a process that another one writes for."""

    def due(self) -> bool:
        """Return False: nothing is written."""
        return False

    def save(self, snapshot: Snapshot) -> None:
        """Do nothing with it."""

    def _remove_before(self, first: int) -> None:
        """Remove nothing: another process writes here."""


def _canonical(plain: Any) -> bytes:
    """Return plain data as JSON in one form, so that a file can be compared byte by byte with what it should be."""
    return json.dumps(plain, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _checked(data: bytes) -> dict[str, Any]:
    """Return a manifest whose every byte is as it was written."""
    try:
        body = json.loads(data)
        digest = body.pop("sha256")
        whole = _canonical({**body, "sha256": digest}) == data
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise FormatError("its manifest cannot be read") from None
    if not whole or _digest(body) != digest:
        raise FormatError("its manifest does not match its checksum")
    if body.get("format") != FORMAT:
        raise FormatError(f"its format must be {FORMAT}, got {body.get('format')}")
    check_manifest(body)
    return dict(body)


def _tensors(snapshot: Snapshot) -> dict[str, Array]:
    best = {} if snapshot.best is None else _named(snapshot.best[1], "best.")
    return {**_named(snapshot.state, "state."), **best}


def _named(state: State, prefix: str) -> dict[str, Array]:
    memory = {f"{prefix}optimizer_state.{letter}": vector for letter, vector in state.optimizer_state.items()}
    vectors = {f"{prefix}w": state.w, f"{prefix}buffers": state.buffers, **memory}
    return {name: np.ascontiguousarray(vector) for name, vector in vectors.items()}


_MEASURED = tuple(field.name for field in fields(Epoch) if field.name != "state")


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    """Return everything but the vectors; a figure that was not measured (NaN) is null."""
    epochs = [[_figure(getattr(epoch, name)) for name in _MEASURED] for epoch in snapshot.epochs]
    best = None if snapshot.best is None else [snapshot.best[0], int(snapshot.best[1].step)]
    sums = [float(getattr(snapshot.sums, field.name)).hex() for field in fields(Sums)]
    stop = None if snapshot.stop is None else [snapshot.stop.reason.value, snapshot.stop.detail]
    return {"step": int(snapshot.state.step), "sums": sums, "epochs": epochs, "best": best, "stop": stop}


def _figure(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else value if math.isfinite(value) else str(value)


def _parsed(body: Mapping[str, Any], tensors: bytes) -> Snapshot:
    """Return the snapshot of a manifest and a tensor file, whose checksums are right but whose content may be anything."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return _snapshot(body, load(tensors))
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(f"it does not hold a snapshot ({type(error).__name__}: {error})") from None


def _snapshot(body: Mapping[str, Any], tensors: Mapping[str, Array]) -> Snapshot:
    def state(prefix: str, step: int) -> State:
        memory = {
            name.removeprefix(f"{prefix}optimizer_state."): vector
            for name, vector in tensors.items()
            if name.startswith(f"{prefix}optimizer_state.")
        }
        return State(tensors[f"{prefix}w"], tensors[f"{prefix}buffers"], memory, step)

    best = None if body["best"] is None else (body["best"][0], state("best.", body["best"][1]))
    sums = Sums(*(float.fromhex(number) for number in body["sums"]))
    epochs = tuple(_epoch(values) for values in body["epochs"])
    stop = None if body["stop"] is None else Stop(StopReason(body["stop"][0]), body["stop"][1])
    return Snapshot(state("state.", body["step"]), sums, epochs, best, stop)


def _epoch(values: list[Any]) -> Epoch:
    figures: dict[str, Any] = {}
    for name, value in zip(_MEASURED, values, strict=True):
        figures[name] = math.nan if value is None else float(value) if value in ("inf", "-inf") else value
    return Epoch(**figures, state=spent)
