"""A session that is fed: an engine trains on a chunk of rows in memory while a thread reads the next ones.

An engine visits the rows of its arrays in an order that follows from the seed. A chunk is laid out so that this order is
that of the stream: batch by batch, the engine computes what it would compute with all rows in memory in that order. Chunks
hold whole batches, so that batches go across windows; the last chunk of an epoch has its own arrays.
In: an engine, a recipe, rows in the order of an epoch. Out: a `Session`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from chainrule.arrays import Array
from chainrule.data.stream.prefetch import Prefetch
from chainrule.data.stream.rows import Block, StreamRows
from chainrule.engines import Engine, Rows, Session, never
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.step import Recipe, State, Sums

_CHUNK_BYTES = 2**22
_FEWEST = 8
"""Bytes of a chunk, and batches that it holds at least."""

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
        self._bounds = recipe.batches(len(stream))
        self._rows = self._bounds[-1][1]
        row = stream.scaling.mean.size * np.dtype(recipe.dtype).itemsize
        most = max(1, min(stream.window // 4, _CHUNK_BYTES) // (recipe.batch_size * row))
        self._batches = min(max(_FEWEST, most), len(self._bounds))
        self._whole = _Chunk(engine, recipe, self._batches * recipe.batch_size, stream.scaling.mean.size)
        self._active = self._whole
        self._at = (-1, -1, 0)
        self._reader: Prefetch[Block] | None = None
        self._rest: Block | None = None
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
        """Run batches of an epoch; `stop` is asked at least once in each chunk."""
        sums = Sums()
        done = 0
        while done < len(rates):
            number, offset = divmod(first + done, self._batches)
            chunk = self._filled(epoch, number, offset)
            count = min(self._batches - offset, len(rates) - done)
            part = chunk.session.run(0, offset, rates[done : done + count], stop)
            done += int(part.steps)
            sums = sums + part
            if int(part.steps) < count or (done < len(rates) and stop()):
                break
        return sums

    def _filled(self, epoch: int, number: int, offset: int) -> _Chunk:
        """Return a chunk of an epoch with its rows from batch `offset` on."""
        held_epoch, held_number, held_from = self._at
        if (held_epoch, held_number) == (epoch, number) and held_from <= offset:
            return self._active
        start = number * self._batches * self._recipe.batch_size
        n = min(self._whole.n, self._rows - start)
        again = n == self._whole.n and self._batches > 1  # an engine reads a single batch of all its rows once
        chunk = self._whole if again else _Chunk(self._engine, self._recipe, n, self._whole.d)
        if chunk is not self._active:
            chunk.session.load(self._active.session.state)
        self._active = chunk
        self._at = (-1, -1, 0)
        first = offset * self._recipe.batch_size
        self._read(epoch, start + first, chunk, first)
        self._at = (epoch, number, offset)
        return chunk

    def _read(self, epoch: int, row: int, chunk: _Chunk, place: int) -> None:
        """Fill a chunk from `place` on with the rows of an epoch from `row` on."""
        if self._reader is None or self._next != (epoch, row):
            self._open(epoch, row)
        assert self._reader is not None
        while place < chunk.n:
            block = self._rest or self._reader.get()
            if block is None:
                raise InvalidValueError(must_be("fit", "stream", f"of {len(self._stream):,} rows", "fewer"))
            taken = min(len(block[0]), chunk.n - place)
            chunk.put(place, (block[0][:taken], block[1][:taken], block[2][:taken]))
            self._rest = None if taken == len(block[0]) else (block[0][taken:], block[1][taken:], block[2][taken:])
            place += taken
            row += taken
        self._next = (epoch, row) if row < self._rows else (epoch + 1, 0)

    def _open(self, epoch: int, row: int) -> None:
        """Start to read at a row of an epoch; the epochs after it follow, so that none begins with a wait."""
        self.close()
        items = _pieces(self._stream, self._rows, self._whole.n, epoch, row)
        self._reader = Prefetch(items, lambda block: sum(part.nbytes for part in block), self._stream.window)

    def close(self) -> None:
        """End the thread that reads."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._rest = None


def _pieces(stream: StreamRows, rows: int, size: int, epoch: int, row: int) -> Iterator[Block]:
    """Yield the rows from a place on in pieces of at most `size`, epoch after epoch; each has `rows`."""
    while True:
        for block in stream.blocks(epoch, row):
            for start in range(0, min(len(block[0]), rows - row), size):
                end = min(start + size, rows - row)
                yield block[0][start:end].copy(), block[1][start:end].copy(), block[2][start:end].copy()
            row += len(block[0])
            del block
        epoch += 1
        row = 0


class _Chunk:
    """Arrays of some batches, with a session of the engine that trains on them."""

    def __init__(self, engine: Engine, recipe: Recipe, n: int, d: int) -> None:
        exclusive = isinstance(recipe.loss, SoftmaxCrossEntropy)
        self.n = n
        self.d = d
        self._classes = recipe.net.outputs if exclusive else 0
        self._X = np.zeros((n, d), recipe.dtype)
        self._Y = np.zeros(n, np.int64) if exclusive else np.zeros((n, recipe.net.outputs), recipe.dtype)
        self._c = np.ones(n, recipe.dtype)
        self._place = recipe.order(np, n, 0)
        self.session: Session = engine.compile(recipe, Rows(self._X, self._Y, self._c))

    def put(self, start: int, block: tuple[Array, ...]) -> None:
        """Put rows where the engine visits them as numbers start, start + 1, ... of the chunk."""
        X, Y, c = block
        if self._classes and len(Y) and not (int(Y.min()) >= 0 and int(Y.max()) < self._classes):
            raise InvalidValueError(must_be("fit", "y", f"classes in 0..{self._classes - 1}", f"{Y.min()}..{Y.max()}"))
        to = self._place[start : start + len(X)]
        self._X[to] = X
        self._Y[to] = Y
        self._c[to] = c
