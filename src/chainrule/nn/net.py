"""Why: a network is a fold of its layers forward and a reverse fold backward; everything else is bookkeeping done here.

In: one flat vector of parameters, one of running statistics, rows X. Out: logits Z, a tape of what the backward pass
will read, new running statistics; then the gradient, flat, and the gradient with respect to X.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.arrays import Array, Layout, Named, Namespace
from chainrule.constraints import COUNT, NOT_NEGATIVE, OneOf, faults
from chainrule.display import HtmlDisplay
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.nn.activations import activation as function_of
from chainrule.nn.initializers import default_for
from chainrule.nn.layers import LAYERS, Activation, BatchNorm, Context, Dense, Dropout, Layer, LayerNorm, LayerShapes
from chainrule.nn.penalties import bounded
from chainrule.random import Purpose, Stream


@dataclass(frozen=True)
class Segment:
    """A run of layers on the tape: either all that they saved, or only their input, to run them again from."""

    start: int
    saved: tuple[Named, ...]
    entry: Array | None


@dataclass(frozen=True)
class Tape:
    """What a forward pass keeps for the backward pass; `tape.layers[i]["A"]` shows one kept array."""

    segments: tuple[Segment, ...]
    buffers: Array

    @property
    def layers(self) -> tuple[Named, ...]:
        """Saved arrays by layer and letter (empty for layers that will be run again)."""
        return tuple(saved for segment in self.segments for saved in segment.saved)

    @property
    def nbytes(self) -> int:
        """Bytes held, each array counted once although two layers may share it."""
        kept = [array for saved in self.layers for array in saved.values()]
        kept += [segment.entry for segment in self.segments if segment.entry is not None]
        return sum(array.nbytes for array in {id(array): array for array in kept}.values())


@dataclass(frozen=True)
class Net(HtmlDisplay):
    """A dense network: the width of its inputs and its layers; holds no numbers.

    A `Dense` layer without an initializer gets the one that suits the activation behind it.

    Forward    (1) Aₗ = fₗ(Aₗ₋₁), for l = 1 .. L
    Backward   (2) dAₗ₋₁, dwₗ = fₗ'(dAₗ), for l = L .. 1
    Shapes     X (n, inputs)   Z (n, outputs)   w, g (P)   running statistics (B)
    Reference  [rumelhart1986], [ng2018] 7.1; recomputation [chen2016]

    >>> net = Net(4, [Dense(8), Activation("relu"), Dense(3)])
    >>> net.size, net.outputs
    (67, 3)
    >>> w, buffers = net.init(seed=0)
    >>> net(w, buffers, np.ones((2, 4))).shape
    (2, 3)
    """

    inputs: int
    layers: tuple[Layer, ...]

    def __init__(self, inputs: int, layers: Iterable[Layer]) -> None:
        chosen = tuple(layers) if isinstance(layers, Iterable) else ()
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "layers", chosen)
        raise_all(_faults(inputs, chosen))
        object.__setattr__(self, "layers", tuple(_with_initializer(chosen, i) for i in range(len(chosen))))

    @cached_property
    def layer_shapes(self) -> tuple[LayerShapes, ...]:
        """Shapes of every layer."""
        layer_shapes, d = [], self.inputs
        for layer in self.layers:
            layer_shapes.append(layer.shapes(d))
            d = layer_shapes[-1].outputs
        return tuple(layer_shapes)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of the rows before the first layer and after each layer."""
        return (self.inputs, *(shapes.outputs for shapes in self.layer_shapes))

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return self.widths[-1]

    @cached_property
    def parameters(self) -> Layout:
        """Where each parameter lies in w; names are "layer.letter", as "0.W"."""
        return Layout.of(
            (f"{i}.{k}", s) for i, shapes in enumerate(self.layer_shapes) for k, s in shapes.parameters.items()
        )

    @cached_property
    def buffers(self) -> Layout:
        """Where each running statistic lies."""
        return Layout.of(
            (f"{i}.{k}", s) for i, shapes in enumerate(self.layer_shapes) for k, s in shapes.buffers.items()
        )

    @property
    def size(self) -> int:
        """Number of parameters P."""
        return self.parameters.size

    @cached_property
    def decay(self) -> Array:
        """Vector (P): 1 for entries of weight matrices W, 0 for b, γ, β; what penalties and weight decay act on."""
        parts = [np.full(slot.size, float(slot.name.endswith(".W"))) for slot in self.parameters.slots]
        return np.concatenate([np.zeros(0), *parts])

    def multipliers(self, learning_rate_multipliers: Mapping[str, float]) -> Array:
        """Vector (P) of learning-rate multipliers from name patterns, the last match counting; 0 freezes.

        >>> Net(1, [Dense(1), Dense(1)]).multipliers({"*.b": 0.1, "0.*": 0.0})
        array([0. , 0. , 1. , 0.1])

        Raises `InvalidValueError` when a pattern matches no parameter or a multiplier is below 0.
        """
        raise_all(self._group_faults(learning_rate_multipliers))
        parts = [np.zeros(0)]
        for slot in self.parameters.slots:
            matching = [
                value for pattern, value in learning_rate_multipliers.items() if fnmatchcase(slot.name, pattern)
            ]
            parts.append(np.full(slot.size, float(matching[-1]) if matching else 1.0))
        return np.concatenate(parts)

    def _group_faults(self, learning_rate_multipliers: Mapping[str, float]) -> Iterable[str]:
        for pattern, value in learning_rate_multipliers.items():
            if not any(fnmatchcase(name, pattern) for name in self.parameters.names):
                hint = did_you_mean(pattern, self.parameters.names)
                yield must_be("Net", "learning_rate_multipliers", "patterns of parameter names", pattern, hint)
            if not NOT_NEGATIVE.allows(value):
                yield must_be("Net", f"learning_rate_multipliers[{pattern!r}]", "a number >= 0", value, "0 freezes.")

    def bounded(self, xp: Namespace, w: Array, limit: float, still: Collection[str] = ()) -> Array:
        """w with every column of every W, those named in `still` excepted, at most `limit` long (max-norm)."""
        named = self.parameters.views(w)
        chosen = {name for name in named if name.endswith(".W") and name not in still}
        return self.parameters.pack(
            xp, {name: bounded(xp, W, limit) if name in chosen else W for name, W in named.items()}, w
        )

    @property
    def head(self) -> int:
        """Position of the last `Dense`, which makes the logits; what stands before it is the body.

        Raises `InvalidValueError` for a network without one.
        """
        dense = [i for i, layer in enumerate(self.layers) if isinstance(layer, Dense)]
        raise_all([] if dense else [must_be("Net", "layers", "with a Dense layer at least", self.layers)])
        return dense[-1]

    def replace_head(self, units: int) -> Net:
        """The same network with so many units in its last `Dense`: the body goes on to another question.

        >>> Net(4, [Dense(8), Activation("relu"), Dense(3)]).replace_head(2).widths
        (4, 8, 8, 2)
        """
        head = self.head
        resized = (
            replace(x, units=units) if i == head and isinstance(x, Dense) else x for i, x in enumerate(self.layers)
        )
        return Net(self.inputs, resized)

    def inherit(self, seed: int, source: Net, w: Array, buffers: Array) -> tuple[Array, Array]:
        """First numbers by the seed, with every parameter and running statistic of the body from a trained network.

        Body layers must be of the same kind, shapes and function; rates of dropout and the like may differ.

        Raises `InvalidValueError` naming the first layer that differs.
        """
        self._check_body(source)
        own = self.init(seed)
        pairs = zip(
            (self.parameters, self.buffers), own, (source.parameters, source.buffers), (w, buffers), strict=True
        )
        return tuple(self._with_body(*pair) for pair in pairs)

    def _with_body(self, layout: Layout, own: Array, other: Layout, theirs: Array) -> Array:
        taken = {name: V for name, V in other.views(theirs).items() if int(name.split(".")[0]) < self.head}
        return layout.pack(np, {**layout.views(own), **taken}, own)

    def _check_body(self, source: Net) -> None:
        for i in range(max(self.head, source.head)):
            if _form(self, i) != _form(source, i):
                wanted, got = (_told(net, i) for net in (self, source))
                hint = "Body layers must be alike in kind, shapes and function."
                raise_all([must_be("Net", f"source.layers[{i}]", wanted, got, hint)])

    def init(self, seed: int) -> tuple[Array, Array]:
        """First w and running statistics, float64, from a seed."""
        stream = Stream.from_seed(seed).fold(Purpose.INIT)
        w, buffers = {}, {}
        for i, (layer, d) in enumerate(zip(self.layers, self.widths, strict=False)):
            p, b = layer.init(stream.fold(i), d)
            w.update({f"{i}.{letter}": array for letter, array in p.items()})
            buffers.update({f"{i}.{letter}": array for letter, array in b.items()})
        like = np.zeros(0)
        return self.parameters.pack(np, w, like), self.buffers.pack(np, buffers, like)

    def __call__(self, w: Array, buffers: Array, X: Array, ctx: Context | None = None) -> Array:
        """Logits in inference."""
        return self.forward(w, buffers, X, ctx or Context(np))[0]

    def forward(
        self, w: Array, buffers: Array, X: Array, ctx: Context, cache_every: int = 1
    ) -> tuple[Array, Tape, Array]:
        """Logits, tape, new running statistics.

        With `cache_every=k > 1` the tape keeps only the input of every k-th layer, and the backward pass runs the
        layers in between again: less memory, one more forward pass.
        """
        p, b = self._by_layer(self.parameters, w), self._by_layer(self.buffers, buffers)
        A, segments, new = X, [], []
        for start in range(0, len(self.layers), cache_every):
            entry = A
            A, saved, after = self._run(p, b, A, start, min(start + cache_every, len(self.layers)), ctx)  # (1)
            segments.append(Segment(start, saved, None) if cache_every == 1 else Segment(start, (), entry))
            new.extend(after)
        named = {f"{i}.{letter}": array for i, after in enumerate(new) for letter, array in after.items()}
        return A, Tape(tuple(segments), buffers), self.buffers.pack(ctx.xp, named, buffers)

    def backward(self, w: Array, tape: Tape, dZ: Array, ctx: Context) -> tuple[Array, Array]:
        """Gradient with respect to X and flat gradient g, from dZ (n, outputs); `ctx` as in the forward pass."""
        p, b = self._by_layer(self.parameters, w), self._by_layer(self.buffers, tape.buffers)
        grads: dict[str, Array] = {}
        dA, stop = dZ, len(self.layers)
        for segment in reversed(tape.segments):
            saved = segment.saved or self._run(p, b, segment.entry, segment.start, stop, ctx)[1]
            for i in reversed(range(segment.start, stop)):
                dA, g = self.layers[i].backward(p[i], saved[i - segment.start], dA, ctx)  # (2)
                grads.update({f"{i}.{letter}": array for letter, array in g.items()})
            stop = segment.start
        return dA, self.parameters.pack(ctx.xp, grads, w)

    def _run(
        self, p: Sequence[Named], b: Sequence[Named], A: Array, start: int, stop: int, ctx: Context
    ) -> tuple[Array, tuple[Named, ...], list[Named]]:
        """Layers start .. stop-1 forward, each with its own random stream."""
        saved, new = [], []
        for i in range(start, stop):
            stream = None if ctx.stream is None else ctx.stream.fold(i)
            A, kept, after = self.layers[i].forward(p[i], b[i], A, replace(ctx, stream=stream))
            saved.append(kept)
            new.append(after)
        return A, tuple(saved), new

    def _by_layer(self, layout: Layout, flat: Array) -> list[dict[str, Array]]:
        """Views of a flat vector: one dictionary of letters per layer."""
        by_layer: list[dict[str, Array]] = [{} for _ in self.layers]
        for name, view in layout.views(flat).items():
            i, letter = name.split(".")
            by_layer[int(i)][letter] = view
        return by_layer


def _faults(inputs: int, layers: Sequence[Any]) -> Iterable[str]:
    if not COUNT.allows(inputs):
        yield must_be("Net", "inputs", str(COUNT), inputs)
    if not layers:
        yield must_be("Net", "layers", "at least one layer", layers)
    for i, layer in enumerate(layers):
        if not isinstance(layer, tuple(LAYERS.values())):
            hint = f"Layers are {', '.join(LAYERS)}." + (
                " Write Dense(), with brackets." if layer in LAYERS.values() else ""
            )
            yield must_be("Net", f"layers[{i}]", "a layer", layer, hint)


def _form(net: Net, i: int) -> tuple[Any, ...]:
    """What makes numbers of layer i fit another network's layer: kind, function, shapes; nothing for the head."""
    if i >= net.head:
        return ()
    layer = net.layers[i]
    return type(layer), function_of(layer.function) if isinstance(layer, Activation) else None, net.layer_shapes[i]


def _told(net: Net, i: int) -> str:
    return f"{net.layers[i]} on {net.widths[i]} columns" if i < net.head else "the head"


def _with_initializer(layers: Sequence[Layer], i: int) -> Layer:
    """Layer i, with the initializer that suits the activation behind it (Xavier where none follows)."""
    layer = layers[i]
    if not isinstance(layer, Dense) or layer.initializer is not None:
        return layer
    for after in layers[i + 1 :]:
        if isinstance(after, Activation):
            return replace(layer, initializer=default_for(after.function))
        if isinstance(after, Dense):
            break
    return replace(layer, initializer="xavier")


def _each(argument: str, given: Any, count: int) -> list[Any]:
    """One setting for each hidden layer."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given] * count
    values = list(given)
    hint = f"There are {count} hidden layers."
    raise_all([] if len(values) == count else [must_be("mlp", argument, "one for all or one for each", given, hint)])
    return values


def mlp(
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    activation: str | Sequence[str] = "relu",
    norm: str | None = None,
    dropout: float | Sequence[float] = 0.0,
    initializer: str | None = None,
) -> Net:
    """The usual network: per hidden width Dense, then "batch" or "layer" norm, activation, dropout; last a bare Dense.

    `activation` and `dropout` are one for all hidden layers, or a sequence with one for each. A Dense right before batch
    norm has no bias, since β takes its place.

    >>> [type(layer).__name__ for layer in mlp(4, [8], 3, norm="batch").layers]
    ['Dense', 'BatchNorm', 'Activation', 'Dense']
    """
    norms: Mapping[str | None, tuple[Layer, ...]] = {None: (), "batch": (BatchNorm(),), "layer": (LayerNorm(),)}
    raise_all(faults("mlp", {"norm": norm}, {"norm": OneOf(tuple(norms))}))
    functions, rates = _each("activation", activation, len(hidden)), _each("dropout", dropout, len(hidden))
    layers: list[Layer] = []
    for units, function, rate in zip(hidden, functions, rates, strict=True):
        layers += [Dense(units, bias=norm != "batch", initializer=initializer), *norms[norm], Activation(function)]
        layers += [Dropout(rate)] if rate else []
    return Net(inputs, [*layers, Dense(outputs, initializer=initializer)])
