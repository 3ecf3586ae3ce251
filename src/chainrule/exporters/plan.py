"""The inference plan: what a trained model computes from a user's row to an answer, as plain data.

Every exporter walks this plan, and nothing else: what the plan cannot say, no format is asked for. It is lowered from a
model by `lower`. Dropout is gone, batch norm is part of the affine maps around it, and every number that is left stands in
an array. A row takes this way:

    inputs ─► features ─► transforms ─► networks ─► mean of their predictions ─► temperature ─► answer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from chainrule.arrays import Array
from chainrule.data.table.schema import NumberFormat
from chainrule.data.transforms import FeatureTransform


@dataclass(frozen=True)
class Input:
    """One thing that the user gives for a row.

    Parameters
    ----------
    name : str
        The column's name; "X" for a matrix.
    kind : {"matrix", "number", "category", "boolean", "date", "text"}
        A matrix is all columns of a model that was trained without a table's description. A date is a number of
        microseconds since 1970, where a format has no dates of its own.
    width : int, default=1
        Number of columns of a matrix.
    columns : tuple of str, default=()
        Names of the columns of a matrix.
    date_format : str or None, default=None
        How dates in text are written, in the directives of `data.table.dates.FORMATS`; None for dates that were no text.
    written : NumberFormat or None, default=None
        How numbers in text are written; None for plain ones.
    gaps : bool, default=False
        Whether a text that is no number or no date is a gap; else it is an error. Gaps themselves (None, NaN, infinity,
        the marks of `data.table.gaps`) are always allowed in a table, never in a matrix.
    missing : tuple of float, default=()
        Numbers that mean a gap, of a date microseconds since 1970. Levels of a category that do are in its codes.
    """

    name: str
    kind: Literal["matrix", "number", "category", "boolean", "date", "text"]
    width: int = 1
    columns: tuple[str, ...] = ()
    date_format: str | None = None
    written: NumberFormat | None = None
    gaps: bool = False
    missing: tuple[float, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One column of a matrix as it is: a finite number; in the feature matrix of a bare pack, NaN is a gap."""

    source: str
    place: int


@dataclass(frozen=True)
class Number:
    """A number, or a part of a date: clip((x - center) / scale, -limit, limit), in float64; a gap becomes `gap`.

    Parameters
    ----------
    source : str
        Name of the input.
    part : str
        "" for a number; of a date "days", "month", "weekday", "day" or "hour", as `data.table.calendar.part` counts them.
    origin : int
        Microseconds since 1970 from which "days" count.
    center, scale : float
        What is subtracted, and what is divided by.
    limit : float
        Largest magnitude of the result; infinity where nothing is clipped.
    gap : float
        What a gap and infinity become: NaN for the features of a pack, the filled value for one network.
    """

    source: str
    part: str
    origin: int
    center: float
    scale: float
    limit: float
    gap: float


@dataclass(frozen=True)
class IsGap:
    """1 where the cell is a gap, else 0; for a text 1 where it has no words."""

    source: str


@dataclass(frozen=True)
class Code:
    """The code of a category's level.

    A cell's text is its label (`data.table.gaps.label`): spaces around it are cut off, true and false are "true" and
    "false", whole floats have no point. The text is looked up in `codes`; where it is not there and `boolean` is set, its
    lower case; where that is not there either it is a gap (one of `data.table.gaps.MARKS` in lower case), or unknown. A
    mark of a gap may be a level: the codes come first.

    Parameters
    ----------
    source : str
        Name of the input.
    codes : mapping of str to int
        Codes of the known levels, by every spelling that is read alike.
    gap : int
        Code of a gap.
    unknown : int
        Code of a level that is not known.
    hashed_from, hashed : int
        Where `hashed` > 0, a level that is not known has the code hashed_from + CRC-32 of its UTF-8 bytes mod hashed.
    boolean : bool, default=False
        Whether texts are looked up in lower case too; `codes` then has "true", "false", "1" and "0".
    """

    source: str
    codes: Mapping[str, int] = field(repr=False)
    gap: int
    unknown: int
    hashed_from: int
    hashed: int
    boolean: bool = False


@dataclass(frozen=True)
class IsCode:
    """1 where the code of a level is one of these, else 0; or `value_at[code]` where a boolean is filled."""

    code: Code
    values: Mapping[int, float]
    """The result for each code; every other code gives 0."""


@dataclass(frozen=True)
class WordCount:
    r"""How many words of a text have this place: CRC-32 of the word's UTF-8 bytes in lower case, mod `places`.

    Words are runs of letters, digits and underscores (`\w+` of Python's re). A gap and a mark of a gap have no words.
    """

    source: str
    place: int
    places: int


Feature: TypeAlias = Entry | Number | IsGap | Code | IsCode | WordCount


@dataclass(frozen=True, eq=False)
class Standardize:
    """X = (F - mean) / scale, in float64, then in the plan's dtype.

    Parameters
    ----------
    mean, scale : array of shape (d,)
        float64.
    """

    mean: Array
    scale: Array


Transform: TypeAlias = Standardize | FeatureTransform


@dataclass(frozen=True, eq=False)
class Affine:
    """Z = A W + b.

    Parameters
    ----------
    W : array of shape (d, k)
        Weights.
    b : array of shape (k,)
        Bias, zeros where the layer had none.
    """

    W: Array
    b: Array


@dataclass(frozen=True, eq=False)
class Multiply:
    """Y = A ⊙ s + t: a learned factor, or a batch norm that no affine map could take.

    Parameters
    ----------
    s, t : array of shape (d,)
        Factor and shift.
    """

    s: Array
    t: Array


@dataclass(frozen=True, eq=False)
class NormalizeRows:
    """Layer norm: Y = γ ⊙ (Z - mean) / √(variance + ε) + β over the columns of each row.

    Parameters
    ----------
    gamma, beta : array of shape (d,)
        Factor and shift.
    epsilon : float
        Added to the variance.
    """

    gamma: Array
    beta: Array
    epsilon: float


@dataclass(frozen=True, eq=False)
class Apply:
    """Y = Z + α ⊙ (g(Z) - Z), or Y = g(Z) where alpha is None.

    Parameters
    ----------
    function : str
        Name of the activation, as `nn.activations` has it: "relu", "tanh", "gelu" (the tanh form), ...
    a : float
        Its parameter, for "leaky_relu" and "elu"; else 0.
    alpha : array of shape (d,) or None
        Learned shares of a parametric activation.
    """

    function: str
    a: float = 0.0
    alpha: Array | None = None


@dataclass(frozen=True, eq=False)
class Cosines:
    """H = [x, cos(2π (x w + b))] by feature, Y = γ ⊙ H + β; x is a column, the results of a feature stand together.

    Parameters
    ----------
    w, b : array of shape (d, m)
        Frequencies and phases.
    gamma, beta : array of shape (d, m + 1)
        Factor and shift.
    """

    w: Array
    b: Array
    gamma: Array
    beta: Array


@dataclass(frozen=True, eq=False)
class Periodic:
    """Y = [x, cos(2π x w + b) V + c] by feature.

    Parameters
    ----------
    w, b : array of shape (d, m)
        Frequencies and phases.
    V : array of shape (d, m, u)
        Weights of the cosines.
    c : array of shape (d, u)
        Bias.
    """

    w: Array
    b: Array
    V: Array
    c: Array


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """Y = x a + c + F P by feature, with Fₜ = (x - qₜ₋₁) / (qₜ - qₜ₋₁) limited to [0, 1].

    The first bin has no lower limit, the last one no upper limit.

    Parameters
    ----------
    edges : array of shape (T + 1,)
        The edges q, float64; lower edges and widths qₜ - qₜ₋₁ are rounded to the plan's dtype each for itself.
    a, c : array of shape (d, u)
        Slope and bias.
    P : array of shape (d, T, u)
        Changes within the bins.
    """

    edges: Array
    a: Array
    c: Array
    P: Array


@dataclass(frozen=True, eq=False)
class Lookup:
    """Each column's code, cut to a whole number, becomes the row of its table; one outside 0 .. size - 1 counts as 0.

    Parameters
    ----------
    tables : tuple of array of shape (size, u)
        A table for each column.
    """

    tables: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Split the columns into consecutive parts, run stages on each, join the results.

    Parameters
    ----------
    parts : tuple of (int, tuple of Stage)
        Width and stages of each part; no stages pass the columns on.
    """

    parts: tuple[tuple[int, tuple[Stage, ...]], ...]


Stage: TypeAlias = (
    Affine | Multiply | NormalizeRows | Apply | Cosines | Periodic | PiecewiseLinear | Lookup | SideBySide
)


@dataclass(frozen=True, eq=False)
class Network:
    """One network of the plan.

    Parameters
    ----------
    transform : int
        Which of the plan's transforms its rows go through.
    weight : float
        Its share in the mean of predictions; the shares sum to 1.
    stages : tuple of Stage
        What its rows go through, to the logits.
    """

    transform: int
    weight: float
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False)
class Output:
    """From the networks' logits Z to the answer.

    Each network's prediction is f(Z), f being the link; ā is their mean by weight. The prediction is ā where T = 1. Else
    it is f(f⁻¹(ā) / T) where `mean_first` is set, and f(Z / T) of the one network otherwise. f⁻¹ is that of
    `nn.activations` in the plan's dtype: for a sigmoid log a - log(1 - a) with a limited to [tiny, 1 - epsneg], for a
    softmax log max(a, tiny).

    Parameters
    ----------
    kind : {"classes", "binary", "labels", "several", "values", "quantiles"}
        "classes" takes the largest of K probabilities. "binary" has one logit, whose probability p is that of the second
        class; the first is answered unless p > 1 - p. "labels" answers 1 where ā > 1/2, that is where the logit is above
        0, for each of k independent labels, whatever the temperature. "several" takes the largest within each block.
    link : str
        "identity", "sigmoid", "tanh", "relu", "exp" or "softmax"; a softmax is taken within each block.
    blocks : tuple of (int, int)
        Start and end of the columns of each target of classes; one block of all columns otherwise.
    classes : tuple of array
        Classes in order, for each block ("binary": two in one block); empty for values and labels.
    temperature : float
        T; 1 for values.
    mean_first : bool
        Whether T divides the logits of the mean of predictions; set for ensembles and packs, also those of one network.
    mean, scale : array of shape (k,) or None
        A value is ā · scale + mean in float64, where targets were scaled.
    limits : tuple of (float, float) or None
        Values are clipped to these.
    levels : tuple of float
        Levels of the quantiles; the k columns are (k / q, q), each sorted. The value is the column `central`.
    central : int
        Place of the quantile nearest to the median.
    name : str
        Name of what is predicted.
    """

    kind: Literal["classes", "binary", "labels", "several", "values", "quantiles"]
    link: str
    blocks: tuple[tuple[int, int], ...]
    classes: tuple[Array, ...]
    temperature: float
    mean_first: bool
    mean: Array | None
    scale: Array | None
    limits: tuple[float, float] | None
    levels: tuple[float, ...]
    central: int
    name: str


@dataclass(frozen=True, eq=False)
class InferencePlan:
    """A trained model as one list of steps.

    Parameters
    ----------
    inputs : tuple of Input
        What the user gives, in the table's order.
    features : tuple of Feature
        The columns that transforms take; computed in float64. Those of a pack are rounded to float32.
    feature_dtype : str
        "float32" for a pack, else "float64".
    transforms : tuple of Transform
        From features to a network's rows.
    networks : tuple of Network
        All with the same number of logits.
    output : Output
        From logits to the answer.
    dtype : str
        Type of the networks' numbers: "float32" or "float64".
    """

    inputs: tuple[Input, ...]
    features: tuple[Feature, ...]
    feature_dtype: str
    transforms: tuple[Transform, ...]
    networks: tuple[Network, ...]
    output: Output
    dtype: str
