"""The numbers of a derivation for one row of data, checked against central differences.

In: a network, a loss, rows, the symbols of every layer. Out: the value of every symbol of the forward pass and every
gradient, as a training step computes them, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.nn.gradcheck import central_differences
from chainrule.nn.layers import BatchNorm, Context, all_layers
from chainrule.nn.losses import Loss, mean_loss
from chainrule.nn.net import Net
from chainrule.nn.tape import LayerTrace
from chainrule.random import Purpose, Stream
from chainrule.report.explain_steps import Part

_ENTRIES = 40
"""Entries of each array that are compared with differences."""

_LETTERS = {"Zhat": "Ẑ", "alpha": "α", "beta": "β", "gamma": "γ"}


@dataclass(frozen=True, eq=False)
class RowNumbers:
    """What every step of a derivation gives for one row.

    Parameters
    ----------
    row : int
        Number of the row, counted from 0.
    loss : float
        Its loss.
    prediction : array of shape (k,)
        What the loss's link makes of its logits.
    values : mapping of str to array
        The row, the parameters and every result of the forward pass, by symbol.
    gradients : mapping of str to array
        Derivatives of this row's loss, by symbol with a d in front.
    difference : float
        Largest relative difference of the gradients from central differences, over all arrays.
    compared : int
        Entries that were compared.
    statistics : int
        Rows that batch norm took its statistics from; 0 without batch norm.
    """

    row: int
    loss: float
    prediction: Array
    values: Mapping[str, Array] = field(repr=False)
    gradients: Mapping[str, Array] = field(repr=False)
    difference: float
    compared: int
    statistics: int = 0

    def plain(self) -> dict[str, Any]:
        """Return all numbers as dictionaries and lists.

        Returns
        -------
        data : dict
            Ready for JSON.
        """
        return {
            "row": self.row,
            "loss": self.loss,
            "prediction": self.prediction.tolist(),
            "values": {symbol: value.tolist() for symbol, value in self.values.items()},
            "gradients": {symbol: value.tolist() for symbol, value in self.gradients.items()},
            "max_relative_difference": self.difference,
            "entries_compared": self.compared,
            "rows_of_statistics": self.statistics,
        }


@dataclass(frozen=True, eq=False)
class _Batch:
    """The rows of the step, of which only one has a weight, and the place of that row among them."""

    X: Array
    Y: Array
    c: Array
    place: int


def row_numbers(
    net: Net,
    loss: Loss,
    parts: Sequence[Part],
    end: Part,
    X: Array,
    Y: Array,
    row: int,
    given: tuple[Array, Array],
    c: Array | None = None,
    seed: int = 0,
) -> RowNumbers:
    """Compute what every step of a derivation gives for one row.

    The step is the first one of a training on this row: all other rows have weight 0, and count only for the statistics
    of batch norm.

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss
        The loss.
    parts : sequence of Part
        The layers with their symbols.
    end : Part
        The loss with its symbols.
    X : array of shape (n, d)
        Rows.
    Y : array of shape (n,) or (n, k)
        Targets.
    row : int
        Number of the row.
    given : tuple of array
        Parameters and running statistics.
    c : array of shape (n,), default=None
        Weights of the rows.
    seed : int, default=0
        Fixes the dropout masks.

    Returns
    -------
    RowNumbers
    """
    w, buffers = (np.asarray(vector, np.float64) for vector in given)
    batch = _batch(net, loss, X, Y, row, c)
    ctx = Context(np, training=True, stream=Stream.from_seed(seed).fold(Purpose.DROPOUT, 0))
    Z, tape, _ = net.forward(w, buffers, batch.X, ctx)
    J, dZ = mean_loss(loss, np, Z, batch.Y, batch.c)
    traces = net.trace(w, buffers, batch.X, lambda logits: mean_loss(loss, np, logits, batch.Y, batch.c)[1], ctx)
    dX, g = net.backward(w, tape, dZ, ctx)
    one = slice(batch.place, batch.place + 1)
    values = {"X": batch.X[one]}
    gradients = {f"dL/d{end.entry}": loss.gradient(np, Z, batch.Y)[one], f"d{end.entry}": dZ[one]}
    params = net.parameters.views(w)
    for i, (part, saved, trace) in enumerate(zip(parts, tape.layers, traces, strict=True)):
        own = {name.partition(".")[2]: array for name, array in params.items() if name.startswith(f"{i}.")}
        values.update(_values(part, own, saved, trace.output, one))
    for i in reversed(range(len(parts))):
        entry = traces[i - 1].gradient if i else dX
        gradients.update(_gradients(parts[i], traces[i], traces[i].gradient, entry, one))
    prediction = loss.predict(np, Z[one])
    values.update({"P" if "P" in end.names else "Ŷ": prediction, "L": loss.rows(np, Z, batch.Y)[one]})
    difference, compared = _differences(net, loss, w, buffers, batch, ctx, g, dX, seed)
    statistics = len(batch.X) if len(batch.X) > 1 else 0
    return RowNumbers(row, float(J), prediction[0], values, gradients, difference, compared, statistics)


def _batch(net: Net, loss: Loss, X: Array, Y: Array, row: int, c: Array | None) -> _Batch:
    """Return the row alone, or among all rows where the network normalizes over the batch."""
    weight = 1.0 if c is None else float(c[row])
    exact = Y if Y.dtype.kind in "iu" and Y.ndim == 1 else Y.astype(np.float64)
    targets = exact if loss.targets.value == "classes" or exact.ndim == 2 else exact[:, None]
    if any(isinstance(layer, BatchNorm) for layer in all_layers(net.layers)):
        weights = np.where(np.arange(len(X)) == row, weight, 0.0)
        return _Batch(np.asarray(X, np.float64), targets, weights, row)
    return _Batch(np.asarray(X[row : row + 1], np.float64), targets[row : row + 1], np.array([weight]), 0)


def _values(part: Part, own: Named, saved: Named, output: Array, one: slice) -> Iterator[tuple[str, Array]]:
    """Yield the parameters of a layer, what it kept and what it gave, by symbol."""
    for j, branch in enumerate(part.branches):
        (first, last) = part.columns[j][1]
        yield from _values(branch, _inner(j, own), _inner(j, saved), output[:, first - 1 : last], one)
    for letter, array in {} if part.branches else own.items():
        yield part.names[_LETTERS.get(letter, letter)], array
    for letter, array in {} if part.branches else saved.items():
        symbol = _LETTERS.get(letter, letter)
        if symbol in part.names and symbol not in (part.source, part.result):
            yield part.names[symbol], _of_row(part, symbol, array, one)
    yield part.exit, output[one]


def _gradients(
    part: Part, trace: LayerTrace, output: Array, entry: Array, one: slice, own: Named | None = None
) -> Iterator[tuple[str, Array]]:
    """Yield the gradients with respect to a layer's output, its parameters and its input, by symbol."""
    own = trace.parameters if own is None else own
    yield f"d{part.exit}", output[one]
    for j, branch in enumerate(part.branches):
        (start, stop), (first, last) = part.columns[j]
        inner = _inner(j, own)
        yield from _gradients(branch, trace, output[:, first - 1 : last], entry[:, start - 1 : stop], one, inner)
    for letter, array in {} if part.branches else own.items():
        yield f"d{part.names[_LETTERS.get(letter, letter)]}", array
    yield f"d{part.entry}", entry[one]


def _inner(j: int, named: Named) -> dict[str, Array]:
    """Return the arrays of a branch under their own letters."""
    return {name.removeprefix(f"{j}_"): array for name, array in named.items() if name.startswith(f"{j}_")}


def _of_row(part: Part, symbol: str, array: Array, one: slice) -> Array:
    """Return the row's share of an array that the forward pass kept; embeddings keep theirs feature by feature."""
    if array.ndim == 3:
        return array[:, one]
    return array[one] if len(part.shapes.get(symbol, ())) == array.ndim > 1 else array


def _differences(
    net: Net,
    loss: Loss,
    w: Array,
    buffers: Array,
    batch: _Batch,
    ctx: Context,
    g: Array,
    dX: Array,
    seed: int,
) -> tuple[float, int]:
    """Return the largest relative difference of any array from central differences, and the entries compared."""

    def J(w: Array, X: Array) -> float:  # noqa: N802  (the mathematics' letter)
        return float(mean_loss(loss, np, net.forward(w, buffers, X, ctx)[0], batch.Y, batch.c)[0])

    stream = Stream.from_seed(seed).fold(Purpose.SPLIT)
    floor = 1e-3 * float(np.sqrt((g * g).sum() + (dX * dX).sum())) + 1e-12
    places = [np.arange(slot.offset, slot.offset + slot.size) for slot in net.parameters.slots]
    chosen = [each[np.sort(stream.fold(i).permutation(np, each.size)[:_ENTRIES])] for i, each in enumerate(places)]
    pairs = [(g[take], central_differences(lambda v: J(v, batch.X), w, g, take)) for take in chosen]
    flat = dX.ravel()
    d = batch.X.shape[1]
    own = batch.place * d + np.sort(stream.fold(len(places)).permutation(np, d)[:_ENTRIES])
    moved = central_differences(lambda v: J(w, v.reshape(batch.X.shape)), batch.X.ravel(), flat, own)
    if not _codes(net):
        pairs.append((flat[own], moved))
    errors = [float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a) + np.linalg.norm(b)), floor) for a, b in pairs]
    return max(errors, default=0.0), sum(len(a) for a, _ in pairs)


def _codes(net: Net) -> bool:
    """Check whether some inputs are codes of categories, in which the loss has no derivative."""
    return any(type(layer).__name__ == "CategoryEmbedding" for layer in all_layers(net.layers))
