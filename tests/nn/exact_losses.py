"""Why: losses and their gradients to as many digits as one likes, from their definitions and nothing of the package.

In: logits and targets as floats, whose values are taken as exact. Out: decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext

DIGITS = Context(prec=760, Emin=-(10**17), Emax=10**17)
"""Enough for the exact product of a target and a logit of 1e300."""

Row = tuple[Decimal, list[Decimal]]
"""The loss of a row, and its gradient with respect to the logits."""


def exp(x: Decimal) -> Decimal:
    """e^x to 50 digits; beyond every float's range a number that is beyond it, too."""
    if x > 2000:
        return Decimal("1e800")
    with localcontext() as digits:
        digits.prec = 50
        return (+x).exp()


def log1p(x: Decimal) -> Decimal:
    """log(1 + x) for x >= 0 to 50 digits of the result."""
    with localcontext() as digits:
        if x < Decimal("1e-60"):
            return x
        digits.prec = 130
        return (1 + x).ln()


def binary_cross_entropy(z: Sequence[float], y: Sequence[float]) -> Row:
    """softplus(z) - y z, the mean over the labels, and σ(z) - y."""
    k = len(z)
    total = Decimal(0)
    gradient = []
    for each, target in zip(map(Decimal, z), map(Decimal, y), strict=True):
        e = exp(-abs(each))
        total += max(each, Decimal(0)) - target * each + log1p(e)
        gap = e / (1 + e)
        gradient.append(((1 - target) - gap if each > 0 else gap - target) / k)
    return total / k, gradient


def softmax_cross_entropy(z: Sequence[float], t: Sequence[float]) -> Row:
    """log Σ exp z - Σ t z for targets t of sum 1, and P - t."""
    logits, targets = [Decimal(x) for x in z], [Decimal(x) for x in t]
    top = max(range(len(z)), key=lambda j: logits[j])
    parts = [Decimal(1) if j == top else exp(logits[j] - logits[top]) for j in range(len(z))]
    rest = sum((part for j, part in enumerate(parts) if j != top), Decimal(0))
    loss = log1p(rest) - sum((t * (x - logits[top]) for t, x in zip(targets, logits, strict=True)), Decimal(0))
    gradient = []
    for j, (part, target) in enumerate(zip(parts, targets, strict=True)):
        near = j == top
        gradient.append((1 - target) - rest / (1 + rest) if near else part / (1 + rest) - target)
    return loss, gradient


def linked(kind: str, link: str, z: float, y: float) -> Row:
    """A loss of values behind a link, of one output."""
    x, target = Decimal(z), Decimal(y)
    r, slope = _residual(link, x, target)
    half = Decimal("0.5")
    if kind == "squared":
        return r * r, [2 * r * slope]
    if kind == "absolute":
        return abs(r), [(slope if r > 0 else -slope) if r else Decimal(0)]
    if kind == "huber":  # δ = ½
        q = min(abs(r), half)
        return q * (abs(r) - q * half), [max(-half, min(half, r)) * slope]
    level = Decimal("0.25")  # of the pinball loss
    side = -level if r < 0 else 1 - level if r > 0 else Decimal(0)
    return (-level * r if r < 0 else (1 - level) * r), [side * slope]


def _residual(link: str, x: Decimal, y: Decimal) -> tuple[Decimal, Decimal]:
    """f(x) - y and f'(x)."""
    if link == "sigmoid":
        e = exp(-abs(x))
        gap = e / (1 + e)
        return ((1 - y) - gap if x > 0 else gap - y), gap * (1 - gap)
    if link == "tanh":
        e = exp(-2 * abs(x))
        gap = 2 * e / (1 + e)
        return ((1 - y) - gap if x > 0 else (-1 - y) + gap), gap * (2 - gap)
    if link == "exp":
        return exp(x) - y, exp(x)
    if link == "relu":
        return max(x, Decimal(0)) - y, Decimal(int(x > 0))
    return x - y, Decimal(1)


def poisson(z: float, y: float) -> Row:
    """exp(z) - y z and exp(z) - y, of one output."""
    x, target = Decimal(z), Decimal(y)
    return exp(x) - target * x, [exp(x) - target]
