"""Layers side by side: each works on its own part of the columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chainrule.arrays import Array, Named
from chainrule.constraints import COUNT, Checked
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.nn.layers.base import Context, Layer, LayerShapes
from chainrule.random import Stream


@dataclass(frozen=True)
class Parallel(Checked):
    """Layers side by side: split the columns into consecutive parts, run a layer on each, join the outputs.

    Numbers of a branch carry its position and an underscore before their letter: in layer 0 of a network, `0.1_E` is the
    E of branch 1. `Activation("identity")` is the branch that passes its columns on. Weight decay and penalties act on
    the W of layers that stand in the network itself, not on those inside a branch.

    Forward    (1) [A₁ .. A_B] = A    (2) Yⱼ = fⱼ(Aⱼ)    (3) Y = [Y₁ .. Y_B]
    Backward   (4) [dY₁ .. dY_B] = dY    (5) dAⱼ, dwⱼ = fⱼ'(dYⱼ)    (6) dA = [dA₁ .. dA_B]
    Shapes     A (n, d)   Y (n, k)

    Parameters
    ----------
    branches : sequence of (int, Layer)
        Width and layer of each branch, in the order of the columns. The widths are >= 1 and add up to the columns of the
        input.

    Raises
    ------
    InvalidValueError
        For branches that are not such pairs; by `shapes`, for an input of another width.

    Examples
    --------
    >>> from chainrule.nn.layers import Activation, Dense
    >>> layer = Parallel([(2, Dense(3)), (1, Activation("identity"))])
    >>> layer.shapes(3).parameters, layer.shapes(3).outputs
    ({'0_W': (2, 3), '0_b': (3,)}, 4)
    """

    branches: tuple[tuple[int, Layer], ...]

    def __init__(self, branches: Iterable[tuple[int, Layer]]) -> None:
        chosen = tuple(branches) if isinstance(branches, Iterable) else ()
        raise_all(_branch_faults(branches, chosen))
        object.__setattr__(self, "branches", tuple((int(width), layer) for width, layer in chosen))

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns that each branch takes."""
        return tuple(width for width, _ in self.branches)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of every branch under `branch_letter`."""
        if sum(self.widths) != d:
            hint = f"They add up to {sum(self.widths)}."
            raise InvalidValueError(
                must_be("Parallel", "branches", f"of widths that add up to the {d} columns", self.widths, hint)
            )
        inner = [layer.shapes(width) for width, layer in self.branches]
        return LayerShapes(
            _joined([shapes.parameters for shapes in inner]),
            _joined([shapes.buffers for shapes in inner]),
            sum(shapes.outputs for shapes in inner),
        )

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw each branch from a stream of its own."""
        drawn = [layer.init(stream.fold(j), width) for j, (width, layer) in enumerate(self.branches)]
        return _joined([p for p, _ in drawn]), _joined([buffers for _, buffers in drawn])

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save what each branch saves, under `branch_letter`."""
        outputs = []
        saved = []
        new = []
        parts = _split(A, self.widths)  # (1)
        for j, (_, layer) in enumerate(self.branches):
            inner = Context(ctx.xp, ctx.training, None if ctx.stream is None else ctx.stream.fold(j))
            Y, kept, after = layer.forward(_of(j, p), _of(j, buffers), parts[j], inner)  # (2)
            outputs.append(Y)
            saved.append(kept)
            new.append(after)
        Y = ctx.xp.concatenate(outputs, axis=1)  # (3)
        return Y, _joined(saved), _joined(new)

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA and the gradients of every branch."""
        gradients = []
        dA = []
        parts = _split(dY, [layer.shapes(width).outputs for width, layer in self.branches])  # (4)
        for j, (_, layer) in enumerate(self.branches):
            back, g = layer.backward(_of(j, p), _of(j, saved), parts[j], ctx)  # (5)
            dA.append(back)
            gradients.append(g)
        return ctx.xp.concatenate(dA, axis=1), _joined(gradients)  # (6)


def all_layers(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Return the layers in order, each `Parallel` followed by those inside its branches.

    Parameters
    ----------
    layers : iterable of Layer
        The layers of a network.

    Returns
    -------
    iterator of Layer

    Examples
    --------
    >>> from chainrule.nn.layers import Activation, Dropout
    >>> list(all_layers([Parallel([(2, Activation("identity"))]), Dropout(0.1)]))[1:]
    [Activation(function='identity'), Dropout(rate=0.1)]
    """
    for layer in layers:
        yield layer
        if isinstance(layer, Parallel):
            yield from all_layers(inner for _, inner in layer.branches)


def _branch_faults(given: Any, branches: Sequence[Any]) -> Iterator[str]:
    """Yield what is wrong with the branches."""
    if not branches:
        yield must_be("Parallel", "branches", "a list of (width, layer) pairs", given)
    for j, branch in enumerate(branches):
        place = f"branches[{j}]"
        if not isinstance(branch, list | tuple) or len(branch) != 2:
            yield must_be("Parallel", place, "a (width, layer) pair", branch)
        elif not COUNT.allows(branch[0]):
            yield must_be("Parallel", place, f"of a width that is {COUNT}", branch[0], "Leave an empty branch out.")
        elif isinstance(branch[1], type) or not all(hasattr(branch[1], need) for need in ("shapes", "forward")):
            yield must_be("Parallel", place, "a pair with a layer", branch[1])


def _joined(named: Sequence[Named]) -> dict[str, Any]:
    """Return the arrays of all branches under `branch_letter`."""
    return {f"{j}_{letter}": array for j, arrays in enumerate(named) for letter, array in arrays.items()}


def _of(j: int, named: Named) -> dict[str, Array]:
    """Return the arrays of one branch under their own letters."""
    prefix = f"{j}_"
    return {key.removeprefix(prefix): array for key, array in named.items() if key.startswith(prefix)}


def _split(A: Array, widths: Sequence[int]) -> list[Array]:
    """Return the columns in consecutive parts of these widths."""
    ends = [sum(widths[:j]) for j in range(len(widths) + 1)]
    return [A[:, start:end] for start, end in pairwise(ends)]
