"""The protocol of checkpoints: the loop offers snapshots and a checkpointer decides when to save; the loop knows no files.

In: snapshots at moments when a run can continue from them. Out: the last snapshot of an earlier process, if there is one.
"""

from __future__ import annotations

import signal
from typing import Protocol

from chainrule.train.records import Snapshot


class Checkpointer(Protocol):
    """The methods of what keeps snapshots of one run."""

    @property
    def signals(self) -> tuple[signal.Signals, ...]:
        """Signals that end the run between two batches with its numbers kept; the main thread's handlers are replaced."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, such as damage that was found."""

    def load(self) -> Snapshot | None:
        """Return the last whole snapshot, or None for a run that starts."""

    def due(self) -> bool:
        """Check whether it is time for the next one; asked between batches."""

    def save(self, snapshot: Snapshot) -> None:
        """Save a snapshot."""


class NoCheckpoint:
    """A checkpointer that saves nothing.

    A checkpointer with `between_blocks` needs no snapshot within an epoch: small networks may run in blocks.
    """

    between_blocks = True
    notes: tuple[str, ...] = ()
    signals: tuple[signal.Signals, ...] = (signal.SIGINT,)

    def load(self) -> Snapshot | None:
        """Return None: nothing is saved."""
        return None

    def due(self) -> bool:
        """Return False: a snapshot is never due."""
        return False

    def save(self, snapshot: Snapshot) -> None:
        """Do nothing with it."""


NO_CHECKPOINT = NoCheckpoint()
