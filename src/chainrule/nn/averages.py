"""Running means that are corrected for their start: of gradients in Adam, of the weights in a recipe.

In: the mean so far, the new value, the number of the step. Out: the new mean.
"""

from __future__ import annotations

import math

from chainrule.arrays import Array, Namespace


def one_minus_power(xp: Namespace, beta: float, t: Array) -> Array:
    """Return 1 - βᵗ, written so that float32 keeps its digits where βᵗ is near 1.

    Forward    (1) 1 - βᵗ = -(exp(t log β) - 1)
    """
    return -xp.expm1(t * (math.log(beta) if beta else -math.inf))  # (1)


def running_average(xp: Namespace, a: Array, w: Array, rho: float, t: Array) -> Array:
    """Update the exponentially weighted mean of w₁ .. wₜ, corrected for its start at every step.

    It is to the weights what m̂ is to the gradients in Adam, written for the corrected mean itself: the first weights,
    which after t steps would still weigh ρᵗ, have no part in it, and a can be used as it stands.

    Forward    (1) s = (1 - ρ) / (1 - ρᵗ)    (2) a ← a + s (w - a)
    Reference  [kingma2015] 7.2; [polyak1992]

    Parameters
    ----------
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    a : array (P)
        The mean so far; any numbers before the first step.
    w : array (P)
        The weights of this step.
    rho : float in [0, 1)
        Share of the old mean that is kept.
    t : array ()
        Number of the step, from 1.

    Returns
    -------
    array (P)
        The new mean.

    Examples
    --------
    >>> import numpy as np
    >>> a = running_average(np, np.zeros(1), np.array([4.0]), 0.5, np.float64(1))
    >>> running_average(np, a, np.array([1.0]), 0.5, np.float64(2)).tolist()
    [2.0]
    """
    s = (1.0 - rho) / one_minus_power(xp, rho, t)  # (1)
    return a + s * (w - a)  # (2)
