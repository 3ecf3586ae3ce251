"""Why: the loop says when it could be kept, and whoever keeps it says when it should be; the loop knows no files.

In: snapshots at moments when a run can go on from them. Out: the last snapshot of an earlier process, if there is one.
"""

from __future__ import annotations

import signal
from typing import Protocol

from chainrule.train.records import Snapshot


class Checkpointer(Protocol):
    """Keeps snapshots of one run."""

    @property
    def signals(self) -> tuple[signal.Signals, ...]:
        """What ends the run between two batches, its numbers kept; the main thread's handlers are replaced meanwhile."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of what was found."""

    def load(self) -> Snapshot | None:
        """The last whole snapshot, or None for a run that starts."""

    def due(self) -> bool:
        """Whether it is time for the next one; asked between batches."""

    def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""


class NoCheckpoint:
    """Keeps nothing."""

    notes: tuple[str, ...] = ()
    signals: tuple[signal.Signals, ...] = (signal.SIGINT,)

    def load(self) -> Snapshot | None:
        """Nothing."""
        return None

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, snapshot: Snapshot) -> None:
        """Let it go."""
