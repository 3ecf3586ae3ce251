"""Trainings of the pages that are open: who trains, who waits, what a slow reader misses.

A training runs in a thread of its own until it is done or stopped, in stretches of one drawn frame. Commands take turns
with them. Frames wait in a mailbox of one: a reader that is slow misses frames, never steps, and costs no memory.

In: commands. Out: frames, and the end of a training wherever its page leaves.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chainrule.errors import InvalidValueError, MissingError, must_be
from chainrule.lab.live import LiveTraining, epoch_figures
from chainrule.lab.recipe import LabRecipe
from chainrule.lab.runs import RunRequest, Runs
from chainrule.lab.subject import Subject

FRAME_SECONDS = 1 / 75
"""Time of a stretch of training: shorter than a frame of most screens, so that each has a new figure to draw."""

MOST_TRAININGS = 12
"""Trainings at a time; the one unused for longest makes room for another."""

_LAYERS_SHARE = 0.05
"""Share of the time that measuring layers may take."""

_LAYERS_SECONDS = 0.1
"""Least time between two measurements of the layers; nobody reads a histogram that changes more often."""

_MOST_POINTS = 2000
"""Points of a curve that one frame may carry; of more, every second one is left out."""


class Turn:
    """A lock that lets commands in between two stretches of a training, which would hold it nearly always."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0

    @contextmanager
    def command(self) -> Iterator[None]:
        """Hold the lock for a command."""
        with self._counting:
            self._waiting += 1
        self._lock.acquire()
        with self._counting:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def stretch(self) -> Iterator[None]:
        """Hold the lock for a stretch of training, behind the commands that wait."""
        while self._waiting:
            time.sleep(0.0002)
        with self._lock:
            yield


_LAYERS = ("layers", "layers_step")


class Mailbox:
    """The newest frame, and the points of the curves since the last one that was taken."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._frame: dict[str, Any] | None = None
        self._points: list[list[float | None]] = []
        self._error: BaseException | None = None
        self.closed = False

    def post(self, frame: dict[str, Any], points: list[list[float | None]]) -> None:
        """Put a frame in the place of the one before, whose layers stand until others are measured."""
        with self._lock:
            idle = self._frame is None
            held = {name: self._frame[name] for name in _LAYERS if name in self._frame} if self._frame else {}
            self._frame = {**held, **frame}
            self._points += points
            while len(self._points) > _MOST_POINTS:
                self._points = [*self._points[:-1:2], self._points[-1]]
        if idle:
            self._wake()

    def close(self, error: BaseException | None = None) -> None:
        """Say that no frame follows."""
        self._error = error
        self.closed = True
        self._wake()

    def take(self) -> dict[str, Any] | None:
        """Return the frame that waits with its points, None if there is none; raise what ended the training."""
        with self._lock:
            frame, points = self._frame, self._points
            self._frame, self._points = None, []
        if frame is None and self._error is not None:
            raise self._error
        return None if frame is None else {**frame, "epochs": points}


@dataclass(eq=False)
class LabSession:
    """One training of one page.

    Parameters
    ----------
    number : str
        Name by which the page knows it.
    subject : Subject
        Its rows.
    recipe : LabRecipe
        What the controls said.
    live : LiveTraining
        The training.
    turn : Turn
        Who may touch the training now.
    runs : Runs
        Which of its runs are to stop.
    used : float, default=0.0
        When a command was last about it.
    changed : bool, default=False
        Whether it has trained since it was last kept.
    remedies : tuple of str, default=()
        Remedies of the doctor that were applied on the way here.
    """

    number: str
    subject: Subject
    recipe: LabRecipe
    live: LiveTraining
    turn: Turn = field(default_factory=Turn)
    runs: Runs = field(default_factory=Runs)
    used: float = 0.0
    changed: bool = False
    remedies: tuple[str, ...] = ()
    _training: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Hold the right to train, which one page has at a time; refuse a second."""
        if not self._training.acquire(blocking=False):
            raise InvalidValueError("lab: this training is already running. Stop it first.")
        try:
            yield
        finally:
            self._training.release()

    @property
    def busy(self) -> bool:
        """Whether it trains now."""
        return self._training.locked()

    def train(self, asked: RunRequest, mailbox: Mailbox, left: threading.Event) -> None:
        """Train in this thread until the steps are done, the page stops it, or `left` says that nobody reads any more.

        Parameters
        ----------
        asked : RunRequest
            How far, and what is seen of it.
        mailbox : Mailbox
            Where frames go.
        left : Event
            Set where the reader is gone.
        """
        try:
            with self.training():
                self._train(asked, mailbox, lambda: self.runs.stopped(asked.number) or left.is_set())
            mailbox.close()
        except BaseException as error:
            mailbox.close(error)

    def _train(self, asked: RunRequest, mailbox: Mailbox, stopping: Callable[[], bool]) -> None:
        live, pace, steps = self.live, Pace(), asked.steps
        while True:
            began = time.perf_counter()
            look = asked.watched and pace.layers_due
            with self.turn.stretch():
                seen = len(live.epochs)
                steps -= self._stretch(asked, steps, pace.steps(live.step_seconds), look, stopping)
                ended = steps <= 0 or live.over or stopping()
                points = [epoch_figures(live, epoch) for epoch in live.epochs[seen:]]
                frame = self._frame(pace, look or ended) if asked.watched or ended else None
            if frame is not None:
                mailbox.post(frame, points)
            if ended:
                return
            if points and asked.pace:
                self.runs.wait(asked.number, began + asked.pace)

    def _stretch(self, asked: RunRequest, steps: int, most: int, look: bool, stopping: Callable[[], bool]) -> int:
        """Train for the time of a frame, with a step that is looked at taken alone; return how many were done."""
        live = self.live
        if stopping():
            return 0
        count = min(steps, most, live.steps_to(1)) if asked.pace else min(steps, most)
        last = count == steps
        done = live.run(count, stopping, measured=last or look)
        if not last and not live.over and stopping():
            done += live.run(1, measured=True)
        self.changed |= done > 0
        return done

    def _frame(self, pace: Pace, look: bool) -> dict[str, Any]:
        """Return a frame, with its layers where they are looked at."""
        if not look:
            return self.live.frame(layers=False)
        began = time.perf_counter()
        found = self.live.frame()
        pace.took(time.perf_counter() - began)
        return found


class Pace:
    """How many steps fill the time of a frame, and when the layers may be measured again."""

    def __init__(self) -> None:
        self._last = 1
        self._next_look = 0.0

    def steps(self, step_seconds: float) -> int:
        """Return the steps of the next stretch: those of a frame's time, and at most eight times as many as before."""
        wanted = int(FRAME_SECONDS / step_seconds) if step_seconds > 0 else 1
        self._last = max(1, min(wanted, 8 * self._last))
        return self._last

    @property
    def layers_due(self) -> bool:
        """Whether the layers may be measured now."""
        return time.perf_counter() >= self._next_look

    def took(self, seconds: float) -> None:
        """Plan the next look at the layers from what this one took."""
        self._next_look = time.perf_counter() + max(seconds * (1 / _LAYERS_SHARE - 1), _LAYERS_SECONDS)


class Room:
    """All trainings of a lab.

    Parameters
    ----------
    subject : Subject or None
        The rows of the command line; None where the page brings its own.
    """

    def __init__(self, subject: Subject | None) -> None:
        self.subject = subject
        self.ending = threading.Event()
        self._lock = threading.Lock()
        self._sessions: dict[str, LabSession] = {}
        self._split: tuple[int, Subject] | None = None
        self._left: LabSession | None = None

    @property
    def sessions(self) -> list[LabSession]:
        """All trainings, the one used last at the end."""
        with self._lock:
            return sorted(self._sessions.values(), key=lambda session: session.used)

    def table(self, seed: int | None = None) -> Subject:
        """Return the rows of the command line, split with a seed.

        Raises `InvalidValueError` where there are none.
        """
        if self.subject is None:
            raise InvalidValueError(
                "lab: this lab was started without a table. Send rows, or name one: chainrule lab SOURCE."
            )
        if seed is None or seed == self.subject.settings.seed:
            return self.subject
        with self._lock:
            if self._split is None or self._split[0] != seed:
                self._split = (seed, self.subject.with_seed(seed))
            return self._split[1]

    def add(self, subject: Subject, recipe: LabRecipe, live: LiveTraining) -> LabSession:
        """Keep a new training; the one unused for longest goes where there are too many."""
        session = LabSession(secrets.token_hex(8), subject, recipe, live, used=time.monotonic())
        with self._lock:
            while len(self._sessions) >= MOST_TRAININGS:
                idle = [each for each in self._sessions.values() if not each.busy]
                if not idle:
                    raise InvalidValueError(
                        must_be("lab", "trainings", f"at most {MOST_TRAININGS}", MOST_TRAININGS + 1)
                    )
                oldest = min(idle, key=lambda each: each.used)
                del self._sessions[oldest.number]
            self._sessions[session.number] = session
        return session

    def get(self, number: Any) -> LabSession:
        """Return a training by its number; raise `MissingError` for one that is not there."""
        with self._lock:
            session = self._sessions.get(number) if isinstance(number, str) else None
            if session is None:
                raise MissingError("lab: this training must be open. Reload the page.")
            session.used = time.monotonic()
            return session

    def close(self, session: LabSession) -> None:
        """Stop a training and forget it."""
        session.runs.end()
        with self._lock:
            self._sessions.pop(session.number, None)
            if session.changed and not session.subject.uploaded:
                self._left = session

    @property
    def newest(self) -> LabSession | None:
        """The table's training that was used last and has trained since it was kept, open or closed; None without one."""
        held = [each for each in (self._left, *self.sessions) if each is not None]
        changed = [each for each in held if each.changed and not each.subject.uploaded and each.live.step]
        return max(changed, key=lambda each: each.used, default=None)

    def wait(self, seconds: float) -> None:
        """Wait until no training runs, at most these seconds."""
        until = time.monotonic() + seconds
        while any(session.busy for session in self.sessions) and time.monotonic() < until:
            time.sleep(0.005)

    def end(self) -> None:
        """Stop all trainings."""
        self.ending.set()
        for session in self.sessions:
            session.runs.end()
