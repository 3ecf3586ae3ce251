"""What every layer is: the protocol, its context and its shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chainrule.arrays import Array, Named, Namespace
from chainrule.random import Stream

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Context:
    """What a pass over the network needs to know besides the numbers.

    Parameters
    ----------
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    training : bool, default=False
        Whether batch norm uses the batch's own statistics and dropout drops.
    stream : Stream or None, default=None
        Source of this step's dropout masks; needed in training with dropout.
    """

    xp: Namespace
    training: bool = False
    stream: Stream | None = None


@dataclass(frozen=True)
class LayerShapes:
    """The shapes that a layer brings, for inputs of a given width.

    Parameters
    ----------
    parameters : mapping of str to tuple of int
        Shape of each parameter, by letter.
    buffers : mapping of str to tuple of int
        Shape of each running statistic, by name.
    outputs : int
        Width of the output.
    """

    parameters: Shapes
    buffers: Shapes
    outputs: int


class Layer(Protocol):
    """A frozen value that holds settings and no numbers, with `init`, `forward` and `backward`.

    `p` are parameters and `buffers` running statistics, each under its letter.
    """

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of what the layer holds, for inputs of width d.

        Parameters
        ----------
        d : int
            Columns of the input.

        Returns
        -------
        LayerShapes
            Shapes of the parameters and running statistics, and the width of the output.
        """

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw the first parameters and buffers.

        Parameters
        ----------
        stream : Stream
            Source of random numbers, for this layer alone.
        d : int
            Columns of the input.

        Returns
        -------
        p : mapping of str to array
            Parameters by letter, float64, of the shapes that `shapes` gives.
        buffers : mapping of str to array
            Running statistics by name, float64, likewise.
        """

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Map the rows to those that the next layer gets.

        Parameters
        ----------
        p : mapping of str to array
            Parameters by letter.
        buffers : mapping of str to array
            Running statistics by name.
        A : array (n, d)
            Rows from the layer before.
        ctx : Context
            Array namespace and mode; in training its stream is this layer's own.

        Returns
        -------
        A : array (n, outputs)
            Rows for the next layer.
        saved : mapping of str to array
            What `backward` will read, by letter.
        buffers : mapping of str to array
            New running statistics; the old ones if nothing changed. Never changed in place.
        """

    def backward(self, p: Named, saved: Named, dA: Array, ctx: Context) -> tuple[Array, Named]:
        """Map the gradient with respect to the output to the gradients with respect to the input and the parameters.

        Parameters
        ----------
        p : mapping of str to array
            Parameters by letter, as in the forward pass.
        saved : mapping of str to array
            What `forward` saved. Random masks are read from it, not drawn again.
        dA : array (n, outputs)
            Gradient with respect to the output.
        ctx : Context
            Array namespace and mode, as in the forward pass.

        Returns
        -------
        dA : array (n, d)
            Gradient with respect to the input.
        g : mapping of str to array
            Gradient with respect to each parameter, summed over the rows, in the letters and shapes of `p`.
        """
