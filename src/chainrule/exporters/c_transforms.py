"""From features to the rows of a network, in C: scaling, quantile maps, one-hot columns, indicators, codes."""

from __future__ import annotations

import numpy as np

from chainrule.data.row_transform import one_hot_columns
from chainrule.data.transforms import FeatureTransform
from chainrule.exporters.c_text import Source, number
from chainrule.exporters.plan import Affine, Standardize, Transform

FOLDABLE = 4.0
"""The scaling is folded into the first layer where no mean is further than this from 0, in standard deviations: folded
sums then lose less than three bits."""

_HELD = 1e100
"""A scale above this holds a constant column at 0; its weights become 0."""


def foldable(transform: Transform) -> bool:
    """Check whether a scaling may be folded into the layer after it without losing digits."""
    if not isinstance(transform, Standardize):
        return False
    mean, scale = np.asarray(transform.mean, np.float64), np.asarray(transform.scale, np.float64)
    common = (scale > 1e-6) & (scale < 1e6)
    return bool(np.all(np.abs(mean) <= FOLDABLE * scale) and np.all(common | (scale > _HELD)))


def is_identity(transform: Transform) -> bool:
    """Check whether a transform leaves its columns as they are."""
    return isinstance(transform, Standardize) and not np.any(transform.mean) and bool(np.all(transform.scale == 1.0))


def folded(transform: Standardize, stage: Affine) -> Affine:
    """Return the affine map of columns that are not scaled: W / scale by rows, b - (mean / scale) W."""
    W, b = np.asarray(stage.W, np.float64), np.asarray(stage.b, np.float64)
    scale = np.asarray(transform.scale, np.float64)
    return Affine(W / scale[:, None], b - (np.asarray(transform.mean, np.float64) / scale) @ W)


class TransformWriter:
    """What writes a transform as a function from features to rows.

    Parameters
    ----------
    source : Source
        Where tables and kernels go.
    kind : {"float", "double"}
        Type of the features.
    """

    def __init__(self, source: Source, kind: str) -> None:
        self.source = source
        self.kind = kind

    def function(self, label: str, transform: Transform) -> None:
        """Add the function of a transform, from features F to rows X."""
        if isinstance(transform, Standardize):
            found = self._standardize(label, transform)
        else:
            found = self._features(label, transform)
        lines = "\n".join(f"    {line}" for line in found)
        head = f"static inline void {self.source.name}_{label}(const {self.kind} *F, float *X)"
        self.source.functions.append(f"{head}\n{{\n{lines}\n}}\n")

    def _standardize(self, label: str, transform: Standardize) -> list[str]:
        mean, scale = np.asarray(transform.mean, np.float64), np.asarray(transform.scale, np.float64)
        d = len(mean)
        if self.kind == "double":
            names = (self.source.table(f"{label}_{n}", v, "double") for n, v in (("mean", mean), ("scale", scale)))
            return [f"{self.source.use('standardize_double')}(F, {', '.join(names)}, {d}, X);"]
        high = mean.astype(np.float32)
        parts = {"mean": high, "rest": mean - high, "by": 1.0 / scale}
        names = (self.source.table(f"{label}_{name}", values) for name, values in parts.items())
        return [f"{self.source.use('standardize')}(F, {', '.join(names)}, {d}, X);"]

    def _features(self, label: str, transform: FeatureTransform) -> list[str]:
        lines = self._numbers(label, transform)
        at = len(transform.numbers)
        for column, codes in transform.one_hot:
            shown = codes[: one_hot_columns(codes)]
            for code in shown:
                other = f"F[{column}] == {number(codes[1])} ? -1.0f : " if len(codes) == 2 else ""
                lines.append(f"X[{at}] = F[{column}] == {number(code)} ? 1.0f : {other}0.0f;")
                at += 1
        for column in transform.gaps:
            lines.append(f"X[{at}] = isnan(F[{column}]) ? 1.0f : 0.0f;")
            at += 1
        for column, size in transform.codes:
            lines.append(f"X[{at}] = F[{column}] < {number(size)} ? F[{column}] : 0.0f;")
            at += 1
        return lines or ["(void)F;", "(void)X;"]

    def _numbers(self, label: str, transform: FeatureTransform) -> list[str]:
        nodes = np.asarray(transform.nodes, np.float64)
        if transform.method == "robust":
            kernel = self.source.use("robust") if transform.numbers else ""
            rows = zip(transform.numbers, nodes[0, :, 0], nodes[1, :, 0], strict=True)
            return [
                f"X[{i}] = {kernel}(F[{j}], {float(middle)!r}, {float(by)!r});"
                for i, (j, middle, by) in enumerate(rows)
            ]
        lines = []
        for i, j in enumerate(transform.numbers):
            values, images = shortened(nodes[0, i], nodes[1, i])
            names = [
                self.source.table(f"{label}_value{i}", values, "double"),
                self.source.table(f"{label}_image{i}", images, "double"),
            ]
            lines.append(f"X[{i}] = {self.source.use('quantile')}(F[{j}], {', '.join(names)}, {len(values)});")
        return lines


def shortened(values: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes without the copies of the last one that make all columns equally long.

    >>> shortened(np.array([1.0, 2.0, 2.0]), np.array([0.0, 1.0, 1.0]))[0].tolist()
    [1.0, 2.0]
    """
    kept = len(values)
    while kept > 1 and values[kept - 2] == values[kept - 1] and images[kept - 2] == images[kept - 1]:
        kept -= 1
    return values[:kept], images[:kept]
