"""Why: the page lowers recipes and scales rows in JavaScript, so that no Python is needed there. In: drawn recipes and rows.

Out: plans, layouts and scaled rows equal to Python's, bit for bit.
"""

from enum import Enum

import numpy as np
import pytest
from playground.wasm_cases import NODE, answers, drawn_case, numbers, problem_of

from chainrule.data import Standardizer
from chainrule.engines.plan import lower
from chainrule.nn.layers import Dense

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")
ABSENT = {"groups", "head_sizes", "quantile_levels"}


def plain(fields):
    return {
        name: value.name.lower() if isinstance(value, Enum) else value
        for name, value in fields.items()
        if name not in ABSENT
    }


def test_the_plans_of_200_recipes_equal_those_of_python():
    cases = [drawn_case(seed) for seed in range(200)]
    for case, found in zip(cases, answers("plan", cases), strict=True):
        recipe, rows, _ = problem_of(case)
        plan = lower(recipe)
        assert found["stages"] == [plain(stage.fields()) for stage in plan.stages]
        assert found["phases"] == [plain(phase.fields()) for phase in plan.phases]
        assert found["settings"] == plain(plan.settings())
        for name in ("parameters", "buffers"):
            assert found[name] == [[s.name, s.offset, list(s.shape)] for s in getattr(recipe.net, name).slots]
        assert found["batches"] == len(recipe.batches(len(rows)))
        rules = [layer.initializer if isinstance(layer, Dense) else None for layer in recipe.net.layers]
        assert found["layers"] == rules


def table(seed):
    """Return rows with columns of every kind: large means, constant, rare, tiny, huge."""
    rng = np.random.default_rng(seed)
    n, d = (
        int(rng.choice([1, 2, 5, 7, 8, 9, 100, 127, 129, 1000, 4096, 4097, 9000])),
        int(rng.choice([1, 1, 2, 3, 7, 16])),
    )
    X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-4, 5, d) + rng.normal(size=d) * 10.0 ** rng.integers(-2, 6, d)
    kind = rng.integers(0, 6, d)
    X[:, kind == 1] = rng.normal()
    X[:, kind == 2] = rng.random((n, int((kind == 2).sum()))) < 0.003
    X[:, kind == 3] *= 1e-170
    X[:, kind == 4] = np.round(X[:, kind == 4])
    return X, rng.permutation(n)[: max(1, n - n // 5)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_scaled_to_the_same_bits(dtype):
    tables = [table(seed) for seed in range(60)]
    cases = [
        {
            "X": X.ravel().tolist(),
            "d": X.shape[1],
            "rows": rows.tolist(),
            "hold": bool(i % 2),
            "type": dtype,
        }
        for i, (X, rows) in enumerate(tables)
    ]
    for i, ((X, rows), found) in enumerate(zip(tables, answers("scaling", cases), strict=True)):
        right = Standardizer.fit(X[rows], hold_constant=bool(i % 2))
        assert numbers(found["mean"], "float64").tobytes() == right.mean.tobytes(), i
        assert numbers(found["scale"], "float64").tobytes() == right.scale.tobytes(), i
        assert numbers(found["Z"], dtype).tobytes() == right.apply(X[rows], dtype).tobytes(), i
