"""A session that is fed: an engine trains on a window of rows in memory while a thread reads the next.

An engine visits the rows of its arrays that it is given the numbers of, in an order that follows from the seed. The reader
fills one half of these arrays while the engine trains on the other; nothing is copied after that, because only the numbers
are laid out so that the engine's order is that of the stream. So batch by batch, the engine computes what it would compute
with all rows in memory in that order. The rows of a window that fill no batch are copied aside, so that batches go across
windows and the half is free again.
In: an engine, a recipe, rows in the order of an epoch. Out: a `Session`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array
from chainrule.data.stream.prefetch import Prefetch
from chainrule.data.stream.rows import Block, StreamRows
from chainrule.engines import Engine, Rows, Session, never
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.step import Recipe, State, Sums

ENGINES = ("native", "reference")
"""Engines that read the rows of their arrays at each step, so that these can be filled anew."""


class StreamSession:
    """A training in progress on rows that are read meanwhile.

    Parameters
    ----------
    engine : Engine
        The native or the reference engine.
    recipe : Recipe
        The training to run.
    stream : StreamRows
        The rows.
    """

    def __init__(self, engine: Engine, recipe: Recipe, stream: StreamRows) -> None:
        if engine.name not in ENGINES:
            hint = "Others copy their rows to a device once."
            raise InvalidValueError(must_be("fit", "engine", " or ".join(ENGINES), engine.name, hint))
        self._engine = engine
        self._recipe = recipe
        self._stream = stream
        self._rows = recipe.batches(len(stream))[-1][1]
        self._arrays = _Arrays(recipe, stream)
        size = recipe.batch_size
        self._whole = _Chunk(engine, recipe, self._arrays, 0, size * (1 + -(-stream.order.capacity // size)))
        self._short: _Chunk | None = None
        self._active = self._whole
        self._part: _Part | None = None
        self._aside = 0
        self._reader: Prefetch[Array] | None = None
        self._next = (-1, 0)

    @property
    def state(self) -> State:
        """All numbers now, as copies."""
        return self._active.session.state

    def load(self, state: State) -> None:
        """Continue from a state."""
        self._active.session.load(state)

    def logits(self, X: Array) -> Array:
        """Compute Z in inference."""
        return self._active.session.logits(X)

    def run(self, epoch: int, first: int, rates: Array, stop: Callable[[], bool] = never) -> Sums:
        """Run batches of an epoch; `stop` is asked at least once in each window."""
        sums = Sums()
        done = 0
        while done < len(rates):
            batch = first + done
            part = self._ready(epoch, batch)
            count = min(part.end - batch, len(rates) - done)
            chunk = self._active
            measured = chunk.session.run(
                chunk.turn, chunk.before + batch - part.first, rates[done : done + count], stop
            )
            done += int(measured.steps)
            sums = sums + measured
            if first + done == part.end:
                self._leave(part)
            if int(measured.steps) < count or (done < len(rates) and stop()):
                break
        return sums

    def _ready(self, epoch: int, batch: int) -> _Part:
        """Return the part of an epoch that a batch is in, laid out for the engine."""
        part = self._part
        if part is None or part.epoch != epoch or not part.first <= batch < part.end:
            row = batch * self._recipe.batch_size
            if self._reader is None or self._next != (epoch, row):
                self._open(epoch, row)
            self._part = part = self._laid_out(epoch, batch, self._rows - row)
        return part

    def _laid_out(self, epoch: int, batch: int, left: int) -> _Part:
        """Lay out the next batches of an epoch, of which `left` rows are left: those that end in the next window."""
        size = self._recipe.batch_size
        numbers, window = self._numbers(min(size, left))
        numbers = numbers[:left]
        used = len(numbers) - len(numbers) % size
        chunk = self._whole
        if not used:
            used = len(numbers)
            self._short = self._short or _Chunk(self._engine, self._recipe, self._arrays, 1, used)
            chunk = self._short
        if chunk is not self._active:
            chunk.session.load(self._active.session.state)
            self._active = chunk
        chunk.visit(numbers[:used])
        self._next = (epoch, batch * size + used) if used < left else (epoch + 1, 0)
        return _Part(epoch, batch, batch - (-used // size), numbers[used:], window)

    def _numbers(self, fewest: int) -> tuple[Array, bool]:
        """Return the numbers of the next rows in the arrays, and whether a window is in use for them."""
        assert self._reader is not None
        while self._aside < fewest:
            window = self._reader.get()
            if window is None:
                raise InvalidValueError(must_be("fit", "stream", f"of {len(self._stream):,} rows", "fewer"))
            if self._aside + len(window) >= fewest:
                return np.concatenate([self._arrays.aside(self._aside), window]), True
            self._arrays.put_aside(self._aside, window)
            self._aside += len(window)
            self._reader.free()
        return self._arrays.aside(self._aside), False

    def _leave(self, part: _Part) -> None:
        """Put the rows aside that were not trained on yet, and free the half of the arrays for the reader."""
        self._arrays.put_aside(0, part.rest)
        self._aside = len(part.rest)
        self._part = None
        if part.window and self._reader is not None:
            self._reader.free()

    def _open(self, epoch: int, row: int) -> None:
        """Start to read at a row of an epoch; the epochs after it follow, so that none begins with a wait."""
        self.close()
        self._reader = Prefetch(_windows(self._stream, self._arrays, epoch, row), 2)

    def close(self) -> None:
        """End the thread that reads."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._part = None
        self._aside = 0


@dataclass(frozen=True, eq=False)
class _Part:
    """Batches first .. end - 1 of an epoch, the numbers of further rows in memory, and whether these are in a window."""

    epoch: int
    first: int
    end: int
    rest: Array = field(repr=False)
    window: bool


def _windows(stream: StreamRows, arrays: _Arrays, epoch: int, row: int) -> Iterator[Array]:
    """Fill one half of the arrays after the other; yield the numbers of their rows in the order of the visit."""
    half = 0
    with stream.reading() as cut:
        while True:
            for window in stream.order.windows(epoch, row):
                start = half * arrays.half
                rows = arrays.rows(start, len(window.order))
                stream.fill(cut, window, rows)
                arrays.check(rows)
                yield window.order[window.skip :] + np.uint32(start)
                half = 1 - half
            epoch += 1
            row = 0


class _Arrays:
    """Rows in memory: two halves with room for a window each, and after them rows that are put aside."""

    def __init__(self, recipe: Recipe, stream: StreamRows) -> None:
        exclusive = isinstance(recipe.loss, SoftmaxCrossEntropy)
        self.half = stream.order.capacity
        self._classes = recipe.net.outputs if exclusive else 0
        n = 2 * self.half + recipe.batch_size
        self.X = np.zeros((n, recipe.net.inputs), recipe.dtype)
        self.Y = np.zeros(n, np.int64) if exclusive else np.zeros((n, recipe.net.outputs), recipe.dtype)
        self.c = np.ones(n, recipe.dtype)

    def rows(self, start: int, n: int) -> Block:
        """Return n rows as views."""
        return self.X[start : start + n], self.Y[start : start + n], self.c[start : start + n]

    def check(self, block: Block) -> None:
        """Refuse classes that the network has no output for; an engine does not check rows again that it was given once."""
        Y = block[1]
        if self._classes and len(Y) and not (int(Y.min()) >= 0 and int(Y.max()) < self._classes):
            raise InvalidValueError(must_be("fit", "y", f"classes in 0..{self._classes - 1}", f"{Y.min()}..{Y.max()}"))

    def aside(self, n: int) -> Array:
        """Return the numbers of the first n rows that are put aside."""
        return np.arange(2 * self.half, 2 * self.half + n, dtype=np.uint32)

    def put_aside(self, start: int, numbers: Array) -> None:
        """Copy rows aside, after the `start` that lie there."""
        to = slice(2 * self.half + start, 2 * self.half + start + len(numbers))
        for array in (self.X, self.Y, self.c):
            array[to] = array[numbers]


class _Chunk:
    """A session of an engine on rows of the arrays whose numbers can be changed.

    Its last batch has `n` rows, or it consists of whole batches; the `before` first batches are not used. An engine visits a
    single batch of all its rows in their own order and reads it once, therefore a chunk has two batches or more. It forms
    the order of an epoch once, therefore the epoch's number changes with the rows.
    """

    def __init__(self, engine: Engine, recipe: Recipe, arrays: _Arrays, before: int, n: int) -> None:
        self.before = before
        self.turn = 0
        size = before * recipe.batch_size + n
        self._start = before * recipe.batch_size
        self._visited = np.zeros(size, np.uint32)
        self._places = [recipe.order(np, size, turn) for turn in (0, 1)]
        self.session: Session = engine.compile(recipe, Rows(arrays.X, arrays.Y, arrays.c, self._visited))

    def visit(self, numbers: Array) -> None:
        """Let the engine visit the rows of these numbers next."""
        self.turn = 1 - self.turn
        self._visited[self._places[self.turn][self._start : self._start + len(numbers)]] = numbers
