"""The native engine: the same mathematics several times faster, as a plan run by compiled kernels, an epoch per call.

Of a small network an epoch takes less time than a call from Python: a `Block` runs several in one call, for one or many
sessions.
In: a recipe and rows. Out: a session that holds all numbers in the extension's own layout and copies them out on request.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cache, lru_cache
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import Interval, Same, Unkeyed
from chainrule.engines.base import Rows, Session, never
from chainrule.engines.border import MOST_ROWS, checked_batches, checked_inputs, checked_rows, checked_state, ready
from chainrule.engines.plan import Plan, lower, obstacles
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe, State, Sums

_THREADS = Interval(0, 1024, "[]", whole=True)


@cache
def extension() -> Any:
    """Return the compiled module, or None if this installation has none."""
    try:
        return importlib.import_module("chainrule.engines._native")
    except ImportError:
        return None


_NONE = np.empty(0, np.uint32)


class NativeSession:
    """A training run by the extension, which changes its numbers in place and copies them out and in."""

    def __init__(self, recipe: Recipe, rows: Rows, threads: int = 0, start: State | None = None) -> None:
        module = extension()
        rows = checked_rows(recipe, rows)
        self._recipe = recipe
        self._batches = recipe.batch_count(len(rows))
        self.plan, stages, phases, settings = _lowered(recipe)
        with _FILLING:
            settings.seed = recipe.seed
            self._session = module.Session(
                stages=stages,
                phases=phases,
                settings=settings,  # copied
                X=rows.X,
                Y=rows.Y,
                c=rows.c,
                visited=_NONE if rows.visited is None else rows.visited,
                threads=threads,
            )
        self._write(recipe.start() if start is None else start)

    @property
    def recipe(self) -> Recipe:
        """What is trained."""
        return self._recipe

    @property
    def native(self) -> Any:
        """The extension's own session."""
        return self._session

    @property
    def state(self) -> State:
        """All numbers now, as copies."""
        recipe = self._recipe
        w = np.empty(recipe.net.size, recipe.dtype)
        statistics = np.empty(recipe.net.buffers.size, recipe.dtype)
        vectors = {name: np.empty_like(w) for name in recipe.state_names}
        step = self._session.read(w=w, statistics=statistics, vectors=vectors)
        return State(w, statistics, vectors, step)

    def load(self, state: State) -> None:
        """Continue from a state."""
        self._write(checked_state(self._recipe, state))

    def _write(self, state: State) -> None:
        """Copy a state of the recipe in."""
        dtype = self._recipe.dtype
        self._session.write(
            w=ready(state.w, dtype),
            statistics=ready(state.buffers, dtype),
            vectors={name: ready(vector, dtype) for name, vector in state.optimizer_state.items()},
            step=int(state.step),
        )

    def run(self, epoch: int, first: int, rates: Array, stop: Callable[[], bool] = never) -> Sums:
        """Run batches of an epoch without Python in between; `stop` is called after the first, then every 20 ms."""
        rates = checked_batches(self._batches, epoch, first, rates)
        sums = self._session.run(int(epoch), int(first), rates, stop)
        return Sums(**{f.name: getattr(sums, f.name) for f in fields(Sums)})

    def logits(self, X: Array) -> Array:
        """Compute Z in inference."""
        X = checked_inputs(self._recipe.net, X, self._recipe.dtype)
        Z = np.empty((len(X), self._recipe.net.outputs), self._recipe.dtype)
        self.logits_into(X, Z)
        return Z

    @property
    def logits_into(self) -> Callable[[Array, Array], None]:
        """Function that writes the logits of X into Z, both contiguous and of the recipe's dtype."""
        run: Callable[[Array, Array], None] = self._session.logits
        return run

    @property
    def nbytes(self) -> int:
        """Bytes that the session holds, the data apart."""
        return int(self._session.nbytes)

    @property
    def threads(self) -> int:
        """Threads that a step uses now."""
        return int(self._session.threads)

    @property
    def isa(self) -> str:
        """Instruction set whose kernels run."""
        return str(self._session.isa)

    def profile(self) -> None:
        """Start to measure the time of each phase of the plan."""
        self._session.profile()

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds spent in each phase of the plan since `profile`."""
        return tuple(1e-9 * each for each in self._session.nanoseconds)


_FILLING = threading.Lock()
"""Held while settings that are shared get a seed and are copied."""


def _lowered(recipe: Recipe) -> tuple[Plan, list[Any], list[Any], Any]:
    """Return the plan of a recipe with the extension's stages, phases and settings, whose seed the caller fills in.

    They are kept from the last time for an equal network.
    """
    multipliers = tuple(recipe.learning_rate_multipliers.items())
    try:
        plan, stages, phases, settings = _lower_same(Same(recipe.family), multipliers, Unkeyed(recipe))
    except TypeError:  # a part that holds arrays
        return _lower(_shape(recipe, multipliers))
    return Plan(recipe, plan.stages), stages, phases, settings


def _shape(recipe: Recipe, multipliers: tuple[Any, ...]) -> _Shape:
    return _Shape((*(getattr(recipe, name) for name in _SHAPING), multipliers), recipe)


@lru_cache(maxsize=64)
def _lower_same(family: Same, multipliers: tuple[Any, ...], recipe: Unkeyed) -> Any:
    return _lower_once(_shape(recipe.one, multipliers))


_SHAPING = tuple(f.name for f in fields(Recipe) if f.name not in {"seed", "learning_rate_multipliers"})
"""What is lowered follows from these and the multipliers: all but the seed, which is one of the settings."""


@dataclass(frozen=True)
class _Shape:
    """What a recipe is lowered by."""

    parts: tuple[Any, ...]
    recipe: Recipe = field(compare=False)


@lru_cache(maxsize=64)
def _obstacles(family: Same, recipe: Unkeyed) -> tuple[str, ...]:
    return tuple(obstacles(recipe.one))


def _lower(shape: _Shape) -> tuple[Plan, list[Any], list[Any], Any]:
    module, plan = extension(), lower(shape.recipe)
    stages = [record(module, "FusedStage", stage.fields()) for stage in plan.stages]
    phases = [record(module, "Phase", phase.fields()) for phase in plan.phases]
    return plan, stages, phases, record(module, "TrainingSettings", plan.settings())


_lower_once = lru_cache(maxsize=16)(_lower)


def record(module: Any, name: str, values: Mapping[str, Any]) -> Any:
    """Fill one of the extension's structs by the names of its fields, enumerators by their names.

    Raises `TypeError` unless the values name exactly the fields that the struct has.
    """
    struct = getattr(module, name)
    names = field_names(struct)
    if values.keys() != names:
        differing = sorted(values.keys() ^ names)
        raise TypeError(f"{name}: Python and C++ must name the same fields, but only one side has {differing}.")
    filled = struct()
    for name_of_field, value in values.items():
        setattr(filled, name_of_field, _converted(module, value))
    return filled


def _converted(module: Any, value: Any) -> Any:
    """Return a value as the extension takes it: enumerators and structs as its own, a tuple as a list."""
    if isinstance(value, Enum):
        return _enumerator(module, value)
    if isinstance(value, tuple | list):
        return [_converted(module, each) for each in value]
    return record(module, type(value).__name__, value.fields()) if hasattr(value, "fields") else value


@cache
def field_names(struct: type) -> set[str]:
    """Return the names of the fields of one of the extension's structs."""
    return {name for name, member in vars(struct).items() if isinstance(member, property)}


def _enumerator(module: Any, value: Enum) -> Any:
    """Return the extension's enumerator with the same class name and the same name, in lower case."""
    return getattr(module, type(value).__name__)[value.name.lower()]


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

    def all_logits(self, count: int) -> Array:
        """Return the logits (count, n, k) after each of the first epochs of the block; valid until the next run."""
        logits: Array = self._Z[:count]
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


def predictor(net: Net, w: Array, buffers: Array) -> Callable[[Array], Array] | None:
    """Return a function from rows to logits that runs compiled kernels, or None if that is impossible."""
    network = _network(net, w, buffers)
    if network is None:
        return None
    dtype, outputs, run = w.dtype, net.outputs, network.logits

    def logits(X: Array) -> Array:
        X = ready(X, dtype)
        Z = np.empty((len(X), outputs), dtype)
        run(X, Z)
        return Z

    return logits


def raw_predictor(net: Net, w: Array, buffers: Array, mean: Array, scale: Array) -> NativePredictor | None:
    """Return a predictor for rows in the user's units, or None if compiled kernels cannot run the network."""
    network = _network(net, w, buffers, ready(mean, np.float64), ready(scale, np.float64))
    return None if network is None else NativePredictor(network, net.outputs, w.dtype)


class NativePredictor:
    """Predictions for rows in the user's units, which the extension scales and checks on their way in."""

    def __init__(self, network: Any, outputs: int, dtype: Any) -> None:
        self._logits = network.logits
        self._classes = network.classes
        self._outputs = outputs
        self._dtype = dtype

    def logits(self, X: Array) -> Array | None:
        """Return the logits (n, k) of rows (n, d), or None if a number is out of range or of a type that is not read."""
        rows = _readable(X)
        if rows is None:
            return None
        Z = np.empty((len(rows), self._outputs), self._dtype)
        return Z if self._logits(rows, Z) else None

    def classes(self, X: Array, temperature: float) -> Array | None:
        """Return the number of each row's class (n), -1 where only its probabilities can decide; None as above."""
        rows = _readable(X)
        if rows is None:
            return None
        found = np.empty(len(rows), np.int64)
        return found if self._classes(rows, found, temperature) else None


def standardized(
    X: Array, mean: Array, scale: Array, dtype: Any, visited: Array | None = None, into: Array | None = None
) -> Array | None:
    """Return (X - mean) / scale of the rows `visited` (None: all), computed in float64 and stored in `dtype`, in `into`.

    None if a number is out of range, or where compiled kernels cannot compute it.
    """
    module = extension()
    rows = None if module is None or np.dtype(dtype) not in _FLOATS else _readable(X)
    if rows is None:
        return None
    numbers = None if visited is None else ready(visited, np.uint32)
    Z = np.empty((len(rows) if numbers is None else len(numbers), len(mean)), dtype) if into is None else into
    return Z if module.standardize(rows, numbers, ready(mean, np.float64), ready(scale, np.float64), Z) else None


_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
"""Types of rows that the extension reads."""


def _readable(X: Array) -> Array | None:
    """Return rows as the extension reads them, in any order in memory; None for types wider than float64."""
    if X.dtype not in _FLOATS:
        if X.dtype.itemsize > 8:
            return None
        X = X.astype(np.float64)
    size = X.itemsize
    rows, columns = X.strides
    return X if X.flags.aligned and rows % size == 0 and columns % size == 0 else X.copy()


def predictors(networks: Sequence[tuple[Net, Array, Array, int]]) -> Callable[[Sequence[Array]], Array] | None:
    """Return a function from rows of several kinds to the logits of all networks, each with its kind of rows.

    One call of the extension computes all of them. None if that is impossible.
    """
    compiled = [_network(net, w, buffers) for net, w, buffers, _ in networks]
    if any(network is None for network in compiled):
        return None
    run = extension().Networks(compiled, [which for *_, which in networks]).logits
    dtype = networks[0][1].dtype
    count, outputs = len(networks), networks[0][0].outputs

    def logits(X: Sequence[Array]) -> Array:
        X = [ready(rows, dtype) for rows in X]
        Z = np.empty((count, len(X[0]), outputs), dtype)
        run(X, Z)
        return Z

    return logits


def _network(net: Net, w: Array, buffers: Array, mean: Array | None = None, scale: Array | None = None) -> Any:
    """Return the extension's predictor with a network's numbers, None where the extension cannot run the network."""
    recipe = Recipe(net, MeanSquaredError(), batch_size=2, dtype=str(w.dtype))
    if NativeEngine().supports(recipe):
        return None
    module = extension()
    return module.Predictor(
        stages=[record(module, "FusedStage", stage.fields()) for stage in lower(recipe).stages],
        w=ready(w, w.dtype),
        statistics=ready(buffers, w.dtype),
        mean=mean,
        scale=scale,
        threads=0,
    )


class NativeEngine:
    """Compiled kernels for every layer, loss and optimizer of the package.

    Parameters
    ----------
    threads : int, default=0
        Threads of a step, at most 1024. 0 chooses their number from the work of a step, within OpenMP's limit. The number
        of threads does not change a single bit of the results.

    Raises
    ------
    InvalidValueError
        For a number of threads that is none.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import Dense, Net
    >>> from chainrule.engines import Rows, choose
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.nn.step import Recipe
    >>> recipe = Recipe(Net(2, [Dense(1)]), MeanSquaredError(), batch_size=4)
    >>> rows = Rows.of(recipe, np.ones((8, 2)), np.ones(8))
    >>> engine, passed_over = choose("auto", recipe)
    >>> session = engine.compile(recipe, rows)
    >>> session.run(epoch=0, first=0, rates=np.full(2, 0.1)).steps
    2
    """

    name = "native"

    def __init__(self, threads: int = 0) -> None:
        if not _THREADS.allows(threads):
            raise InvalidValueError(must_be("NativeEngine", "threads", f"{_THREADS}", threads, "0 chooses."))
        self._threads = int(threads)

    def supports(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the reasons why this engine cannot run a recipe: no extension, or custom parts.

        Parameters
        ----------
        recipe : Recipe
            The training to run.

        Returns
        -------
        tuple of str
            One sentence per reason; empty if the engine can run the recipe.
        """
        missing = () if extension() else ("The compiled extension is not part of this installation.",)
        return (*missing, *_obstacles(Same(recipe.family), Unkeyed(recipe)))

    def compile(self, recipe: Recipe, rows: Rows) -> Session:
        """Return a session at the recipe's initial state.

        Parameters
        ----------
        recipe : Recipe
            The training to run.
        rows : Rows
            Training rows, as `Rows.of` checks them.

        Returns
        -------
        Session
            A training in progress.
        """
        return NativeSession(recipe, rows, self._threads)

    def compile_at(self, recipe: Recipe, rows: Rows, start: State) -> NativeSession:
        """Return a session at a state that is known to be of the recipe.

        Parameters
        ----------
        recipe : Recipe
            The training to run.
        rows : Rows
            Training rows, as `Rows.of` checks them.
        start : State
            Numbers to begin from; copied.

        Returns
        -------
        NativeSession
            A training in progress.
        """
        return NativeSession(recipe, rows, self._threads, start)
