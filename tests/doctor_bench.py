"""Load the doctor's benchmark as the package `doctor`, as its scripts do, and make small trainings for it.

In: nothing. Out: `sys.modules["doctor"]`; trainings on which faults can be tried in little time.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "bench" / "doctor"

if "doctor" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "doctor", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    sys.modules["doctor"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["doctor"])

from doctor.noisy_hosts import Training  # noqa: E402


def small(task, rows=300, **settings):
    """Return a sound training on noisy rows with four columns; settings are those of the estimators."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(rows + 200, 4)) * [1.0, 2.0, 0.5, 3.0] + [0.0, 5.0, -1.0, 10.0]
    Z = (X - [0.0, 5.0, -1.0, 10.0]) / [1.0, 2.0, 0.5, 3.0]
    mean = Z[:, 0] + np.maximum(Z[:, 1], 0) - 0.5 * Z[:, 2]
    y = mean + 0.5 * rng.normal(size=len(X))
    if task == "classification":
        y = (y > np.median(y)).astype(int)
    given = {
        "hidden_layer_sizes": (16,),
        "learning_rate_init": 0.01,
        "max_iter": 40,
        "early_stopping": True,
        **settings,
    }
    return Training("toy", "adam", 0, task, given, X[:rows], y[:rows], X[rows:], y[rows:])
