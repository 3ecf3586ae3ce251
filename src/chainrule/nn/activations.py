"""Activation functions, each with the derivative that backpropagation multiplies by.

In: Z (n, d), of any size up to ±1e4 and beyond. Out: A = g(Z) and g'(Z), the latter from A alone where the mathematics
allows it, so that the forward pass need not keep Z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from chainrule.arrays import Array, Namespace
from chainrule.constraints import NOT_NEGATIVE, Checked, constrained
from chainrule.nn.names import resolve


class Function(Protocol):
    """A scalar function applied entry by entry, with its derivative.

    To write one, define `needs`, `value` and `derivative` in a frozen dataclass and pass it to `Activation`. `xp` is the
    array namespace, NumPy or `jax.numpy`.
    """

    needs: ClassVar[str]
    """What `derivative` reads: "Z", "A", or "" for neither."""

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A = g(Z).

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        Z : array (n, d)
            Values that enter the function; any size must be safe.

        Returns
        -------
        array (n, d)
            The function of each entry.
        """

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return g'(Z), entry by entry.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        Z : array (n, d) or None
            What entered the function; may be None unless `needs` is "Z".
        A : array (n, d) or None
            What `value` returned for Z; may be None unless `needs` is "A".

        Returns
        -------
        array (n, d) or float
            The derivative at each entry; a plain number where it is the same everywhere.
        """


class InvertibleFunction(Function, Protocol):
    """A function with an inverse, as the link of a loss needs it."""

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Return Z such that A = g(Z).

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        A : array (n, d)
            Values of the function, up to the ends of its range.

        Returns
        -------
        array (n, d)
            A finite number for each entry.
        """


@dataclass(frozen=True)
class Identity:
    """No change. A network of affine layers with nothing but these between them is one affine map.

    Forward    (1) A = Z
    Backward   (2) g'(Z) = 1
    Reference  [ng2018] 7.2
    """

    needs: ClassVar[str] = ""

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return Z."""
        return Z  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return 1.0, a plain number."""
        return 1.0  # (2)

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Return A."""
        return A


@dataclass(frozen=True)
class Sigmoid:
    """Logistic function, range (0, 1); saturates on both sides. Written in e = exp(-|Z|), which cannot overflow.

    Forward    (1) A = 1 / (1 + exp(-Z))
    Backward   (2) g'(Z) = A (1 - A)
    Reference  [ng2018] 7.2
    """

    needs: ClassVar[str] = "A"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A in [0, 1]."""
        e = xp.exp(-xp.abs(Z))
        return xp.where(Z >= 0, 1.0, e) / (1.0 + e)  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return at most 1/4."""
        return A * (1.0 - A)  # (2)

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Return log(A / (1 - A)), with A kept off 0 and 1 so that it is finite."""
        A = xp.clip(A, np.finfo(A.dtype).tiny, 1.0 - np.finfo(A.dtype).epsneg)
        return xp.log(A) - xp.log1p(-A)


@dataclass(frozen=True)
class Tanh:
    """Hyperbolic tangent, range (-1, 1), centered on zero; saturates on both sides.

    Forward    (1) A = tanh(Z)
    Backward   (2) g'(Z) = 1 - A²
    Reference  [ng2018] 7.2
    """

    needs: ClassVar[str] = "A"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A in [-1, 1]."""
        return xp.tanh(Z)  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return at most 1."""
        return 1.0 - A * A  # (2)

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Return artanh A, with A kept off -1 and 1 so that it is finite."""
        eps = np.finfo(A.dtype).epsneg
        return xp.arctanh(xp.clip(A, eps - 1.0, 1.0 - eps))


@dataclass(frozen=True)
class ReLU:
    """Rectified linear unit; does not saturate for positive Z. The usual choice. Its derivative at zero is taken as 0.

    Forward    (1) A = max(0, Z)
    Backward   (2) g'(Z) = [A > 0]
    Reference  [ng2018] 7.2, [nair2010]
    """

    needs: ClassVar[str] = "A"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A >= 0."""
        return xp.maximum(Z, 0.0)  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return 0 or 1."""
        return (A > 0).astype(A.dtype)  # (2)

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Return A: one of the values that give it."""
        return A


@dataclass(frozen=True)
class LeakyReLU(Checked):
    """Rectifier that lets a small share of the negative side through, so that no unit can die.

    Forward    (1) A = Z where Z > 0, else a Z
    Backward   (2) g'(Z) = 1 where A > 0, else a
    Reference  [maas2013]

    Parameters
    ----------
    a : float >= 0, default=0.01
        The derivative on the negative side.
    """

    a: float = constrained(NOT_NEGATIVE, 0.01)
    needs: ClassVar[str] = "A"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A with the sign of Z."""
        return xp.where(Z > 0, Z, self.a * Z)  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return 1 or a."""
        return xp.where(A > 0, xp.ones_like(A), xp.full_like(A, self.a))  # (2)


@dataclass(frozen=True)
class ELU(Checked):
    """Exponential linear unit: smooth, with a floor at -a.

    Forward    (1) A = Z where Z > 0, else a (exp(Z) - 1)
    Backward   (2) g'(Z) = 1 where A > 0, else A + a
    Reference  [clevert2016]

    Parameters
    ----------
    a : float >= 0, default=1.0
        Minus the value that the function approaches far to the left; with 1.0 the derivative is continuous.
    """

    a: float = constrained(NOT_NEGATIVE, 1.0)
    needs: ClassVar[str] = "A"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A >= -a."""
        return xp.where(Z > 0, Z, self.a * xp.expm1(xp.minimum(Z, 0.0)))  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return values between 0 and max(1, a)."""
        return xp.where(A > 0, xp.ones_like(A), A + self.a)  # (2)


@dataclass(frozen=True)
class SELU:
    """Scaled ELU whose two constants keep mean 0 and variance 1 through deep stacks (with LeCun weights).

    Forward    (1) A = λ Z where Z > 0, else λ a (exp(Z) - 1)
    Backward   (2) g'(Z) = λ where A > 0, else A + λ a
    Reference  [klambauer2017]
    """

    needs: ClassVar[str] = "A"
    scale: ClassVar[float] = 1.0507009873554804934
    a: ClassVar[float] = 1.6732632423543772848

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A >= -λ a."""
        return self.scale * xp.where(Z > 0, Z, self.a * xp.expm1(xp.minimum(Z, 0.0)))  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return values between 0 and λ a."""
        return xp.where(A > 0, xp.full_like(A, self.scale), A + self.scale * self.a)  # (2)


@dataclass(frozen=True)
class GELU:
    """Gaussian error linear unit in its tanh form (not the form with the error function; they differ by < 5e-4).

    Forward    (1) t = tanh(c (Z + 0.044715 Z³)), c = √(2/π)    (2) A = Z (1 + t) / 2
    Backward   (3) g'(Z) = (1 + t) / 2 + Z (1 - t²) c (1 + 0.134145 Z²) / 2
    Reference  [hendrycks2016]
    """

    needs: ClassVar[str] = "Z"
    c: ClassVar[float] = math.sqrt(2.0 / math.pi)

    def _t(self, xp: Namespace, Z: Array) -> Array:
        return xp.tanh(self.c * (Z + 0.044715 * Z * Z * Z))  # (1)

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A >= -0.171."""
        return 0.5 * Z * (1.0 + self._t(xp, Z))  # (2)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return values between -0.13 and 1.13."""
        t = self._t(xp, Z)
        return 0.5 * (1.0 + t) + 0.5 * Z * (1.0 - t * t) * self.c * (1.0 + 0.134145 * Z * Z)  # (3)


@dataclass(frozen=True)
class SiLU:
    """Sigmoid-weighted linear unit, also called swish.

    Forward    (1) A = Z σ(Z)
    Backward   (2) g'(Z) = σ(Z) (1 + Z (1 - σ(Z)))
    Reference  [elfwing2018]
    """

    needs: ClassVar[str] = "Z"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A >= -0.279."""
        return Z * Sigmoid().value(xp, Z)  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return values between -0.1 and 1.1."""
        s = Sigmoid().value(xp, Z)
        return s * (1.0 + Z * (1.0 - s))  # (2)


@dataclass(frozen=True)
class Softplus:
    """Smooth rectifier, written in log1p(exp(-|Z|)), which neither overflows nor loses small values.

    Forward    (1) A = log(1 + exp(Z)) = max(Z, 0) + log(1 + exp(-|Z|))
    Backward   (2) g'(Z) = σ(Z) = 1 - exp(-A)
    Reference  [dugas2001]
    """

    needs: ClassVar[str] = "A"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A >= 0."""
        return xp.maximum(Z, 0.0) + xp.log1p(xp.exp(-xp.abs(Z)))  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return values between 0 and 1."""
        return -xp.expm1(-A)  # (2)


@dataclass(frozen=True)
class Mish:
    """Self-gated smooth unit.

    Forward    (1) t = tanh(softplus(Z))    (2) A = Z t
    Backward   (3) g'(Z) = t + Z σ(Z) (1 - t²)
    Reference  [misra2020]
    """

    needs: ClassVar[str] = "Z"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A >= -0.309."""
        t = xp.tanh(Softplus().value(xp, Z))  # (1)
        return Z * t  # (2)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return values between -0.12 and 1.09."""
        t = xp.tanh(Softplus().value(xp, Z))
        return t + Z * Sigmoid().value(xp, Z) * (1.0 - t * t)  # (3)


@dataclass(frozen=True)
class Exp:
    """Exponential: the link of counts and rates. Overflows above 88 (float32) or 709 (float64), as it must.

    Forward    (1) A = exp(Z)
    Backward   (2) g'(Z) = A
    Reference  [mccullagh1989] 2.2
    """

    needs: ClassVar[str] = "A"

    def value(self, xp: Namespace, Z: Array) -> Array:
        """Return A > 0."""
        return xp.exp(Z)  # (1)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return A."""
        return A  # (2)

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Return log A, with A kept off 0 so that it is finite."""
        return xp.log(xp.maximum(A, np.finfo(A.dtype).tiny))


ACTIVATIONS: Mapping[str, Function] = {
    "identity": Identity(),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(),
    "elu": ELU(),
    "selu": SELU(),
    "gelu": GELU(),
    "silu": SiLU(),
    "mish": Mish(),
    "softplus": Softplus(),
    "exp": Exp(),
}
"""Every activation by the name that users write."""

_METHODS = ("needs", "value", "derivative")


def activation(function: str | Function) -> Function:
    """Return the function of that name, or the function itself.

    Parameters
    ----------
    function : str or Function
        One of the names in `ACTIVATIONS`, or an object with `needs`, `value` and `derivative`.

    Returns
    -------
    Function
        The function object.

    Raises
    ------
    InvalidValueError
        For an unknown name (with the nearest one) or anything that is not a function object.

    Examples
    --------
    >>> activation("relu")
    ReLU()
    """
    return resolve("activation", function, ACTIVATIONS, _METHODS, ("Activation", "function"))
