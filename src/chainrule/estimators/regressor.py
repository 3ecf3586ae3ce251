"""Why: amounts, their medians, counts and quantiles are predicted by one estimator.

In: X and y as scikit-learn's regressors take them. Out: `NetRegressor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be
from chainrule.estimators.base import Network, fitted_model, store
from chainrule.estimators.fitting import partial_fit
from chainrule.nn.losses import Loss
from chainrule.nn.optimizers import Optimizer
from chainrule.nn.schedules import Schedule
from chainrule.pipeline import JobCallback, Settings, Target, regression
from chainrule.train import Monitor


class NetRegressor(RegressorMixin, Network):  # type: ignore[misc]
    """A dense network that predicts amounts, one or several.

    Parameters and attributes are those of `NetClassifier`, those of classes apart. `loss` is "squared_error" (the mean),
    "absolute_error" (the median), "huber", "poisson" (counts), "quantile" (the levels in `quantiles`), or a loss of
    `chainrule.nn.losses`. Inputs are standardized; targets are too where the output is not bound to a range, and
    predictions come back in the targets' unit: float32 where network and rows are, else float64. Losses and scores of
    epochs are those of the scaled targets: a root mean squared error of 1 is the targets' standard deviation.

    Raises `InvalidValueError` in `fit`, naming every argument outside what it may be.

    Reference  [ng2018], [huber1964], [mccullagh1989]

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> NetRegressor(max_iter=300, random_state=0).fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.98
    True
    """

    _checks: ClassVar[dict[str, Any]] = {"multi_output": True, "y_numeric": True}

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        loss: str | Loss = "squared_error",
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        batch_norm: bool = False,
        layer_norm: bool = False,
        dropout: float | Sequence[float] = 0.0,
        initializer: str | None = None,
        optimizer: str | Optimizer = "adam",
        learning_rate_init: float | str = 1e-3,
        schedule: str | Schedule = "constant",
        learning_rate_multipliers: Mapping[str, float] | None = None,
        batch_size: int | str | None = "auto",
        accumulate_grad_batches: int = 1,
        max_iter: int = 100,
        alpha: float = 0.0,
        l1_alpha: float = 0.0,
        max_grad_norm: float | None = None,
        max_weight_norm: float | None = None,
        ema_decay: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        scoring: Any = None,
        scaling: str = "columns",
        n_networks: int = 1,
        start: Any = None,
        warm_start: bool = False,
        callbacks: Sequence[Monitor | JobCallback] = (),
        engine: str = "auto",
        dtype: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        store(self, locals())

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetRegressor:
        """One epoch over these rows, at the base rate, from where the last call (or `fit`) ended.

        The first call fixes the scaling of inputs and targets. Nothing is held out: `early_stopping`, `scoring`, `schedule`
        and `callbacks` are for `fit`.

        >>> import numpy as np
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> network = NetRegressor((), learning_rate_init=0.05, random_state=0)
        >>> for _ in range(60):
        ...     _ = network.partial_fit(X, 3 * X[:, 0] + 1)
        >>> network.predict([[0.5]]).round(1).tolist()
        [2.5]
        """
        partial_fit(self, X, y, sample_weight)
        return self

    def predict(self, X: Any) -> Array:
        """Amounts (n) or (n, k), in the unit of the targets; of quantiles the one whose level is nearest to a half."""
        return self._each(X, fitted_model(self).predict)

    def predict_quantiles(self, X: Any) -> Array:
        """Amounts below which the shares `quantiles` of targets lie: (n, q) ascending, for several targets (n, k, q).

        Raises `InvalidValueError` unless `loss="quantile"` was fitted.

        >>> import numpy as np
        >>> X, y = np.zeros((100, 1)), np.arange(100.0)
        >>> network = NetRegressor((), loss="quantile", quantiles=(0.1, 0.5, 0.9), max_iter=300, learning_rate_init=0.05)
        >>> network.set_params(random_state=0).fit(X, y).predict_quantiles([[0.0]]).round(-1).tolist()
        [[10.0, 50.0, 90.0]]
        """
        return self._each(X, fitted_model(self).quantiles)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Lower and upper limit between which the share `coverage` of targets lies: (n, 2), for several targets (n, k, 2).

        It needs the quantiles (1 - coverage) / 2 and (1 + coverage) / 2.

        Raises `InvalidValueError` where they were not fitted, naming the coverages that were.
        """
        Q, levels = self.predict_quantiles(X), np.array(fitted_model(self).loss.levels)  # type: ignore[attr-defined]
        ends = [
            np.flatnonzero(np.isclose(levels, (1.0 + side * coverage) / 2.0, rtol=0, atol=1e-9)) for side in (-1, 1)
        ]
        if not 0 < coverage < 1 or not all(len(end) for end in ends):
            had = [
                round(1.0 - 2.0 * float(a), 9) for a in levels if np.isclose(1.0 - a, levels, rtol=0).any() and a < 0.5
            ]
            hint = "Name both ends in quantiles."
            raise InvalidValueError(must_be(type(self).__name__, "coverage", f"one of {had}", coverage, hint))
        return Q[..., [int(end[0]) for end in ends]]

    def _targets(self, y: Array) -> Array:
        return y

    def _strata(self, y: Array) -> None:
        """Amounts are held out as they come."""

    def _target(self, y: Array, rest: Array, weights: Array, settings: Settings, classes: Any = None) -> Target:
        return regression(y[rest], settings, weights[rest])

    def _tables(self, target: Target, y: Array) -> None:
        return None

    def _announce(self, target: Target) -> None:
        """Amounts have no classes."""
