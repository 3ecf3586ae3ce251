"""The members of a pack spread over cores: those of this machine, or those of a Ray cluster, to the same numbers.

In: what all members of a pack share, and a time. Out: the trained members, in the order of their numbers.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from chainrule.cluster import Tasks, cluster_cores
from chainrule.data.transforms import FeatureTransform
from chainrule.engines import Rows
from chainrule.ensemble import cores, train_together
from chainrule.tabular.members import Deadline, Fold, Task, TrainedMember, train_member
from chainrule.tabular.preset import Preset
from chainrule.train.interrupts import interruptible

_GRACE = 5.0
"""Seconds after the time is up that members on other machines have to come back."""

_POLL = 0.25
"""Seconds between two questions whether the user wants to stop."""

Done = Callable[[TrainedMember], None]
"""Called with each member when it is done."""


@dataclass(frozen=True, eq=False)
class PackWork:
    """What all members of a pack share.

    Parameters
    ----------
    preset : Preset
        What members are drawn from.
    seed : int
        Seed of folds, settings, first weights and shuffles.
    transforms : tuple of FeatureTransform
        One for each of the preset's scales of numbers.
    rows : tuple of Rows
        All rows in the order of the folds, as each transform gives them.
    task : Task
        What is learned.
    held : tuple of Fold
        The folds.
    """

    preset: Preset
    seed: int
    transforms: tuple[FeatureTransform, ...]
    rows: tuple[Rows, ...]
    task: Task
    held: tuple[Fold, ...]

    def train(self, number: int, deadline: Deadline) -> TrainedMember:
        """Train one member.

        Parameters
        ----------
        number : int
            Its number; with the seed it decides everything about it.
        deadline : Deadline
            When to end.

        Returns
        -------
        TrainedMember
        """
        settings = self.preset.draw(number, self.seed)
        which = list(dict.fromkeys(self.preset.transforms)).index(settings.transform)
        fold = self.held[settings.fold % len(self.held)]
        return train_member(
            number,
            settings,
            self.preset,
            self.transforms[which],
            self.rows[which],
            self.task,
            fold,
            self.seed,
            deadline,
        )


def train_here(work: PackWork, deadline: Deadline, workers: int | None, on_member: Done) -> list[TrainedMember]:
    """Train members on the cores of this machine, one to a core."""
    crew = Crew(deadline, workers or cores())

    def call(number: int) -> TrainedMember | None:
        if not crew.may_start():
            return None
        member = work.train(number, deadline)
        crew.done(member)
        on_member(member)
        return member

    calls = [partial(call, number) for number in range(work.preset.members)]
    return [member for member in train_together(calls, workers) if member is not None]


def train_on_cluster(work: PackWork, deadline: Deadline, workers: int | None, on_member: Done) -> list[TrainedMember]:
    """Train members on the cores of the cluster that this process has joined."""
    with closing(Tasks("train", _train, work)) as tasks:
        return _Spread(tasks, work.preset.members, deadline, workers, on_member).run()


def _train(work: PackWork, number: int, left: float) -> TrainedMember:
    """Train a member on another machine, whose clock is another: what is sent is the time that is left."""
    return work.train(number, Deadline(time.monotonic() + left))


class _Spread:
    """The members under way on a cluster. Each is trained once; those of a lost machine are trained again on another.

    Where the time is up, what has not come back a few seconds later is left out, as a member that did not begin.
    """

    def __init__(
        self, tasks: Tasks[TrainedMember], members: int, deadline: Deadline, workers: int | None, on_member: Done
    ) -> None:
        self.tasks = tasks
        self.waiting = list(range(members))
        self.deadline = deadline
        self.workers = workers
        self.on_member = on_member
        self.crew = Crew(deadline, self.slots)
        self.done: dict[int, TrainedMember] = {}

    @property
    def slots(self) -> int:
        """Members that train at the same time: one for each core that the cluster has now."""
        return self.workers or max(1, cluster_cores())

    def run(self) -> list[TrainedMember]:
        """Train until all are done, the time is up, or Ctrl-C; raise that again where nothing is done."""
        with interruptible(signal.SIGINT) as asked:
            while not asked() and not self._over():
                self._start()
                if not self.tasks.count:
                    break
                for name, result in self.tasks.wait(_POLL):
                    self._take(int(name), result)
        if not self.done:
            raise KeyboardInterrupt
        return [self.done[number] for number in sorted(self.done)]

    def _over(self) -> bool:
        """Return whether the time is up and enough is done."""
        return bool(self.done) and self.deadline.left < -_GRACE

    def _start(self) -> None:
        """Start members while there are cores and time for them."""
        while self.waiting and self.tasks.count < self.slots:
            if not self.crew.may_start():
                self.waiting.clear()
                return
            number = self.waiting.pop(0)
            self.tasks.submit(str(number), number, self.deadline.left)

    def _take(self, number: int, result: TrainedMember | Exception) -> None:
        if isinstance(result, Exception):
            result.add_note(f"Raised by network {number}.")
            raise result
        self.crew.done(result)
        self.done[number] = result
        self.on_member(result)


class Crew:
    """Decides whether one more member fits into the time, from what the ones before took.

    Parameters
    ----------
    deadline : Deadline
        When to end.
    workers : int
        Members that train at the same time.
    """

    def __init__(self, deadline: Deadline, workers: int) -> None:
        self.deadline = deadline
        self.workers = workers
        self.taken: list[float] = []
        self.started = 0
        self.lock = threading.Lock()

    def may_start(self) -> bool:
        """Return whether a member may start now."""
        with self.lock:
            self.started += 1
            if self.started <= self.workers:
                return True
            expected = max(self.taken[-2 * self.workers :], default=0.0)
            return self.deadline.left > expected

    def done(self, member: TrainedMember) -> None:
        """Note what a member took."""
        with self.lock:
            self.taken.append(member.seconds)
