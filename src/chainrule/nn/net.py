"""Why: a network is a fold of its layers forward and a reverse fold backward; everything else is bookkeeping done here.

In: one flat vector of parameters, one of running statistics, rows X. Out: logits Z, a tape of what the backward pass
will read, new running statistics; then the gradient, flat, and the gradient with respect to X.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.arrays import Array, Layout, Named
from chainrule.constraints import COUNT, NOT_NEGATIVE, OneOf, faults
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.nn.initializers import default_for
from chainrule.nn.layers import LAYERS, Activation, BatchNorm, Context, Dense, Dropout, Frame, Layer, LayerNorm
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
class Net:
    """A dense network: the width of its inputs and its layers; holds no numbers.

    A `Dense` layer without an initialiser gets the one that suits the activation behind it.

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
    def frames(self) -> tuple[Frame, ...]:
        """Shapes of every layer."""
        frames, d = [], self.inputs
        for layer in self.layers:
            frames.append(layer.frame(d))
            d = frames[-1].outputs
        return tuple(frames)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of the rows before the first layer and after each layer."""
        return (self.inputs, *(frame.outputs for frame in self.frames))

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return self.widths[-1]

    @cached_property
    def parameters(self) -> Layout:
        """Where each parameter lies in w; names are "layer.letter", as "0.W"."""
        return Layout.of((f"{i}.{k}", s) for i, frame in enumerate(self.frames) for k, s in frame.parameters.items())

    @cached_property
    def buffers(self) -> Layout:
        """Where each running statistic lies."""
        return Layout.of((f"{i}.{k}", s) for i, frame in enumerate(self.frames) for k, s in frame.buffers.items())

    @property
    def size(self) -> int:
        """Number of parameters P."""
        return self.parameters.size

    @cached_property
    def decay(self) -> Array:
        """Vector (P): 1 for entries of weight matrices W, 0 for b, γ, β; what penalties and weight decay act on."""
        parts = [np.full(slot.size, float(slot.name.endswith(".W"))) for slot in self.parameters.slots]
        return np.concatenate([np.zeros(0), *parts])

    def multipliers(self, groups: Mapping[str, float]) -> Array:
        """Vector (P) of learning-rate multipliers from name patterns, the last match counting; 0 freezes.

        >>> Net(1, [Dense(1), Dense(1)]).multipliers({"*.b": 0.1, "0.*": 0.0})
        array([0. , 0. , 1. , 0.1])

        Raises `InvalidValueError` when a pattern matches no parameter or a multiplier is below 0.
        """
        raise_all(self._group_faults(groups))
        parts = [np.zeros(0)]
        for slot in self.parameters.slots:
            matching = [value for pattern, value in groups.items() if fnmatchcase(slot.name, pattern)]
            parts.append(np.full(slot.size, float(matching[-1]) if matching else 1.0))
        return np.concatenate(parts)

    def _group_faults(self, groups: Mapping[str, float]) -> Iterable[str]:
        for pattern, value in groups.items():
            if not any(fnmatchcase(name, pattern) for name in self.parameters.names):
                hint = did_you_mean(pattern, self.parameters.names)
                yield must_be("Net", "groups", "patterns of parameter names", pattern, hint)
            if not NOT_NEGATIVE.allows(value):
                yield must_be("Net", f"groups[{pattern!r}]", "a number >= 0", value, "0 freezes.")

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


def _with_initializer(layers: Sequence[Layer], i: int) -> Layer:
    """Layer i, with the initialiser that suits the activation behind it (Xavier where none follows)."""
    layer = layers[i]
    if not isinstance(layer, Dense) or layer.initializer is not None:
        return layer
    for after in layers[i + 1 :]:
        if isinstance(after, Activation):
            return replace(layer, initializer=default_for(after.function))
        if isinstance(after, Dense):
            break
    return replace(layer, initializer="xavier")


def stack(
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    activation: str = "relu",
    norm: str | None = None,
    dropout: float = 0.0,
    initializer: str | None = None,
) -> Net:
    """The usual network: per hidden width Dense, then "batch" or "layer" norm, activation, dropout; last a bare Dense.

    A Dense right before batch norm has no bias, since β takes its place.

    >>> [type(layer).__name__ for layer in stack(4, [8], 3, norm="batch").layers]
    ['Dense', 'BatchNorm', 'Activation', 'Dense']
    """
    norms: Mapping[str | None, tuple[Layer, ...]] = {None: (), "batch": (BatchNorm(),), "layer": (LayerNorm(),)}
    raise_all(faults("stack", {"norm": norm}, {"norm": OneOf(tuple(norms))}))
    layers: list[Layer] = []
    for units in hidden:
        layers += [Dense(units, bias=norm != "batch", initializer=initializer), *norms[norm], Activation(activation)]
        layers += [Dropout(dropout)] if dropout else []
    return Net(inputs, [*layers, Dense(outputs, initializer=initializer)])
