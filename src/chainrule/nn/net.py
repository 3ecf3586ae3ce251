"""The network: its layers one after the other forward, in reverse backward.

In: one flat vector of parameters, one of running statistics, rows X. Out: logits Z, a tape of what the backward pass
will read, new running statistics; then the gradient, flat, and the gradient with respect to X.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, overload

import numpy as np

from chainrule.arrays import Array, Layout, Named, Namespace
from chainrule.constraints import NOT_NEGATIVE
from chainrule.display import HtmlDisplay
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.nn import transfer
from chainrule.nn.building import network_faults, width_faults, with_initializer
from chainrule.nn.initializers import SPREADING, initializer
from chainrule.nn.layers import Activation, BatchNorm, Context, Dense, Dropout, Layer, LayerNorm, LayerShapes
from chainrule.nn.penalties import bounded
from chainrule.nn.tape import HasWeights, LayerTrace, Segment, Tape
from chainrule.random import Purpose, Stream


@dataclass(frozen=True)
class Net(HtmlDisplay):
    """A dense network: the width of its inputs and its layers.

    It holds no numbers: parameters and running statistics are vectors that you pass in. A `Dense` layer without an
    initializer gets the one that suits the next activation.

    Forward    (1) Aₗ = fₗ(Aₗ₋₁), for l = 1 .. L
    Backward   (2) dAₗ₋₁, dwₗ = fₗ'(dAₗ), for l = L .. 1
    Shapes     X (n, inputs)   Z (n, outputs)   w, g (P)   running statistics (B)
    Reference  [rumelhart1986], [ng2018] 7.1; recomputation [chen2016]

    Parameters
    ----------
    inputs : int >= 1
        Number of features, the columns of X.
    layers : sequence of Layer
        The layers in order; the last one gives the logits.

    Raises
    ------
    InvalidValueError
        With all faults of the arguments.

    Examples
    --------
    >>> from chainrule.nn.layers import Activation
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
        raise_all(network_faults(inputs, layers, chosen))
        object.__setattr__(self, "layers", tuple(with_initializer(chosen, i) for i in range(len(chosen))))
        raise_all(width_faults(inputs, self.layers))

    @cached_property
    def layer_shapes(self) -> tuple[LayerShapes, ...]:
        """Shapes of every layer."""
        layer_shapes = []
        d = self.inputs
        for layer in self.layers:
            layer_shapes.append(layer.shapes(d))
            d = layer_shapes[-1].outputs
        return tuple(layer_shapes)

    @cached_property
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
        """Return a multiplier of the learning rate for each parameter (P).

        Parameters
        ----------
        learning_rate_multipliers : mapping of str to float
            Patterns of parameter names, such as "0.*" or "*.b", and their multipliers >= 0; 0 freezes. Of several
            patterns that match, the last one counts.

        Returns
        -------
        array (P)
            The multipliers; 1 where no pattern matches.

        Raises
        ------
        InvalidValueError
            When a pattern matches no parameter or a multiplier is below 0.

        Examples
        --------
        >>> Net(1, [Dense(1), Dense(1)]).multipliers({"*.b": 0.1, "0.*": 0.0})
        array([0. , 0. , 1. , 0.1])
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

    def bounded(self, xp: Namespace, w: Array, limit: float, frozen: Collection[str] = ()) -> Array:
        """Return w with every column of every W at most `limit` long (max-norm).

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        w : array (P)
            Parameters.
        limit : float > 0
            Largest length of a unit's incoming weights.
        frozen : collection of str, default=()
            Names of parameters to leave as they are, such as "0.W".

        Returns
        -------
        array (P)
            The parameters with longer columns shrunk to the limit; b, γ and β are unchanged.
        """
        named = self.parameters.views(w)
        chosen = {name for name in named if name.endswith(".W") and name not in frozen}
        return self.parameters.pack(
            xp, {name: bounded(xp, W, limit) if name in chosen else W for name, W in named.items()}, w
        )

    @property
    def head(self) -> int:
        """Position of the last `Dense`, the output layer; the layers before it are the body.

        Raises `InvalidValueError` for a network without a `Dense` layer.
        """
        dense = [i for i, layer in enumerate(self.layers) if isinstance(layer, Dense)]
        raise_all([] if dense else [must_be("Net", "layers", "with at least one Dense layer", self.layers)])
        return dense[-1]

    def replace_head(self, units: int) -> Net:
        """Return a copy with a new output layer; the layers before it stay as they are.

        Parameters
        ----------
        units : int >= 1
            Units of the new output layer.

        Returns
        -------
        Net
            The network with that many units in its last `Dense` layer.

        Raises
        ------
        InvalidValueError
            For a network without a `Dense` layer, or a wrong number of units.

        Examples
        --------
        >>> Net(4, [Dense(8), Dense(3)]).replace_head(2).widths
        (4, 8, 2)
        """
        head = self.head
        resized = (
            replace(x, units=units) if i == head and isinstance(x, Dense) else x for i, x in enumerate(self.layers)
        )
        return Net(self.inputs, resized)

    def inherit(self, seed: int, source: Net, w: Array, buffers: Array) -> tuple[Array, Array]:
        """Return first weights and running statistics with those of the body taken from a trained network.

        Parameters
        ----------
        seed : int
            Draws the output layer.
        source : Net
            The trained network. Its body must have layers of the same kind, shapes and function; dropout rates and the
            like may differ.
        w : array
            Its parameters.
        buffers : array
            Its running statistics.

        Returns
        -------
        w : array (P)
            First parameters of this network, float64.
        buffers : array (B)
            First running statistics of this network, float64.

        Raises
        ------
        InvalidValueError
            Naming the first layer that differs.
        """
        return transfer.inherit(self, seed, source, w, buffers)

    def init(self, seed: int) -> tuple[Array, Array]:
        """Draw the first parameters and running statistics.

        Parameters
        ----------
        seed : int
            Fixes what is drawn: the same seed gives the same numbers.

        Returns
        -------
        w : array (P)
            Parameters, float64, layer by layer in the order of `parameters`.
        buffers : array (B)
            Running statistics, float64, in the order of `buffers`; empty without batch norm.
        """
        stream = Stream.from_seed(seed).fold(Purpose.INIT)
        w, buffers = {}, {}
        for i, (layer, d) in enumerate(zip(self.layers, self.widths, strict=False)):
            p, b = layer.init(stream.fold(i), d)
            w.update({f"{i}.{letter}": array for letter, array in p.items()})
            buffers.update({f"{i}.{letter}": array for letter, array in b.items()})
        like = np.zeros(0)
        return self.parameters.pack(np, w, like), self.buffers.pack(np, buffers, like)

    def init_many(self, seeds: Sequence[int]) -> tuple[Array, Array]:
        """Draw the first parameters and running statistics for each of several seeds, as `init` does for one.

        Parameters
        ----------
        seeds : sequence of int
            The seeds; where all layers are of the usual kinds, one pass over memory serves all of them.

        Returns
        -------
        w : array (K, P)
            Parameters, float64.
        buffers : array (K, B)
            Running statistics, float64.
        """
        if not all(map(_draws_for_many, self.layers)):
            each = [self.init(seed) for seed in seeds]
            return np.stack([w for w, _ in each]), np.stack([buffers for _, buffers in each])
        stream = Stream.from_seeds(seeds).fold(Purpose.INIT)
        w: dict[str, Array] = {}
        buffers: dict[str, Array] = {}
        for i, (layer, d) in enumerate(zip(self.layers, self.widths, strict=False)):
            p, b = layer.init(stream.fold(i), d)
            w.update({f"{i}.{letter}": array for letter, array in p.items()})
            buffers.update({f"{i}.{letter}": array for letter, array in b.items()})
        return _stacked(self.parameters, w, len(seeds)), _stacked(self.buffers, buffers, len(seeds))

    @overload
    def __call__(self, state: HasWeights, X: Array, /, *, ctx: Context | None = None) -> Array: ...

    @overload
    def __call__(self, w: Array, buffers: Array, X: Array, ctx: Context | None = None) -> Array: ...

    def __call__(self, w: Any, buffers: Array, X: Array = None, ctx: Context | None = None) -> Array:
        """Return the logits: `net(state, X)`, or `net(w, buffers, X)` with the two vectors themselves.

        Parameters
        ----------
        state : State
            A training state, such as `epoch.state()`; its running mean of the weights is used where it keeps one.
        X : array (n, d)
            Rows.
        ctx : Context or None, default=None
            Array namespace and mode; None is NumPy and inference.

        Returns
        -------
        array (n, k)
            Logits Z. The loss's `predict` turns them into probabilities or values.

        Raises
        ------
        InvalidValueError
            If a call with two arguments does not begin with a state, for vectors of another network, and for rows of another
            number of columns.
        """
        if X is not None:
            return self.forward(w, buffers, X, ctx or Context(np))[0]
        if not (hasattr(w, "weights") and hasattr(w, "buffers")):
            hint = "Call net(state, X), with the state of an epoch: epoch.state(); or net(w, buffers, X)."
            raise_all([must_be("Net", "state", "a training state", type(w).__name__, hint)])
        return self.forward(w.weights, w.buffers, buffers, ctx or Context(np))[0]

    def forward(
        self, w: Array, buffers: Array, X: Array, ctx: Context, cache_every: int = 1
    ) -> tuple[Array, Tape, Array]:
        """Run the layers forward and keep what the backward pass will read.

        Parameters
        ----------
        w : array (P)
            Parameters.
        buffers : array (B)
            Running statistics.
        X : array (n, d)
            Rows.
        ctx : Context
            Array namespace, mode, source of masks.
        cache_every : int, default=1
            With k > 1 the tape keeps only the input of every k-th layer, and the backward pass runs the layers in
            between again: less memory, one more forward pass.

        Returns
        -------
        Z : array (n, outputs)
            Logits.
        tape : Tape
            What `backward` reads.
        buffers : array (B)
            New running statistics.
        """
        p, b = self._by_layer(self.parameters, w), self._by_layer(self.buffers, buffers)
        if np.shape(X)[1:] != (self.inputs,):
            raise_all([must_be("Net", "X", f"of shape (n, {self.inputs})", np.shape(X))])
        A = X
        segments = []
        new = []
        for start in range(0, len(self.layers), cache_every):
            entry = A
            A, saved, after = self._run(p, b, A, start, min(start + cache_every, len(self.layers)), ctx)  # (1)
            segments.append(Segment(start, saved, None) if cache_every == 1 else Segment(start, (), entry))
            new.extend(after)
        named = {f"{i}.{letter}": array for i, after in enumerate(new) for letter, array in after.items()}
        return A, Tape(tuple(segments), buffers), self.buffers.pack(ctx.xp, named, buffers)

    def backward(self, w: Array, tape: Tape, dZ: Array, ctx: Context) -> tuple[Array, Array]:
        """Run the layers backward.

        Parameters
        ----------
        w : array (P)
            Parameters.
        tape : Tape
            The tape of the forward pass.
        dZ : array (n, outputs)
            Gradient with respect to the logits.
        ctx : Context
            As in the forward pass.

        Returns
        -------
        dX : array (n, d)
            Gradient with respect to the rows.
        g : array (P)
            Gradient with respect to the parameters.
        """
        p, b = self._by_layer(self.parameters, w), self._by_layer(self.buffers, tape.buffers)
        grads: dict[str, Array] = {}
        dA = dZ
        stop = len(self.layers)
        for segment in reversed(tape.segments):
            saved = segment.saved or self._run(p, b, segment.entry, segment.start, stop, ctx)[1]
            for i in reversed(range(segment.start, stop)):
                dA, g = self.layers[i].backward(p[i], saved[i - segment.start], dA, ctx)  # (2)
                grads.update({f"{i}.{letter}": array for letter, array in g.items()})
            stop = segment.start
        return dA, self.parameters.pack(ctx.xp, grads, w)

    def trace(
        self,
        w: Array,
        buffers: Array,
        X: Array,
        loss_gradient: Callable[[Array], Array],
        ctx: Context,
    ) -> tuple[LayerTrace, ...]:
        """Run a pass forward and backward and show every layer's output and gradients.

        It computes what `forward` and `backward` compute, with everything in sight.

        Parameters
        ----------
        w : array (P)
            Parameters.
        buffers : array (B)
            Running statistics.
        X : array (n, d)
            Rows.
        loss_gradient : function
            Takes the logits Z and returns dZ.
        ctx : Context
            Array namespace, mode, source of masks.

        Returns
        -------
        tuple of LayerTrace
            One for each layer, in order.

        Examples
        --------
        >>> from chainrule.nn.layers import Activation
        >>> net = Net(2, [Dense(3), Activation("relu"), Dense(1)])
        >>> w, buffers = net.init(seed=0)
        >>> layers = net.trace(w, buffers, np.ones((4, 2)), np.ones_like, Context(np))
        >>> [layer.output.shape for layer in layers], sorted(layers[0].parameters)
        ([(4, 3), (4, 3), (4, 1)], ['W', 'b'])
        """
        p, b = self._by_layer(self.parameters, w), self._by_layer(self.buffers, buffers)
        A = X
        outputs = []
        saved: list[Named] = []
        for i in range(len(self.layers)):
            A, arrays, _ = self._run(p, b, A, i, i + 1, ctx)
            outputs.append(A)
            saved.extend(arrays)
        dA = loss_gradient(A)
        traces = []
        for i in reversed(range(len(self.layers))):
            behind = dA
            dA, g = self.layers[i].backward(p[i], saved[i], behind, ctx)
            traces.append(LayerTrace(outputs[i], behind, g))
        return tuple(reversed(traces))

    def _run(
        self, p: Sequence[Named], b: Sequence[Named], A: Array, start: int, stop: int, ctx: Context
    ) -> tuple[Array, tuple[Named, ...], list[Named]]:
        """Run layers start .. stop-1 forward, each with its own random stream."""
        saved = []
        new = []
        for i in range(start, stop):
            stream = None if ctx.stream is None else ctx.stream.fold(i)
            A, arrays, after = self.layers[i].forward(p[i], b[i], A, replace(ctx, stream=stream))
            saved.append(arrays)
            new.append(after)
        return A, tuple(saved), new

    def _by_layer(self, layout: Layout, flat: Array) -> list[dict[str, Array]]:
        """Return views of a flat vector: one dictionary of letters per layer."""
        if np.shape(flat) != (layout.size,):
            name = "w" if layout is self.parameters else "buffers"
            hint = "It belongs to another network."
            raise_all([must_be("Net", name, f"of shape {(layout.size,)}", np.shape(flat), hint)])
        by_layer: list[dict[str, Array]] = [{} for _ in self.layers]
        for name, view in layout.views(flat).items():
            i, letter = name.split(".")
            by_layer[int(i)][letter] = view
        return by_layer


def _draws_for_many(layer: Layer) -> bool:
    """Check whether a layer draws for several seeds at once, or not at all."""
    if type(layer) is not Dense:
        return type(layer) in (Activation, Dropout, BatchNorm, LayerNorm)
    rule = initializer("xavier" if layer.initializer is None else layer.initializer)
    return type(rule) in SPREADING and layer.bias_initializer == "zeros"


def _stacked(layout: Layout, arrays: Mapping[str, Array], count: int) -> Array:
    """Return the vectors of several networks (K, P): arrays that are the same for all of them are repeated."""
    flat = np.empty((count, layout.size))
    for slot in layout.slots:
        flat[:, slot.offset : slot.offset + slot.size] = arrays[slot.name].reshape(-1, slot.size)
    return flat
