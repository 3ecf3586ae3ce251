"""Initializers: rules that draw the first weights.

Where the weights start decides whether signals live or die on their way through a deep network.

In: a stream and the shape (n_in, n_out) of a weight matrix. Out: the first W, float64, drawn on the host.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import NOT_NEGATIVE, POSITIVE, Checked, Interval, OneOf, constrained
from chainrule.nn.activations import Function, activation
from chainrule.nn.names import resolve
from chainrule.random import Stream

_DISTRIBUTION = OneOf(("normal", "uniform"))


class Initializer(Protocol):
    """A rule that draws the first values of a weight matrix."""

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Draw W from the stream.

        Parameters
        ----------
        stream : Stream
            Source of random numbers; the same stream gives the same W.
        n_in : int
            Rows of W: inputs of the layer.
        n_out : int
            Columns of W: units of the layer.

        Returns
        -------
        array (n_in, n_out)
            W, float64.
        """


def spread(stream: Stream, distribution: str, sigma: float, n_in: int, n_out: int) -> Array:
    """Draw W (n_in, n_out) with mean 0 and standard deviation σ.

    Forward    (1) normal: W = σ N(0, 1)    (2) uniform: W in ±σ√3, whose variance is σ² too

    Parameters
    ----------
    stream : Stream
        Source of random numbers.
    distribution : {"normal", "uniform"}
        The shape of the distribution.
    sigma : float
        Standard deviation σ.
    n_in : int
        Rows of W.
    n_out : int
        Columns of W.

    Returns
    -------
    array (n_in, n_out)
        W, float64.
    """
    if distribution == "normal":
        return (sigma * stream.normal(n_in * n_out)).reshape(*stream.shape, n_in, n_out)  # (1)
    W: Array = sigma * math.sqrt(3.0) * (2.0 * stream.uniform(n_in * n_out) - 1.0)  # (2)
    return W.reshape(*stream.shape, n_in, n_out)


@dataclass(frozen=True)
class Zeros:
    """All weights zero: every unit of a layer stays equal to its neighbors forever (the symmetry problem).

    Forward    (1) W = 0
    Reference  [ng2018] 7.4
    """

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W of zeros."""
        return np.zeros((n_in, n_out))  # (1)


@dataclass(frozen=True)
class Constant(Checked):
    """All weights equal: as symmetric as zeros.

    Forward    (1) W = value
    Reference  [ng2018] 7.4

    Parameters
    ----------
    value : float, default=0.01
        The value of every weight.
    """

    value: float = constrained(Interval(-math.inf, math.inf, "()"), 0.01)

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W of one value."""
        return np.full((n_in, n_out), float(self.value))  # (1)


@dataclass(frozen=True, kw_only=True)
class Normal(Checked):
    """Normal weights of one spread whatever the width: variance shrinks or grows with every layer.

    Forward    (1) W ~ σ N(0, 1)
    Reference  [ng2018] 7.4

    Parameters
    ----------
    sigma : float >= 0, default=0.01
        Standard deviation.
    """

    sigma: float = constrained(NOT_NEGATIVE, 0.01)

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W normal with standard deviation sigma."""
        return spread(stream, "normal", self.sigma, n_in, n_out)  # (1)


@dataclass(frozen=True, kw_only=True)
class Xavier(Checked):
    """Keeps the variance of Z equal to that of its inputs; for sigmoid and tanh.

    Forward    (1) σ = √(1 / n_in)
    Reference  [ng2018] 7.4, [glorot2010]

    Parameters
    ----------
    distribution : {"normal", "uniform"}, default="normal"
        The shape of the distribution; the variance is the same.
    """

    distribution: str = constrained(_DISTRIBUTION, "normal")

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W with variance 1 / n_in."""
        return spread(stream, self.distribution, math.sqrt(1.0 / n_in), n_in, n_out)  # (1)


@dataclass(frozen=True, kw_only=True)
class LeCun(Checked):
    """Xavier's rule in the lecture's form, under the name that SELU's authors use.

    Forward    (1) σ = √(1 / n_in)
    Reference  [lecun1998], [klambauer2017]

    Parameters
    ----------
    distribution : {"normal", "uniform"}, default="normal"
        The shape of the distribution; the variance is the same.
    """

    distribution: str = constrained(_DISTRIBUTION, "normal")

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W with variance 1 / n_in."""
        return spread(stream, self.distribution, math.sqrt(1.0 / n_in), n_in, n_out)  # (1)


@dataclass(frozen=True, kw_only=True)
class He(Checked):
    """Doubles Xavier's variance, since a rectifier drops half of it.

    Forward    (1) σ = √(2 / n_in)
    Reference  [he2015], [ng2018] 7.4

    Parameters
    ----------
    distribution : {"normal", "uniform"}, default="normal"
        The shape of the distribution; the variance is the same.
    """

    distribution: str = constrained(_DISTRIBUTION, "normal")

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W with variance 2 / n_in."""
        return spread(stream, self.distribution, math.sqrt(2.0 / n_in), n_in, n_out)  # (1)


@dataclass(frozen=True, kw_only=True)
class Glorot(Checked):
    """A compromise between keeping the variance forward (1/n_in) and backward (1/n_out).

    Forward    (1) σ = √(2 / (n_in + n_out))
    Reference  [glorot2010] eq. 12, [ng2018] 7.4

    Parameters
    ----------
    distribution : {"normal", "uniform"}, default="normal"
        The shape of the distribution; the variance is the same.
    """

    distribution: str = constrained(_DISTRIBUTION, "normal")

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W with variance 2 / (n_in + n_out)."""
        return spread(stream, self.distribution, math.sqrt(2.0 / (n_in + n_out)), n_in, n_out)  # (1)


@dataclass(frozen=True, kw_only=True)
class Orthogonal(Checked):
    """Columns (or rows, of the shorter side) orthonormal: a stack of linear layers keeps every length exactly.

    Forward    (1) G = N(0, 1), tall    (2) G = Q R    (3) W = gain · Q sign(diag R), wide again if it was wide
    Reference  [saxe2014]

    Parameters
    ----------
    gain : float > 0, default=1.0
        Factor on the orthonormal matrix; a relu network wants about 1.4 (√2).
    """

    gain: float = constrained(POSITIVE, 1.0)

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W with orthonormal columns (n_in >= n_out) or rows, times gain."""
        tall, short = max(n_in, n_out), min(n_in, n_out)
        G = stream.normal(tall * short).reshape(tall, short)  # (1)
        Q, R = np.linalg.qr(G)  # (2)
        W = self.gain * Q * np.sign(np.diag(R))  # (3)
        return W if n_in >= n_out else W.T


SPREADING = (Normal, Xavier, LeCun, He, Glorot)
"""Rules that draw for several seeds at once, since `spread` does."""

INITIALIZERS: Mapping[str, Initializer] = {
    "zeros": Zeros(),
    "constant": Constant(),
    "normal": Normal(),
    "xavier": Xavier(),
    "xavier_uniform": Xavier(distribution="uniform"),
    "lecun": LeCun(),
    "lecun_uniform": LeCun(distribution="uniform"),
    "he": He(),
    "he_uniform": He(distribution="uniform"),
    "glorot": Glorot(),
    "glorot_uniform": Glorot(distribution="uniform"),
    "orthogonal": Orthogonal(),
}
"""Every initializer by the name that users write."""

_FOLLOWS: Mapping[str, str] = {
    "Sigmoid": "xavier",
    "Tanh": "xavier",
    "Identity": "xavier",
    "Exp": "xavier",
    "SELU": "lecun",
}


def initializer(rule: str | Initializer) -> Initializer:
    """Return the rule of that name, or the rule itself.

    Parameters
    ----------
    rule : str or Initializer
        One of the names in `INITIALIZERS`, or an object with `draw`.

    Returns
    -------
    Initializer
        The rule.

    Raises
    ------
    InvalidValueError
        For an unknown name (with the nearest one) or anything that is not a rule.

    Examples
    --------
    >>> initializer("he")
    He(distribution='normal')
    """
    return resolve("initializer", rule, INITIALIZERS, ("draw",), ("Dense", ""))


def default_for(function: str | Function) -> str:
    """Return the initializer that suits an activation: He for the relu family, Xavier for sigmoid and tanh, LeCun for SELU.

    Parameters
    ----------
    function : str or Function
        The activation that follows the layer.

    Returns
    -------
    str
        The initializer's name.

    Examples
    --------
    >>> default_for("tanh"), default_for("mish")
    ('xavier', 'he')
    """
    return _FOLLOWS.get(type(activation(function)).__name__, "he")
