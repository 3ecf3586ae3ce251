"""Activations of hidden layers, gradients of predictions in the inputs, and importances of columns.

In: a `Model` and rows in the user's units. Out: arrays with one row for each of them, or one number for each column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chainrule.arrays import Array, ArrayLike, MatrixLike
from chainrule.constraints import COUNT, Interval
from chainrule.engines import predictor
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.nn.activations import activation
from chainrule.nn.layers import Context, Dense
from chainrule.nn.losses import Loss, MultiSoftmaxCrossEntropy, Quantile, TargetKind
from chainrule.nn.net import Net
from chainrule.random import Purpose, Stream

_BLOCK = 4096
"""Rows at a time, so that the backward pass needs little memory for any number of rows."""


def hidden(model: Model, X: MatrixLike, layer: int = -1) -> Array:
    """Return the activations of a hidden layer in inference, after its norm and activation.

    Parameters
    ----------
    model : Model
        A trained model; of several networks, the units stand side by side.
    X : array, frame, sparse matrix or sequence of rows
        n rows in the user's units.
    layer : int, default=-1
        Number of the hidden layer, as in `hidden_layer_sizes`: 0 is the first, -1 the last.

    Returns
    -------
    array of shape (n, units)

    Raises
    ------
    InvalidValueError
        For a layer that does not exist.

    Examples
    --------
    >>> from chainrule import Activation
    >>> from chainrule.data import Standardizer
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> net = Net(1, [Dense(2), Activation("relu"), Dense(1)])
    >>> w = np.array([1.0, -1.0, 0.0, 0.5, 1.0, 1.0, 0.0])
    >>> one = Standardizer.identity(1)
    >>> hidden(Model(net, MeanSquaredError(), w, np.zeros(0), one, None, None, ("x",), "y"), np.array([[2.0], [-1.0]]))
    array([[2. , 0. ],
           [0. , 1.5]])
    """
    X = _checked_rows(model, X)
    front = Net(model.net.inputs, model.net.layers[: _end(model.net, layer)])
    A = model.inputs.apply(X, model.w.dtype)
    return np.hstack([_front(member, front)(A) for member in model.members])


def _front(model: Model, front: Net) -> Callable[[Array], Array]:
    """Return the function of the first layers of a model's network, whose parameters lie first in its vectors."""
    return predictor(front, model.w[: front.size], model.buffers[: front.buffers.size])


def _end(net: Net, layer: int) -> int:
    """Return the position after a hidden layer: that of the next dense layer."""
    ends = [i for i, piece in enumerate(net.layers) if isinstance(piece, Dense)][1:]
    if not ends:
        raise InvalidValueError(must_be("hidden", "model", "a network with hidden layers", "one that has none"))
    allowed = Interval(-len(ends), len(ends) - 1, "[]", whole=True)
    if not allowed.allows(layer):
        raise InvalidValueError(must_be("hidden", "layer", str(allowed), layer, "0 is the first, -1 the last."))
    return ends[layer]


def input_gradients(model: Model, X: MatrixLike, output: int | None = None) -> Array:
    """Return the derivative of a prediction with respect to each input, row by row.

    Of a class, one could take the probability or the logit instead of the log odds. The probability's derivative is p
    (1 - p) times that of the log odds and vanishes where the network is sure, as if no input mattered there. Logits of
    a softmax are fixed only up to a constant added to all of them, and so are their derivatives. Log odds have neither
    fault, and for a network without hidden layers of two classes their derivative is the coefficient of logistic
    regression. Derivatives are taken with the temperature; for several networks they are those of the averaged
    prediction.

    Reference  [simonyan2014] for derivatives in the inputs, of scores before the softmax

    Parameters
    ----------
    model : Model
        A trained model.
    X : array, frame, sparse matrix or sequence of rows
        n rows in the user's units.
    output : int, default=None
        For a regression, the number of the output; for classes, the number of the class, whose log odds are meant; for
        labels, the number of the label; for several targets of classes, the column of their probabilities. None takes
        what `predict` returns: the predicted class of each row, the one value, or the quantile nearest to the median.

    Returns
    -------
    array of shape (n, d)
        In the prediction's unit (log odds for classes) per unit of the input as the user has it.

    Raises
    ------
    InvalidValueError
        For an output that does not exist, and for None where the model gives several predictions.

    Examples
    --------
    >>> from chainrule.data import Standardizer
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> inputs, targets = (Standardizer(np.zeros(k), np.full(k, s)) for k, s in ((2, 10.0), (1, 5.0)))
    >>> w = np.array([2.0, -4.0, 0.0])
    >>> model = Model(Net(2, [Dense(1)]), MeanSquaredError(), w, np.zeros(0), inputs, targets, None, ("a", "b"), "y")
    >>> input_gradients(model, np.ones((1, 2)))
    array([[ 1., -2.]])
    """
    X = _checked_rows(model, X)
    return np.vstack([_slopes(model, part, _chosen(model, part, output)) for part in _parts(X)])


def importances(model: Model, X: MatrixLike, sample_weight: ArrayLike = None) -> Array:
    """Return how much each column moves the predictions over these rows.

    Equations  (1) Iⱼ = Σᵢ cᵢ |∂o/∂xᵢⱼ| / Σᵢ cᵢ · σⱼ    (2) share of column j: Iⱼ / Σₖ Iₖ

    Here σⱼ is the standard deviation of column j over these rows: Iⱼ is how much the prediction moves, to first order,
    when the column moves as it usually does. No row is permuted, so that the network is evaluated only at rows that
    occur. Columns with the same information divide their importance as the network does. For a network without hidden
    layers these are its standardized coefficients. The prediction is that of `input_gradients`; for several predictions
    it is the mean of their shares.

    Reference  [dimopoulos1995], [gevrey2003]: the partial-derivatives method

    Parameters
    ----------
    model : Model
        A trained model.
    X : array, frame, sparse matrix or sequence of rows
        n rows in the user's units; a few hundred suffice.
    sample_weight : array of shape (n,), default=None
        Weights >= 0 of the rows; None weighs all alike.

    Returns
    -------
    array of shape (d,)
        Numbers >= 0 of sum 1; all 0 where no column moves any prediction.

    Raises
    ------
    InvalidValueError
        For weights that are not n numbers >= 0, some above 0.

    Examples
    --------
    >>> from chainrule.data import Standardizer
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> one, w = Standardizer.identity(2), np.array([3.0, -1.0, 0.0])
    >>> model = Model(Net(2, [Dense(1)]), MeanSquaredError(), w, np.zeros(0), one, None, None, ("a", "b"), "y")
    >>> importances(model, np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))
    array([0.75, 0.25])
    """
    X = _checked_rows(model, X)
    c = _checked_weights(sample_weight, len(X))
    moved = np.zeros_like(X[0], np.float64)
    for part, weights in zip(_parts(X), _parts(c), strict=True):
        moved = moved + [weights @ np.abs(_slopes(model, part, chosen)) for chosen in _predicted(model, part)]
    center = c @ X
    moved = np.atleast_2d(moved) * np.sqrt(c @ (X - center) ** 2)  # (1)
    total = _shares(moved).sum(axis=0)
    return _shares(total)  # (2)


def permutation_importances(
    predict: Callable[[Array], Array],
    X: Array,
    y: Array,
    loss: Callable[[Array, Array], float],
    groups: Sequence[Sequence[int]] | None = None,
    *,
    repeats: int = 3,
    rows: int = 2000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Return how much the loss rises when a column's values are shuffled among the rows.

    Columns with the same information share their importance, or have none at all: shuffling one leaves the other. Rows
    with a shuffled column may be ones that never occur. `importances` has neither fault, but takes only a `Model`.

    Equations  (1) Iⱼ = mean over r of J(X with column j shuffled by πᵣ) - J(X)

    Reference  [breiman2001]

    Parameters
    ----------
    predict : callable
        Takes rows (n, d) and returns what `loss` takes; any model, and one that takes gaps and category codes too.
    X : array of shape (n, d)
        Rows that were not trained on.
    y : array of shape (n,)
        Their targets.
    loss : callable
        `loss(y, predictions)` returns the mean loss.
    groups : sequence of sequences of int, default=None
        Columns to shuffle together, such as those that one column of a table became; None shuffles each by itself.
    repeats : int, default=3
        Shuffles of each group; more give a steadier mean.
    rows : int, default=2000
        Largest number of rows; of more, these are drawn at random.
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    mean : array of shape (groups,)
        Mean rise of the loss; about 0, or a little below, for a column that the model does not use.
    error : array of shape (groups,)
        Standard error of that mean over the shuffles; NaN for a single one.

    Raises
    ------
    InvalidValueError
        For fewer than two rows, fewer than one repeat, and columns that do not exist.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> squared = lambda y, predicted: float(((y - predicted) ** 2).mean())
    >>> permutation_importances(lambda X: 3 * X[:, 0], X, 3 * X[:, 0], squared)[0].round(-1)
    array([20.,  0.])
    """
    chosen = [[j] for j in range(X.shape[1])] if groups is None else [list(group) for group in groups]
    _check_shuffles(X, chosen, repeats, rows)
    stream = Stream.from_seed(seed).fold(Purpose.SPLIT, *b"importances")
    take = np.sort(stream.permutation(np, len(X))[:rows])
    X = X[take]
    y = y[take]
    before = loss(y, predict(X))
    rises = np.zeros((repeats, len(chosen)))
    for g, columns in enumerate(chosen):
        for r in range(repeats):
            shuffled = X.copy()
            order = stream.fold(g, r).permutation(np, len(X))
            shuffled[:, columns] = X[order][:, columns]
            rises[r, g] = loss(y, predict(shuffled)) - before
    error = rises.std(axis=0, ddof=1) / repeats**0.5 if repeats > 1 else np.full(len(chosen), np.nan)
    return rises.mean(axis=0), error  # (1)


def _check_shuffles(X: Array, groups: Sequence[Sequence[int]], repeats: int, rows: int) -> None:
    if np.ndim(X) != 2 or len(X) < 2:
        raise InvalidValueError(must_be("permutation_importances", "X", "of shape (n, d) with n > 1", np.shape(X)))
    for name, value in (("repeats", repeats), ("rows", rows)):
        allowed = COUNT if name == "repeats" else Interval(2, np.inf, "[)", whole=True)
        if not allowed.allows(value):
            raise InvalidValueError(must_be("permutation_importances", name, str(allowed), value))
    wrong = sorted({j for group in groups for j in group if not 0 <= j < X.shape[1]})
    if wrong:
        raise InvalidValueError(must_be("permutation_importances", "groups", f"of columns 0..{X.shape[1] - 1}", wrong))


def _shares(moved: Array) -> Array:
    """Divide each row by its sum; a row of zeros stays."""
    total = moved.sum(axis=-1, keepdims=True)
    return moved / np.where(total > 0, total, 1.0)


def _parts(rows: Array) -> list[Array]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _checked_rows(model: Model, X: MatrixLike) -> Array:
    """Return rows as the model takes them; there must be one at least."""
    X = model.as_matrix(X)
    if not len(X):
        raise InvalidValueError(must_be("Model", "X", f"of shape (n, {model.net.inputs}) with n > 0", X.shape))
    return X


def _checked_weights(sample_weight: Array | None, n: int) -> Array:
    """Return the weights divided by their sum, float64."""
    c = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if c.shape != (n,) or not (np.isfinite(c).all() and (c >= 0).all() and c.any()):
        allowed = f"{n} finite numbers >= 0, some above 0"
        raise InvalidValueError(must_be("importances", "sample_weight", allowed, sample_weight))
    return c / c.sum()


def _chosen(model: Model, X: Array, output: int | None) -> Array:
    """Return the number of the chosen output for each row (n)."""
    outputs = 2 if _binary(model) else model.net.outputs
    if output is not None:
        allowed = Interval(0, outputs - 1, "[]", whole=True)
        if not allowed.allows(output):
            raise InvalidValueError(must_be("input_gradients", "output", f"{allowed} or None", output))
        return np.full(len(X), output)
    predicted = _predicted(model, X)
    if len(predicted) > 1:
        hint = f"The model gives {len(predicted)} predictions for each row."
        raise InvalidValueError(must_be("input_gradients", "output", f"a number in 0..{outputs - 1}", None, hint))
    return predicted[0]


def _binary(model: Model) -> bool:
    return model.loss.targets is TargetKind.LABELS and model.net.outputs == 1


def _blocks(model: Model) -> list[slice]:
    """Return the columns of logits of each set of exclusive classes."""
    sizes = model.loss.sizes if isinstance(model.loss, MultiSoftmaxCrossEntropy) else (model.net.outputs,)
    ends = np.cumsum(sizes).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _predicted(model: Model, X: Array) -> list[Array]:
    """Return, for each prediction of a row, the number of its output (n)."""
    Z = model.logits(X)
    if _binary(model):
        return [(Z[:, 0] > 0).astype(int)]
    if model.classes is not None and model.loss.targets is not TargetKind.LABELS:
        return [block.start + Z[:, block].argmax(axis=1) for block in _blocks(model)]
    levels = np.array(model.loss.levels if isinstance(model.loss, Quantile) else [0.5])
    nearest = int(np.abs(levels - 0.5).argmin())
    q = len(levels)
    starts = range(0, Z.shape[1], q)
    return [start + Z[:, start : start + q].argsort(axis=1)[:, nearest] for start in starts]


def _slopes(model: Model, X: Array, chosen: Array) -> Array:
    """Return the derivative of the chosen output with respect to each input, (n, d), float64.

    Equations  (1) a = (x - m) / s    (2) do/da by the backward pass, from do/dZ    (3) do/dx = (do/da) / s
    """
    ctx, A = Context(np), model.inputs.apply(X, model.w.dtype)  # (1)
    members = model.members
    passes = [member.net.forward(member.w, member.buffers, A, ctx) for member in members]
    directions = _directions(model, [Z.astype(np.float64) for Z, _, _ in passes], chosen)
    dA = np.zeros(X.shape)
    for member, (_, tape, _), dZ in zip(members, passes, directions, strict=True):
        dA += member.net.backward(member.w, tape, dZ.astype(A.dtype), ctx)[0]  # (2)
    return dA / model.inputs.scale  # (3)


def _directions(model: Model, logits: Sequence[Array], chosen: Array) -> list[Array]:
    """Return the gradient of the prediction with respect to the logits (n, k) of each network."""
    if model.classes is None:
        return [_value_direction(model, Z, chosen) / len(logits) for Z in logits]
    if model.loss.targets is TargetKind.LABELS:
        sign = 2.0 * chosen[:, None] - 1.0 if _binary(model) else chosen[:, None] == np.arange(model.net.outputs)
        return [sign / model.temperature * share for share in _sigmoid_shares(logits)]
    block = next(block for block in _blocks(model) if block.start <= chosen[0] < block.stop)
    inside = _of_classes([Z[:, block] for Z in logits], chosen - block.start, model.temperature)
    directions = [np.zeros_like(Z) for Z in logits]
    for dZ, part in zip(directions, inside, strict=True):
        dZ[:, block] = part
    return directions


def _value_direction(model: Model, Z: Array, chosen: Array) -> Array:
    """Return the derivative of the link, in the targets' unit."""
    A = model.loss.predict(np, Z)
    slope = activation(_link(model.loss, Z, A)).derivative(np, Z, A)
    scale = np.ones(Z.shape[1]) if model.targets is None else model.targets.scale
    asked = chosen[:, None] == np.arange(Z.shape[1])
    return np.where(asked, slope * scale, 0.0)


def _link(loss: Loss, Z: Array, A: Array) -> str:
    if loss.link == "identity" and not np.array_equal(A, Z):
        raise InvalidValueError(must_be("input_gradients", "loss", "one that names its link", loss))
    return loss.link


def _sigmoid_shares(logits: Sequence[Array]) -> list[Array]:
    """Return how the logit of the mean probability moves with each network's logit: pᵢ (1 - pᵢ) / (m p (1 - p)), (n, k).

    In logarithms, since a sure network's 1 - p is too small for a number.
    """
    log_p, log_q = ([-np.logaddexp(0.0, sign * Z) for Z in logits] for sign in (-1.0, 1.0))
    joint = _log_mean(log_p) + _log_mean(log_q)
    m = len(logits)
    return [np.exp(p + q - joint) / m for p, q in zip(log_p, log_q, strict=True)]


def _log_mean(logarithms: Sequence[Array]) -> Array:
    mean: Array = np.logaddexp.reduce(logarithms) - np.log(len(logarithms))
    return mean


def _of_classes(logits: Sequence[Array], own: Array, temperature: float) -> list[Array]:
    """Return the gradient of the log odds of class `own` with respect to the logits (n, K) of each network.

    The joint logits are the logarithms z of the mean probabilities; dz_c/dzᵢⱼ = rᵢ_c ([c = j] - pᵢⱼ), where rᵢ is
    network i's share of the mean.
    """
    logs = [Z - np.logaddexp.reduce(Z, axis=1, keepdims=True) for Z in logits]
    joint = _log_mean(logs)
    d = _log_odds(joint / temperature, own) / temperature
    parts = [d * np.exp(log_p - joint) / len(logs) for log_p in logs]
    return [part - np.exp(log_p) * part.sum(axis=1, keepdims=True) for part, log_p in zip(parts, logs, strict=True)]


def _log_odds(Z: Array, own: Array) -> Array:
    """Return the gradient of the log odds of class c = `own`.

    It is 1 for the class itself, and minus its share of the rest for each other class.

    Equations  (1) o = log p_c - log(1 - p_c) = z_c - log Σⱼ exp(zⱼ), over j ≠ c
               (2) do/dzⱼ = -exp(zⱼ) / Σᵢ exp(zᵢ), over i ≠ c, for j ≠ c    (3) do/dz_c = 1
    """
    chosen = own[:, None] == np.arange(Z.shape[1])
    rest = np.where(chosen, -np.inf, Z)  # (1)
    share = np.exp(rest - np.logaddexp.reduce(rest, axis=1, keepdims=True))  # (2)
    return np.where(chosen, 1.0, -share)  # (3)
