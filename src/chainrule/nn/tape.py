"""What a forward pass keeps for the backward pass, and what a traced pass shows of every layer.

In: saved arrays by layer. Out: a `Tape` that knows its bytes; `LayerTrace` records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chainrule.arrays import Array, Named


class HasWeights(Protocol):
    """Something that predicts: a training state."""

    @property
    def weights(self) -> Array:
        """Weights (P) to use in inference."""

    @property
    def buffers(self) -> Array:
        """Running statistics (B)."""


@dataclass(frozen=True)
class Segment:
    """A run of layers on the tape: either all that they saved, or only their input, from which to run them again."""

    start: int
    saved: tuple[Named, ...]
    entry: Array | None


@dataclass(frozen=True)
class Tape:
    """What a forward pass keeps for the backward pass; `tape.layers[i]["A"]` shows one kept array.

    Parameters
    ----------
    segments : tuple of Segment
        What each run of layers saved.
    buffers : array (B)
        Running statistics before the pass.
    """

    segments: tuple[Segment, ...]
    buffers: Array

    @property
    def layers(self) -> tuple[Named, ...]:
        """Saved arrays by layer and letter (empty for layers that will be run again)."""
        return tuple(saved for segment in self.segments for saved in segment.saved)

    @property
    def nbytes(self) -> int:
        """Bytes held, each array counted once although two layers may share it."""
        held = [array for saved in self.layers for array in saved.values()]
        held += [segment.entry for segment in self.segments if segment.entry is not None]
        return sum(array.nbytes for array in {id(array): array for array in held}.values())


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What a pass forward and backward shows of one layer.

    Parameters
    ----------
    output : array (n, k)
        What the layer gives to the next one.
    gradient : array (n, k)
        Gradient of the loss with respect to that output.
    parameters : mapping of str to array
        Gradient with respect to each parameter, under its letter.
    """

    output: Array
    gradient: Array
    parameters: Named
