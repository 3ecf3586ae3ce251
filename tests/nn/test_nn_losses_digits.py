"""Why: the loss of a confident right answer once lost all its digits (0 in float32 from z = 15 on), and its gradient too.

In: every loss and link at logits from 0 to the ends of the range, on every engine. Out: values and gradients within 8 units
in the last place of decimals computed from the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import exact_losses as exact
import numpy as np
import pytest

from chainrule.engines import why_unavailable
from chainrule.engines.base import Rows
from chainrule.nn.layers import Dense
from chainrule.nn.losses import (
    LINKS,
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
)
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGDMomentum
from chainrule.nn.step import Recipe

ULPS = 8

SIZES = [
    0.0,
    1e-8,
    0.1,
    0.49,
    0.51,
    1.0,
    3.0,
    7.0,
    10.0,
    14.9,
    15.0,
    16.0,
    17.0,
    18.5,
    20.0,
    30.0,
    50.0,
    80.0,
    86.0,
    100.0,
]
SIZES += [200.0, 1e3, 1e4]
WIDE = [33.0, 36.5, 37.0, 40.0, 300.0, 700.0, 708.0, 745.0, 1e5, 1e100, 1e300]


@dataclass(frozen=True)
class Case:
    """A loss at logits z and targets y (classes as a number), with its exact value and gradient."""

    loss: Any
    z: tuple[float, ...]
    y: Any
    right: Callable[[], exact.Row]
    scale: float = 0.0
    """Size of the terms whose difference is asked for, where that is no sum of terms of one sign."""


def sizes(dtype: str) -> list[float]:
    """Logits, exact in the dtype."""
    each = SIZES if dtype == "float32" else SIZES + WIDE
    return [float(np.dtype(dtype).type(s * x)) for x in each for s in (1.0, -1.0)]


def binary(dtype: str) -> Iterator[Case]:
    for z in sizes(dtype):
        for y in (0.0, 1.0):
            yield Case(BinaryCrossEntropy(), (z,), (y,), lambda z=z, y=y: exact.binary_cross_entropy([z], [y]))
        for y in (0.25, 0.75):  # soft labels: σ - y may cancel
            right = lambda z=z, y=y: exact.binary_cross_entropy([z], [y])  # noqa: E731
            yield Case(BinaryCrossEntropy(), (z,), (y,), right, scale=1.0)
        pair = (z, -z)
        yield Case(BinaryCrossEntropy(), pair, (1.0, 0.0), lambda p=pair: exact.binary_cross_entropy(p, (1.0, 0.0)))


def softmax(dtype: str) -> Iterator[Case]:
    for z in sizes(dtype):
        for k in (2, 3, 19):
            logits = (0.0, z, *(0.5 * z for _ in range(k - 2)))
            for y in range(min(k, 3)):
                hot = [float(j == y) for j in range(k)]
                right = lambda x=logits, t=hot: exact.softmax_cross_entropy(x, t)  # noqa: E731
                yield Case(SoftmaxCrossEntropy(), logits, y, right)
                if k == 3 and abs(z) < 1e200:
                    yield Case(MultiSoftmaxCrossEntropy((3,)), logits, tuple(hot), right)
        smooth = [0.25 / 2, 0.75 + 0.25 / 2]
        right = lambda z=z, t=smooth: exact.softmax_cross_entropy((0.0, z), t)  # noqa: E731
        yield Case(SoftmaxCrossEntropy(label_smoothing=0.25), (0.0, z), 1, right, scale=1.0)


_LINKED = {
    "squared": MeanSquaredError,
    "absolute": MeanAbsoluteError,
    "huber": lambda link: Huber(delta=0.5, link=link),
    "quantile": lambda link: Quantile((0.25,), link=link),
}


def linked(dtype: str) -> Iterator[Case]:
    for link in LINKS:
        ends = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}.get(link, (0.0,))
        for z in sizes(dtype):
            for kind, make in _LINKED.items():
                for y in ends:
                    yield Case(make(link), (z,), (y,), lambda a=(kind, link, z, y): exact.linked(*a))


def counts(dtype: str) -> Iterator[Case]:
    for z in sizes(dtype):
        yield Case(Poisson(), (z,), (0.0,), lambda z=z: exact.poisson(z, 0.0))
        largest = max(np.exp(min(z, 700.0)), 3 * abs(z), 3.0)
        yield Case(Poisson(), (z,), (3.0,), lambda z=z: exact.poisson(z, 3.0), scale=float(largest))


KINDS = {"binary": binary, "softmax": softmax, "linked": linked, "counts": counts}


def by_reference(case: Case, dtype: str) -> tuple[float, np.ndarray]:
    """Value and gradient by NumPy."""
    return _by_namespace(np, case, dtype)


def by_jax(case: Case, dtype: str) -> tuple[float, np.ndarray]:
    """Value and gradient by JAX."""
    import jax

    with jax.enable_x64(dtype == "float64"):
        return _by_namespace(jax.numpy, case, dtype)


def _by_namespace(xp: Any, case: Case, dtype: str) -> tuple[float, np.ndarray]:
    Z = xp.asarray(np.array([case.z], dtype))
    Y = np.array([case.y]) if isinstance(case.y, int) else np.array([case.y], dtype)
    Y = xp.asarray(Y)
    with np.errstate(all="ignore"):
        return np.asarray(case.loss.rows(xp, Z, Y))[0], np.asarray(case.loss.gradient(xp, Z, Y))[0]


def by_native(case: Case, dtype: str) -> tuple[float, np.ndarray]:
    """Value and gradient by the compiled engine: the bias is the logit, and after one step the momentum is the gradient."""
    from chainrule.engines.native import NativeSession

    k = len(case.z)
    recipe = Recipe(Net(1, [Dense(k)]), case.loss, SGDMomentum(), batch_size=1, dtype=dtype)
    Y = np.array([case.y]) if isinstance(case.y, int) else np.array([case.y], dtype)
    session = NativeSession(recipe, Rows(np.zeros((1, 1), dtype), Y, np.ones(1, dtype)), threads=1)
    w = np.array([*np.zeros(k), *case.z], dtype)
    session.load(type(session.state)(w, np.zeros(0, dtype), {"v": np.zeros(2 * k, dtype)}, 0))
    sums = session.run(0, 0, np.zeros(1))
    return np.dtype(dtype).type(sums.loss), session.state.optimizer_state["v"][k:]


ENGINES = {"reference": by_reference, "jax": by_jax, "native": by_native}


def is_near(found: Any, right: Decimal, scale: float) -> bool:
    """Whether a number is within 8 units in the last place; what is below the normal numbers may be 0."""
    limits = np.finfo(found.dtype)
    if abs(right) > Decimal(float(limits.max)):
        return bool(np.isinf(found)) and (found > 0) == (right > 0)
    if not np.isfinite(found):
        return abs(right) * 2 > Decimal(float(limits.max))
    size = found.dtype.type(max(abs(float(right)), scale))
    allowed = max(ULPS * float(np.spacing(size)), 2 * float(limits.tiny))
    return abs(Decimal(float(found)) - right) <= Decimal(allowed)


def faults(cases: Sequence[Case], engine: str, dtype: str) -> Iterator[str]:
    with localcontext(exact.DIGITS):
        for case in cases:
            value, gradient = ENGINES[engine](case, dtype)
            right, slopes = case.right()
            text = f"{case.loss} at z = {case.z[:3]}, y = {case.y}"
            if not is_near(value, right, 0.0 if case.scale <= 1.0 else case.scale):
                yield f"{text}: loss {value!r}, exactly {float(right)!r}"
            for j, (found, slope) in enumerate(zip(gradient, slopes, strict=True)):
                if not is_near(found, slope, case.scale):
                    yield f"{text}: gradient[{j}] {found!r}, exactly {float(slope)!r}"


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ["reference", "native"])
def test_losses_and_gradients_keep_all_digits(engine, dtype, kind):
    if engine == "native" and why_unavailable("native"):
        pytest.skip("the compiled extension is not built")
    cases = list(KINDS[kind](dtype))
    wrong = list(faults(cases, engine, dtype))
    assert not wrong, f"{len(wrong)} of {len(cases)}\n" + "\n".join(wrong[:20])


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_and_gradients_keep_all_digits_with_jax(dtype, kind):
    pytest.importorskip("jax")
    cases = list(KINDS[kind](dtype))
    cases = cases[:: max(1, len(cases) // 30)]  # each takes milliseconds
    wrong = list(faults(cases, "jax", dtype))
    assert not wrong, f"{len(wrong)} of {len(cases)}\n" + "\n".join(wrong[:20])


def test_a_confident_right_answer_costs_what_its_mirror_image_costs():
    """In float32 the loss at z = 15 of a yes was 0, and that of a no at z = -15 was 3.06e-7."""
    for z in (14.0, 15.0, 16.5, 20.0, 60.0):
        yes, no = (
            (
                loss.rows(np, np.float32([[s * z]]), np.float32([[y]])),
                loss.gradient(np, np.float32([[s * z]]), np.float32([[y]])),
            )
            for loss, s, y in ((BinaryCrossEntropy(), 1, 1), (BinaryCrossEntropy(), -1, 0))
        )
        assert yes[0] == no[0] > 0
        assert yes[1] == -no[1]
