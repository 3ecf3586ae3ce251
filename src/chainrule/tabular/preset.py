"""Presets as data: from which settings the networks of a pack are drawn, and how long each trains.

In: a preset, the number of a member, a seed, the size of the table. Out: `MemberSettings`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.constraints import Checked, Interval, constrained, validate
from chainrule.data.transforms import METHODS
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.nn.activations import ACTIVATIONS
from chainrule.random import Purpose, Stream

EMBEDDINGS = ("cosine", "pbld", "piecewise_linear", "none")
"""How a number becomes the inputs of a network."""

_LIMITS = {
    "epochs": (1, 100_000),
    "batch_size": (1, 1_000_000),
    "width": (1, 10_000),
    "layers": (1, 20),
    "learning_rate": (1e-8, 10.0),
    "weight_decay": (1e-12, 100.0),
    "frequencies": (1, 1_000),
    "frequency_scale": (1e-6, 1e6),
}
"""Limits of the ranges."""

_MEMBERS = 7
"""Word of the random stream from which members are drawn: with another, every seed would give other packs."""
_WHOLE = ("epochs", "batch_size", "width", "layers", "frequencies")
"""Ranges of whole numbers."""


@dataclass(frozen=True)
class Preset(Checked):
    """What a pack is drawn from; ranges are pairs (lowest, highest), and rates are drawn on a logarithmic scale.

    Published packs of untuned networks of random settings beat tuned single ones; the ranges are those in which their
    ensembles found members, narrowed to what trains in seconds on two cores.

    Parameters
    ----------
    members : int, default=24
        Largest number of networks; the time may end before.
    folds : int, default=5
        Parts of the rows; each member holds out one, by which its epoch is chosen and its weight in the mean.
    steps : int, default=2000
        Optimizer steps of a member, as far as the numbers of epochs allow.
    epochs : tuple of (int, int), default=(6, 100)
        Fewest and most passes over the rows.
    batch_size : tuple of (int, int), default=(32, 256)
        Smallest and largest batch; between them a fiftieth of the rows, as a power of two.
    width : tuple of (int, int), default=(128, 128)
        Units of each hidden layer.
    layers : tuple of (int, int), default=(2, 3)
        Number of hidden layers.
    dropout : float, default=0.2
        Largest dropout rate; half of the members have none.
    learning_rate : tuple of (float, float), default=(1e-3, 6e-3)
        Base learning rate.
    weight_decay : tuple of (float, float), default=(0.1, 2.0)
        Weight decay of AdamW; embeddings are not decayed.
    embeddings : tuple of str, default=("piecewise_linear", "cosine")
        Embeddings of numbers, dealt in turn.
    frequencies : tuple of (int, int), default=(8, 24)
        Cosines of a number.
    frequency_scale : tuple of (float, float), default=(0.3, 5.0)
        Standard deviation of the first frequencies.
    transforms : tuple of str, default=("quantile",)
        Scales of numbers, dealt in turn.
    category_units : int, default=8
        Columns of a category's embedding.
    ema_decay : float, default=0.99
        Share that the running mean of the weights keeps at each step.
    beta2 : float, default=0.95
        AdamW's decay of squared gradients.
    activation : str, default="relu"
        Activation of the hidden layers.
    """

    members: int = constrained(Interval(1, 10_000, "[]", whole=True), 24)
    folds: int = constrained(Interval(2, 20, "[]", whole=True), 5)
    steps: int = constrained(Interval(1, 100_000_000, "[]", whole=True), 2000)
    epochs: tuple[int, int] = (6, 100)
    batch_size: tuple[int, int] = (32, 256)
    width: tuple[int, int] = (128, 128)
    layers: tuple[int, int] = (2, 3)
    dropout: float = constrained(Interval(0, 1, "[)"), 0.2)
    learning_rate: tuple[float, float] = (1e-3, 6e-3)
    weight_decay: tuple[float, float] = (0.1, 2.0)
    embeddings: tuple[str, ...] = ("piecewise_linear", "cosine")
    frequencies: tuple[int, int] = (8, 24)
    frequency_scale: tuple[float, float] = (0.3, 5.0)
    transforms: tuple[str, ...] = ("quantile",)
    category_units: int = constrained(Interval(1, 10_000, "[]", whole=True), 8)
    ema_decay: float = constrained(Interval(0, 1, "[)"), 0.99)
    beta2: float = constrained(Interval(0, 1, "[)"), 0.95)
    activation: str = "relu"

    def __post_init__(self) -> None:
        validate(self)
        raise_all(self._faults())

    def _faults(self) -> Iterator[str]:
        for name, (low, high) in _LIMITS.items():
            pair = getattr(self, name)
            right = (
                isinstance(pair, tuple)
                and len(pair) == 2
                and all(_number(each, low, high, name in _WHOLE) for each in pair)
            )
            if not right or pair[0] > pair[1]:
                allowed = f"two ascending numbers from {low:g} to {high:g}"
                yield must_be("Preset", name, f"{allowed}, whole ones" if name in _WHOLE else allowed, pair)
        for name, known in (("embeddings", EMBEDDINGS), ("transforms", METHODS)):
            given = getattr(self, name)
            wrong = [each for each in given if each not in known] if isinstance(given, tuple) else [given]
            if wrong or not given:
                yield must_be("Preset", name, f"some of {', '.join(known)}", given, did_you_mean(str(wrong[:1]), known))

        if not isinstance(self.activation, str) or self.activation not in ACTIVATIONS:
            hint = did_you_mean(str(self.activation), ACTIVATIONS)
            yield must_be("Preset", "activation", "the name of one", self.activation, hint)

    def draw(self, member: int, seed: int) -> MemberSettings:
        """Draw the settings of one member.

        Parameters
        ----------
        member : int
            Its number, from 0.
        seed : int
            Seed of the pack.

        Returns
        -------
        MemberSettings
            The same for the same number and seed, however many members there are.
        """
        u = Stream.from_seed(seed).fold(Purpose.SPLIT, _MEMBERS, member).uniform(8)
        return MemberSettings(
            width=_whole(self.width, u[0], step=32),
            layers=_whole(self.layers, u[1]),
            dropout=0.0 if u[2] < 0.5 else round(self.dropout * float(2.0 * u[2] - 1.0), 3),
            learning_rate=_logarithmic(self.learning_rate, u[3]),
            weight_decay=_logarithmic(self.weight_decay, u[4]),
            embedding=self.embeddings[member % len(self.embeddings)],
            frequencies=_whole(self.frequencies, u[5], step=4),
            frequency_scale=_logarithmic(self.frequency_scale, u[6]),
            transform=self.transforms[member // len(self.embeddings) % len(self.transforms)],
            fold=member % self.folds,
        )

    def rows_per_batch(self, n: int) -> int:
        """Return the batch size for n training rows.

        Parameters
        ----------
        n : int
            Number of training rows.

        Returns
        -------
        int
        """
        low, high = self.batch_size
        return int(np.clip(2 ** round(math.log2(max(n / 50, 1))), low, high))

    def epochs_for(self, n: int) -> int:
        """Return the number of epochs of a member that trains on n rows.

        Parameters
        ----------
        n : int
            Number of training rows.

        Returns
        -------
        int
        """
        per_epoch = math.ceil(n / self.rows_per_batch(n))
        return int(np.clip(round(self.steps / per_epoch), *self.epochs))


@dataclass(frozen=True)
class MemberSettings:
    """The settings of one member, drawn from a preset.

    Parameters
    ----------
    width, layers : int
        Units of a hidden layer, and their number.
    dropout : float
        Dropout rate behind each hidden layer.
    learning_rate, weight_decay : float
        Of AdamW.
    embedding : str
        How a number becomes inputs.
    frequencies : int
        Cosines of a number.
    frequency_scale : float
        Standard deviation of the first frequencies.
    transform : str
        Scale of the numbers.
    fold : int
        The part of the rows that it holds out.
    """

    width: int
    layers: int
    dropout: float
    learning_rate: float
    weight_decay: float
    embedding: str
    frequencies: int
    frequency_scale: float
    transform: str
    fold: int

    def __str__(self) -> str:
        """Return the settings on one line.

        Returns
        -------
        str
        """
        parts = [f"{self.width} x {self.layers}", f"{self.embedding} {self.frequencies} ({self.frequency_scale:g})"]
        parts += [f"dropout {self.dropout:g}"] if self.dropout else []
        parts += [f"lr {self.learning_rate:g}", f"weight decay {self.weight_decay:g}", self.transform]
        return ", ".join(parts)


def _number(value: Any, low: float, high: float, whole: bool) -> bool:
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool) and low <= value <= high


def _whole(limits: tuple[int, int], u: float, step: int = 1) -> int:
    """Draw a multiple of `step` beyond the lower limit, both limits included."""
    low, high = limits
    return int(low + step * min(int(u * ((high - low) // step + 1)), (high - low) // step))


def _logarithmic(limits: tuple[float, float], u: float) -> float:
    """Draw on a logarithmic scale, to three digits so that it reads well."""
    low, high = limits
    return float(f"{low * (high / low) ** u:.3g}")
