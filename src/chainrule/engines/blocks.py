"""Several epochs of one or many trainings in one call of the extension, with the state that each of them ended with.

Of a small network an epoch takes less time than a call from Python.
In: sessions of the native engine, validation rows, learning rates. Out: figures, logits and states, epoch by epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.engines.base import never
from chainrule.engines.border import MOST_ROWS, checked_inputs, ready
from chainrule.engines.native import NativeSession, extension
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.step import State

MOST_NUMBERS = 2**19
"""Numbers that a block's arrays may hold: 4 MB in float64."""

MOST_EPOCHS = 64
"""Epochs of a block. More would gain little: a call costs less than one epoch."""

FIGURES = ("loss", "score", "weight", "norm", "steps", "seconds")
"""What an epoch measures, in the extension's order; the first five as in `nn.step.Sums`."""


class Block:
    """The next epochs of a session, and arrays with room for what up to `room` epochs give.

    Parameters
    ----------
    session : NativeSession
        The training.
    room : int
        Largest number of epochs in one call, as `room_for` returns it.
    X : array (n, d) or None, default=None
        Rows whose logits are wanted after each epoch.

    Its `figures` (room, 6) hold the `FIGURES` of each epoch, valid until the next run.
    """

    def __init__(self, session: NativeSession, room: int, X: Array | None = None) -> None:
        recipe = session.recipe
        dtype, P = recipe.dtype, recipe.net.size
        X = np.empty((0, recipe.net.inputs), dtype) if X is None else checked_inputs(recipe.net, X, dtype)
        self.room = room
        self.figures = np.empty((room, len(FIGURES)))
        self._w = np.empty((room, P), dtype)
        self._buffers = np.empty((room, recipe.net.buffers.size), dtype)
        self._vectors = {name: np.empty((room, P), dtype) for name in recipe.state_names}
        self._Z = np.empty((room, len(X), recipe.net.outputs), dtype)
        self._step = 0
        self.native = extension().Block(
            session=session.native,
            figures=self.figures,
            w=self._w,
            statistics=self._buffers,
            vectors=self._vectors,
            X=X,
            Z=self._Z,
        )

    def plan(self, epoch: int, rates: Array, count: int, seconds: float) -> None:
        """Plan `count` epochs from number `epoch`, with a rate for each batch, for about these seconds."""
        if not 0 <= epoch <= MOST_ROWS - count:
            raise InvalidValueError(must_be("Block", "epoch", f"in 0..{MOST_ROWS - count}", epoch))
        self._step = epoch * (len(rates) // count)
        self.native.plan(epoch=epoch, count=count, rates=ready(rates, np.float64), seconds=seconds)

    def logits(self, i: int) -> Array:
        """Return the logits (n, k) after epoch i of the block; valid until the next run."""
        logits: Array = self._Z[i]
        return logits

    def state(self, i: int) -> State:
        """Return a copy of the state after epoch i of the block."""
        step = self._step + int(self.figures[: i + 1, FIGURES.index("steps")].sum())
        vectors = {name: vector[i].copy() for name, vector in self._vectors.items()}
        return State(self._w[i].copy(), self._buffers[i].copy(), vectors, step)


def room_for(session: NativeSession, validated: int, epochs: int) -> int:
    """Return how many epochs a block of this session should have room for, given its validation rows; 1 is not worth it."""
    net = session.recipe.net
    numbers = (1 + len(session.recipe.state_names)) * net.size + net.buffers.size + validated * net.outputs
    return max(1, min(epochs, MOST_EPOCHS, MOST_NUMBERS // numbers))


def run_blocks(blocks: Sequence[Block], stop: Callable[[], bool] = never, threads: int = 1) -> list[int]:
    """Run planned blocks on up to `threads` threads, and return how many epochs of each were begun.

    The last of these epochs is incomplete if `stop`, which is called from this thread about every 20 ms, said True.
    """
    done: list[int] = extension().run_blocks(blocks=[block.native for block in blocks], threads=threads, stop=stop)
    return done
