"""scikit-learn's lbfgs, which is SciPy's, with our loss and gradient.

In: an objective, arguments, data, first weights. Out: SciPy's result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from chainrule.arrays import Array
from chainrule.engines import Rows, choose
from chainrule.nn.optimizers import SGDMomentum
from chainrule.nn.penalties import Penalty
from chainrule.nn.step import Recipe, State
from chainrule.sklearn.arguments import Arguments
from chainrule.sklearn.objective import Data, Objective


class SmoothObjective:
    """J(w) and its gradient over all rows, in float64, by any engine.

    A step of momentum with μ = 0 leaves the gradient in the velocity; at rate 0 it moves nothing.
    """

    def __init__(self, objective: Objective, alpha: float, data: Data, engine: str) -> None:
        self._objective, self._alpha, self._C = objective, alpha, float(data.c.sum())
        penalty = Penalty(l2=objective.penalty(alpha, self._C))
        rule, n = SGDMomentum(mu=0.0), len(data.X)
        recipe = Recipe(objective.net, objective.loss, rule, penalty, batch_size=n, dtype="float64")
        X, Y, c = data.X.astype(np.float64), objective.targets(data.Y), data.c.astype(np.float64)
        rows = Rows(X, Y if Y.ndim == 1 else Y.astype(np.float64), c)
        chosen, _ = choose(engine, recipe)
        self.engine, self._session = chosen.name, chosen.compile(recipe, rows)

    def __call__(self, w: Array) -> tuple[float, Array]:
        """Return J and dJ/dw (P)."""
        self._session.load(State(w, np.zeros(0), {"v": np.zeros_like(w)}, 0))
        L = self._session.run(0, 0, np.zeros(1)).mean_loss
        gradient = self._objective.scale * self._session.state.optimizer_state["v"]
        return self._objective.value(L, w, self._alpha, self._C), gradient

    def reported(self, w: Array, data: Data) -> float:
        """Return the loss that scikit-learn reports at w."""
        objective = self._objective
        self._session.load(State(w, np.zeros(0), {"v": np.zeros_like(w)}, 0))
        L = self._session.run(0, 0, np.zeros(1)).mean_loss
        penalty = self._alpha / (2.0 * self._C) * objective.squares(w)
        return objective.reported * L + objective.constant(data.Y, data.c) + penalty


def minimize_lbfgs(loss_and_gradient: SmoothObjective, arguments: Arguments, w: Array) -> Any:
    """Run L-BFGS-B from w until no gradient entry exceeds `tol`, at most `max_iter` iterations or `max_fun` calls."""
    report = None
    if arguments.verbose:

        def report(intermediate_result: Any) -> None:
            print(f"loss = {intermediate_result.fun:.8f}")

    options = {"maxfun": arguments.max_fun, "maxiter": arguments.max_iter, "gtol": arguments.tol}
    start = w.astype(np.float64)
    return minimize(loss_and_gradient, start, method="L-BFGS-B", jac=True, callback=report, options=options)
