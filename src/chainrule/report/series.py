"""What there is to see of a training, computed once from its records: curves, tables, images.

Every number that a page, a notebook or a PNG file shows of a run comes from here; the renderers only draw.

In: epochs, readings of layers, probabilities, weights, a range test. Out: plots and arrays, as data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.calibration import expected_calibration_error, reliability
from chainrule.doctor.vocabulary.records import Finding, LayerReading, Reading, RemedyTrial
from chainrule.pipeline.evaluation import precision_recall_curve, roc_curve
from chainrule.report.plots import HELD_OUT, NEUTRAL, TRAINING, Curve, Level, LinePlot, Mark, log10, positive
from chainrule.train import Epoch
from chainrule.train.range_test import RangeResult

TARGET_RATIO = 1e-3
"""The size of a step relative to the weights that is usual in trainings that go well."""

_MOST_TIMES = 40
_FEW_EPOCHS, _FEW_READINGS = 3, 8
"""With fewer points than this, each is marked with a dot."""

_METRICS = {"rmse": "root mean squared error"}


@dataclass(frozen=True, eq=False)
class Table:
    """Values (rows, columns) and what the rows and columns are called."""

    values: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]


def learning_curve(epochs: Sequence[Epoch], part: str = "loss", marks: Sequence[Mark] = ()) -> LinePlot:
    """Return the loss or the score by epoch, on training rows and (where there are any) validation rows.

    Parameters
    ----------
    epochs : sequence of Epoch
        The epochs of a run, at least one.
    part : {"loss", "score"}, default="loss"
        What to show.
    marks : sequence of Mark, default=()
        Epochs to mark.

    Returns
    -------
    plot : LinePlot
        Curves "training" and "validation"; a loss has a logarithmic axis where all its finite values are above 0.
    """
    training = _by_epoch(epochs, f"train_{part}", "training", TRAINING)
    held_out = _by_epoch(epochs, f"validation_{part}", "validation", HELD_OUT)
    curves = [training] if all(math.isnan(v) for v in held_out.y) else [training, held_out]
    name = "loss" if part == "loss" else metric_name(epochs[-1].metric)
    log = part == "loss" and positive(curves)
    return LinePlot(_capitalized(name), curves, y_name=name, y_log=log, marks=marks)


def metric_name(metric: str) -> str:
    """Return a metric's name in words."""
    return _METRICS.get(metric, metric)


def best_point(epochs: Sequence[Epoch], best_epoch: int | None, part: str = "loss") -> tuple[float, float] | None:
    """Return the epoch whose weights were kept and its loss or score: of the validation rows where there are any."""
    for epoch in epochs:
        if epoch.number == best_epoch:
            value = float(getattr(epoch, f"validation_{part}"))
            return float(epoch.number), float(getattr(epoch, f"train_{part}")) if math.isnan(value) else value
    return None


def gradient_norms(epochs: Sequence[Epoch]) -> LinePlot:
    """Return the mean gradient norm of each epoch's steps."""
    curve = _by_epoch(epochs, "gradient_norm", "mean of the steps", 2)
    return LinePlot("Gradient norm", [curve], y_name="‖g‖", y_log=True)


def learning_rates(epochs: Sequence[Epoch]) -> LinePlot:
    """Return the learning rate by epoch."""
    return LinePlot(
        "Learning rate", [_by_epoch(epochs, "learning_rate", "rate", 3)], y_name="learning rate", y_log=True
    )


def finding_marks(findings: Sequence[Finding]) -> list[Mark]:
    """Return where each finding was first seen, marked with the number of its card."""
    return [Mark(float(f.seen[0]), f"{i + 1}") for i, f in enumerate(findings) if f.seen and f.seen[0] > 0]


def _by_epoch(epochs: Sequence[Epoch], field: str, name: str, color: int) -> Curve:
    numbers = [float(epoch.number) for epoch in epochs]
    return Curve(name, numbers, [getattr(e, field) for e in epochs], color, dots=len(epochs) < _FEW_EPOCHS)


def _capitalized(name: str) -> str:
    return name[:1].upper() + name[1:]


def rate_curve(result: RangeResult) -> LinePlot:
    """Return the loss of a range test by learning rate, with the suggested rate marked."""
    curves = [
        Curve("loss of each step", result.rates, result.losses, NEUTRAL, thin=True),
        Curve("smoothed loss", result.rates, result.smoothed, TRAINING),
    ]
    return LinePlot(
        "Learning-rate range test",
        curves,
        x_name="learning rate",
        y_name="loss",
        x_log=True,
        marks=[Mark(result.suggestion, f"suggested {result.suggestion:.2g}")],
    )


def trial_curves(trial: RemedyTrial) -> LinePlot:
    """Return the losses of a trial without and with its remedy, on the same rows."""
    with_remedy = f"with {trial.remedy}{' too' if trial.joint else ''}"
    curves = [
        Curve(trial.before, _steps(trial.unchanged, trial.steps_before or trial.steps), trial.unchanged, HELD_OUT),
        Curve(with_remedy, _steps(trial.changed, trial.steps), trial.changed, TRAINING),
    ]
    return LinePlot(
        f"Trial “{trial.name}”: losses on the same held-out rows",
        curves,
        x_name="step",
        y_name="loss",
        y_log=all(v > 0 for v in (*trial.unchanged, *trial.changed)),
        height=170.0,
    )


def _steps(losses: Sequence[float], steps: int) -> list[float]:
    """Return the positions of a curve's points: evenly spaced, the last one at the last step."""
    return [steps * (i + 1) / len(losses) for i in range(len(losses))]


# Readings of layers


def complete(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings that cover all layers: the last one of a training that breaks may not."""
    most = max((len(reading.layers) for reading in readings), default=0)
    return [reading for reading in readings if len(reading.layers) == most > 0]


def layer_names(reading: Reading) -> list[str]:
    """Return the layers as `0 Dense`, `1 relu`, ..."""
    return [f"{layer.layer} {layer.kind}" for layer in reading.layers]


def gradient_flow(readings: Sequence[Reading]) -> LinePlot:
    """Return the rms of dL/dA behind each layer with parameters, at the first and the last of complete readings."""
    own = _layers_with(readings, "weight_norm") or range(len(readings[0].layers))

    def across(reading: Reading, name: str, color: int) -> Curve:
        layers = [reading.layers[i] for i in own]
        x = [float(layer.layer) for layer in layers]
        return Curve(name, x, [layer.gradient_rms for layer in layers], color, dots=True)

    return LinePlot(
        "Gradient behind each layer with weights",
        [across(readings[0], "at the start", HELD_OUT), across(readings[-1], "at the end", TRAINING)],
        x_name="layer",
        y_name="rms of dL/dA",
        y_log=True,
    )


def gradient_table(readings: Sequence[Reading]) -> Table:
    """Return the rms of dL/dA behind each layer, by epoch."""
    return _table(readings, range(len(readings[0].layers)), lambda layer: layer.gradient_rms)


def update_ratios(readings: Sequence[Reading]) -> LinePlot:
    """Return log₁₀ of ‖Δw‖ / ‖w‖ by epoch, one curve for each layer with parameters, and the level at −3."""
    curves = _by_reading(readings, "update_ratio", lambda layer: log10(_or_nan(layer.update_ratio)))
    level = Level(log10(TARGET_RATIO), "−3")
    return LinePlot("log₁₀ of step over weight, by layer", curves, y_name="log₁₀ ‖Δw‖ / ‖w‖", levels=[level])


def ratio_table(readings: Sequence[Reading]) -> Table:
    """Return ‖Δw‖ / ‖w‖ of each layer with parameters, by epoch."""
    own = _layers_with(readings, "update_ratio")
    return _table(readings, own, lambda layer: _or_nan(layer.update_ratio))


def silent_shares(readings: Sequence[Reading]) -> LinePlot:
    """Return the share of units whose output is 0 for every probed row, by layer and epoch."""
    curves = _by_reading(readings, "silent", lambda layer: _mean(layer.silent))
    return LinePlot("Share of units that are 0 for every probed row", curves, y_name="share", within=(0.0, 1.0))


def mean_derivatives(readings: Sequence[Reading]) -> LinePlot:
    """Return the mean derivative of the units relative to the largest one, by layer and epoch."""
    curves = _by_reading(readings, "saturation", lambda layer: _mean(layer.saturation))
    return LinePlot("Mean derivative of the units", curves, y_name="derivative / largest", within=(0.0, 1.0))


def activation_band(readings: Sequence[Reading], layer: int, color: int = TRAINING) -> LinePlot:
    """Return the mean output of a layer by epoch, and a band of one standard deviation to either side."""
    own = [reading.layers[layer] for reading in readings]
    spread = [math.sqrt(max(a.rms**2 - a.mean**2, 0.0)) for a in own]
    low = [a.mean - s for a, s in zip(own, spread, strict=True)]
    high = [a.mean + s for a, s in zip(own, spread, strict=True)]
    epochs = [float(reading.epoch) for reading in readings]
    curve = Curve("mean", epochs, [a.mean for a in own], color, low, high, dots=len(own) < _FEW_READINGS)
    return LinePlot(f"{own[0].layer} {own[0].kind}", [curve], width=280.0, height=150.0)


def _layers_with(readings: Sequence[Reading], field: str) -> list[int]:
    """Return the places of the layers that have this figure."""
    return [i for i, layer in enumerate(readings[0].layers) if getattr(layer, field) is not None]


def _by_reading(readings: Sequence[Reading], field: str, value: Callable[[LayerReading], float]) -> list[Curve]:
    """Return a curve for each layer that has a figure; two readings are not joined, since they are no course."""
    names = layer_names(readings[0])
    times = [float(r.epoch) for r in readings]
    few = len(times) < _FEW_READINGS
    joined = len(times) > 2
    return [
        Curve(names[i], times, [value(r.layers[i]) for r in readings], dots=few, joined=joined)
        for i in _layers_with(readings, field)
    ]


def _table(readings: Sequence[Reading], own: Sequence[int], value: Callable[[LayerReading], float]) -> Table:
    n = len(readings)
    places = range(n) if n <= _MOST_TIMES else [round(k) for k in np.linspace(0, n - 1, _MOST_TIMES)]
    chosen = [readings[k] for k in places]
    names = layer_names(readings[0])
    values = np.array([[value(r.layers[i]) for r in chosen] for i in own], np.float64)
    return Table(values, tuple(names[i] for i in own), tuple(str(r.epoch) for r in chosen))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _mean(values: Array | None) -> float:
    return math.nan if values is None else float(np.mean(values))


# Predictions and weights


@dataclass(frozen=True, eq=False)
class Calibration:
    """How often predictions were right by how confident they were.

    Parameters
    ----------
    confidence, accuracy, share : array of shape (bins,)
        Mean confidence, share of right predictions and share of rows of each bin; NaN (share 0) in an empty bin.
    error : float
        Expected calibration error.
    """

    confidence: Array
    accuracy: Array
    share: Array
    error: float

    @property
    def seen(self) -> Array:
        """Bins with rows, as a mask (bins,)."""
        return self.share > 0

    def plot(self, name: str = "this network") -> LinePlot:
        """Return the reliability diagram."""
        points = Curve(name, self.confidence[self.seen], self.accuracy[self.seen], TRAINING, dots=True)
        ideal = Curve("perfectly calibrated", (0.0, 1.0), (0.0, 1.0), NEUTRAL, dashed=True)
        return LinePlot(
            "Reliability",
            [points, ideal],
            x_name="confidence: probability of the predicted class",
            y_name="share of right predictions",
            within=(0.0, 1.0),
        )


def calibration(P: Array, y: Array, bins: int = 10) -> Calibration:
    """Return the calibration of probabilities P (n, K) for true class numbers y (n)."""
    return Calibration(*reliability(P, y, bins), expected_calibration_error(P, y, bins))


def roc_curves(P: Array, y: Array, names: Sequence[object], most: int = 6) -> LinePlot | None:
    """Return the ROC curve of the second of two classes, or of each of the `most` classes with the most rows.

    P (n, K) are probabilities and y (n) class numbers; None where no class has rows on both sides.
    """
    curves = []
    for color, k in enumerate(_compared(y, len(names), most)):
        curve = roc_curve(y, P, range(len(names)), k)
        name = f"{_short(names[k])} (area {curve.auc:.3f})"
        curves.append(Curve(name, curve.false_positive_rate, curve.true_positive_rate, color))
    if not curves:
        return None
    chance = Curve("chance", (0.0, 1.0), (0.0, 1.0), NEUTRAL, dashed=True)
    axes = ("false-positive rate", "true-positive rate")
    return LinePlot("ROC curves", [*curves, chance], *axes, within=(0.0, 1.0))


def precision_recall_curves(P: Array, y: Array, names: Sequence[object], most: int = 6) -> LinePlot | None:
    """Return the precision-recall curves of the same classes as `roc_curves`."""
    curves = []
    shares = []
    for color, k in enumerate(_compared(y, len(names), most)):
        curve = precision_recall_curve(y, P, range(len(names)), k)
        name = f"{_short(names[k])} (area {curve.average_precision:.3f})"
        curves.append(Curve(name, curve.recall, curve.precision, color))
        shares.append(curve.share)
    if not curves:
        return None
    level = [Level(shares[0], "chance")] if len(curves) == 1 else []
    return LinePlot("Precision-recall curves", curves, "recall", "precision", levels=level, within=(0.0, 1.0))


def _compared(y: Array, K: int, most: int) -> list[int]:
    """Return the second of two classes, or those with the most rows, of the classes with rows on both sides."""
    counts = np.bincount(np.asarray(y, np.int64), minlength=K)
    order = [1] if K == 2 else [int(k) for k in np.argsort(-counts, kind="stable")[:most]]
    return [k for k in sorted(order) if 0 < counts[k] < len(y)]


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= 24 else f"{text[:23]}…"


def class_scores(counts: Array) -> Array:
    """Return precision, recall and F1 of each class (K, 3) from a confusion matrix (K, K); NaN where undefined.

    >>> class_scores(np.array([[3, 1], [0, 4]])).round(2).tolist()
    [[1.0, 0.75, 0.86], [0.8, 1.0, 0.89]]
    """
    right = np.diag(counts).astype(np.float64)
    with np.errstate(all="ignore"):
        precision, recall = right / counts.sum(axis=0), right / counts.sum(axis=1)
        f1 = 2.0 * right / (counts.sum(axis=0) + counts.sum(axis=1))
    return np.stack([precision, recall, f1], axis=1)


def row_shares(counts: Array) -> Array:
    """Return each count of a confusion matrix (K, K) as a share of its true class; 0 for a class without rows."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def weight_images(W: Array, shape: tuple[int, int], most: int) -> tuple[Array, Array]:
    """Return the units with the longest weight vectors (k), longest first, and their weights (k, height, width).

    >>> weight_images(np.array([[1.0, 5.0], [0.0, 0.0]]), (1, 2), most=1)[0].tolist()
    [1]
    """
    order = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:most]
    return order, W[:, order].T.reshape(-1, *shape)


def residual_histogram(residuals: Array) -> LinePlot:
    """Return how many of the finite residuals (n) fall into each of some equal bins."""
    counts, edges = np.histogram(residuals, bins=min(30, max(5, int(np.sqrt(len(residuals))))))
    curve = Curve("rows", (edges[1:] + edges[:-1]) / 2, counts, TRAINING, dots=True)
    return LinePlot("Histogram of the residuals", [curve], x_name="predicted − true", y_name="rows", within=(0.0,))
