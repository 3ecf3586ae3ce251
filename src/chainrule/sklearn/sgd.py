"""scikit-learn's sgd and adam as runs of an engine's session: one call for each epoch, over rows in scikit-learn's order.

In: an objective, arguments, data, first weights. Out: after each epoch the mean loss and the weights, and the state from
which a later call continues.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.engines import Rows, Session, choose
from chainrule.nn.optimizers import Adam, Nesterov, Optimizer, SGDMomentum
from chainrule.nn.penalties import Penalty
from chainrule.nn.step import Recipe, State
from chainrule.sklearn.arguments import Arguments
from chainrule.sklearn.objective import Data, Objective

_FREE = math.nextafter(1.0, 0.0)
"""A momentum of 1, which our optimizers refuse, to the last digit."""

_LONG_AGO = 10**12
"""Steps after which Adam's corrections for starting at zero are 1 to the last digit."""


@dataclass(frozen=True)
class SolverState:
    """The state that a stochastic solver carries from one call to the next: its rate, its vectors (P), its steps."""

    learning_rate: float
    memory: Named = field(default_factory=dict, repr=False)
    step: int = 0


@dataclass(frozen=True)
class Part:
    """Batches first .. first + count - 1 of an epoch, `rows` together, run by one session."""

    session: Session
    first: int
    count: int
    rows: int


def optimizer(arguments: Arguments, scale: float) -> Optimizer:
    """Return our optimizer for theirs, on gradients that are theirs divided by `scale`."""
    if arguments.solver == "adam":
        return Adam(beta1=arguments.beta_1, beta2=arguments.beta_2, epsilon=arguments.epsilon / scale)
    mu = min(arguments.momentum, _FREE)
    return Nesterov(mu=mu) if arguments.nesterovs_momentum else SGDMomentum(mu=mu)


def correction(arguments: Arguments, t: Array) -> Array:
    """Return what multiplies the rate at steps t (from 1): Adam's bias correction, 1 for sgd.

    Theirs has ε beside √v, ours beside √v̂. So our Adam runs as if it had started long ago, where v̂ = v, and the
    rate carries the correction.

    Forward    (1) √(1 - β₂ᵗ) / (1 - β₁ᵗ)
    Reference  [kingma2015] section 2, the last sentences
    """
    if arguments.solver == "sgd":
        return np.ones(len(t))
    return np.sqrt(1.0 - arguments.beta_2**t) / (1.0 - arguments.beta_1**t)  # (1)


class SgdRun:
    """A run of sgd or adam in progress.

    A session reads its rows in every epoch in an order of its own. So the rows are arranged before each epoch such that the
    session reads them in the order that the caller drew; one batch of all rows stays as it is. A last batch of another
    length needs another penalty λ = α / rows, hence a session of its own. With weights, each batch counts by its rows, hence
    one call for each.
    """

    def __init__(
        self, objective: Objective, arguments: Arguments, data: Data, w: Array, state: SolverState | None, engine: str
    ) -> None:
        self._objective, self._arguments, self._alpha, self._data = objective, arguments, arguments.alpha, data
        n, dtype = len(data.X), data.X.dtype.name
        size = arguments.rows_per_batch(n)
        rule = optimizer(arguments, objective.scale)
        self._factor = 1.0 if arguments.solver == "adam" else objective.scale
        recipe = Recipe(objective.net, objective.loss, rule, batch_size=size, dtype=dtype)
        self._targets = objective.targets(data.Y)
        self._rows = Rows(data.X, self._targets, data.c)
        if size < n:
            self._rows = Rows(np.zeros_like(data.X), np.zeros_like(self._targets), np.zeros_like(data.c))
            self._inverse = np.argsort(recipe.order(np, n, 0))
        self._constant = objective.constant(data.Y, data.c)
        self._parts = self._divide(recipe, n, engine)
        self._session = self._parts[0].session
        known = state is not None and set(state.memory) == set(rule.state_names)
        self.state = state if state is not None and known else SolverState(arguments.learning_rate_init)
        memory = self.state.memory or {letter: np.zeros_like(w, dtype) for letter in rule.state_names}
        self._session.load(State(w.astype(dtype), np.zeros(0, dtype), memory, _LONG_AGO))
        self._squares = objective.squares(w)
        self._arranged: Array | None = None

    def _divide(self, recipe: Recipe, n: int, engine: str) -> tuple[Part, ...]:
        """Divide an epoch into parts that one session can run."""
        size, each, mean = recipe.batch_size, 1 if self._data.weighted else n // recipe.batch_size, self._data.c.mean()

        def session(rows: int) -> Session:
            penalty = Penalty(l2=self._objective.penalty(self._alpha, rows * mean))
            chosen, _ = choose(engine, recipe)
            self.engine = chosen.name
            return chosen.compile(replace(recipe, penalty=penalty), self._rows)

        whole, rest = session(size), n % size
        parts = [Part(whole, first, each, size * each) for first in range(0, n // size, each)]
        if rest:
            parts.append(Part(session(rest) if self._alpha else whole, n // size, 1, rest))
        return tuple(parts)

    @property
    def steps(self) -> int:
        """Number of steps in an epoch."""
        return sum(part.count for part in self._parts)

    @property
    def w(self) -> Array:
        """The current weights."""
        return self._session.state.w

    def logits(self, X: Array) -> Array:
        """Return the logits (n, k) with the current weights."""
        return self._session.logits(X)

    def epoch(self, order: Array, stop: Callable[[], bool]) -> float:
        """Run one epoch with the rows in this order; return the mean of what scikit-learn reports as loss.

        The penalty in it needs ‖W‖² before each step, which is interpolated between the epoch's first and last value.
        """
        self._arrange_rows(order)
        n, total = len(order), 0.0
        for part in self._parts:
            if part.session is not self._session:
                part.session.load(self._session.state)
                self._session = part.session
            sums = part.session.run(0, part.first, self._rates(part.count), stop)
            total += part.rows * (sums.mean_loss if sums.weight else 0.0)
            self.state = replace(self.state, step=self.state.step + int(sums.steps))
            if stop():
                break
        return self._objective.reported * total / n + self._constant + self._penalty(n)

    def _rates(self, count: int) -> Array:
        """Return our learning rates of the next steps."""
        t = self.state.step + np.arange(1.0, count + 1.0)
        return self.state.learning_rate * self._factor * correction(self._arguments, t)

    def _penalty(self, n: int) -> float:
        if not self._alpha:
            return 0.0
        before, self._squares = self._squares, self._objective.squares(self.w)
        squares = ((self.steps + 1) * before + (self.steps - 1) * self._squares) / 2.0
        return float(self._alpha / (2.0 * n * self._data.c.mean()) * squares)

    def _arrange_rows(self, order: Array) -> None:
        """Write the rows so that the session's own order of an epoch reads them in the given one."""
        if self._rows.X is self._data.X or order is self._arranged:
            return
        source, rows = order[self._inverse], self._rows
        for array, out in ((self._data.X, rows.X), (self._targets, rows.Y), (self._data.c, rows.c)):
            np.take(array, source, axis=0, out=out, mode="clip")
        self._arranged = order

    def slow_down(self, rate: float) -> None:
        """Continue with a lower rate.

        Velocities of scikit-learn's sgd include the rates of earlier steps; ours hold gradients only, so they are rescaled.
        """
        session_state = self._session.state
        ratio = self.state.learning_rate / rate
        memory = {letter: ratio * vector for letter, vector in session_state.optimizer_state.items()}
        self._session.load(replace(session_state, optimizer_state=memory))
        self.state = replace(self.state, learning_rate=rate)

    def final_state(self) -> SolverState:
        """Return the state from which a later call continues."""
        return replace(self.state, memory=self._session.state.optimizer_state)
