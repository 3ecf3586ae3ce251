"""Why: a fault that does not hurt is none: an alarm on it is a false one.

In: test scores of healthy twins and of faulty networks over the same seeds. Out: whether the fault is shown to hurt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALPHA, EFFECT, SEVERE = 0.05, 0.5, 0.05
"""Of the test; least effect in standard deviations; drop of the score that counts as severe."""


@dataclass(frozen=True)
class Verdict:
    """Two samples compared: error probability, effect in pooled deviations, drop of the mean score."""

    p: float
    d: float
    drop: float

    @property
    def killed(self) -> bool:
        """Whether the fault hurts."""
        return self.p < ALPHA and self.d >= EFFECT

    @property
    def severe(self) -> bool:
        """Whether it hurts much."""
        return self.killed and self.drop >= SEVERE


def cohens_d(twins: Sequence[float], faulty: Sequence[float]) -> float:
    """Difference of the means in pooled standard deviations, above 0 where the faulty ones are worse.

    Equation  (1) d = (m₁ - m₂) / √((s₁² + s₂²) / 2)
    """
    a, b = np.asarray(twins), np.asarray(faulty)
    spread = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    difference = float(a.mean() - b.mean())
    if spread == 0.0:
        return 0.0 if difference == 0.0 else math.copysign(math.inf, difference)
    return difference / spread  # (1)


def compare(twins: Sequence[float], faulty: Sequence[float]) -> Verdict:
    """Two-sided test of Welch and Cohen's d, after DeepCrime and DeepFD.

    Equations  (1) t = (m₁ - m₂) / √(u + v), u = s₁² / n₁, v = s₂² / n₂
               (2) ν = (u + v)² / (u² / (n₁ - 1) + v² / (n₂ - 1))
    """
    from scipy.stats import t as student

    a, b = np.asarray(twins, np.float64), np.asarray(faulty, np.float64)
    drop, d = float(a.mean() - b.mean()), cohens_d(twins, faulty)
    u, v = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    if u + v == 0.0:
        return Verdict(0.0 if d else 1.0, d, drop)
    freedom = (u + v) ** 2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))  # (2)
    return Verdict(2.0 * float(student.sf(abs(drop) / math.sqrt(u + v), freedom)), d, drop)  # (1)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Equation  (1) (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n), z = 1.96

    Reference  Wilson, JASA 1927
    """
    if n == 0:
        return 0.0, 1.0
    z, p = 1.959964, hits / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    middle, scale = p + z * z / (2 * n), 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)  # (1)
