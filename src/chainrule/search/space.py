"""Search spaces as data, checked completely before the first trial, so that a wrong name or limit costs no training.

In: a TOML file or a mapping of names to limits or choices. Out: a `Space` that draws values and makes `Settings` of them.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import Interval
from chainrule.errors import FormatError, MissingError, did_you_mean, must_be, raise_all
from chainrule.pipeline import Settings
from chainrule.random import Purpose, Stream

_NOT_SEARCHED = {"seed", "engine", "early_stopping", "validation_fraction", "quantiles", "learning_rate_multipliers"}
"""Settings that say how a run is measured or where it runs, not how good it can be."""

_SHAPE = {"width": Interval(1, 10**6, "[]", whole=True), "depth": Interval(0, 100, "[]", whole=True)}
"""Two names besides the settings: the number of units per hidden layer and the number of hidden layers."""

NAMES = (*(f.name for f in fields(Settings) if f.name not in _NOT_SEARCHED), *_SHAPE)
"""Every name that a space may contain."""

_WHOLE = {"width", "depth", "batch_size", "accumulate_grad_batches", "max_iter", "n_iter_no_change"}
_KEYS = {"low", "high", "log", "step", "choices"}


@dataclass(frozen=True)
class Dimension:
    """One hyper-parameter: a range or a list of choices.

    Parameters
    ----------
    name : str
        A name in `NAMES`.
    low, high : float, default=0.0
        Ends of the range, both included.
    log : bool, default=False
        Whether to draw on a logarithmic scale.
    step : float, default=None
        Distance of the values within the range.
    choices : tuple, default=()
        Values to choose from, in place of a range.
    whole : bool, default=False
        Whether only whole numbers are allowed.

    Examples
    --------
    >>> Dimension("learning_rate_init", 1e-4, 1e-2, log=True).at(0.5)
    0.001
    >>> Dimension("width", 16, 64, step=16, whole=True).at(0.99), Dimension("activation", choices=("relu", "tanh")).at(0.2)
    (64, 'relu')
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    whole: bool = False

    def at(self, u: float) -> Any:
        """Return the value at a fraction of the way through.

        Parameters
        ----------
        u : float
            Fraction in (0, 1).

        Returns
        -------
        object
            A value of the range or a choice.
        """
        if self.choices:
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        step = self.step or (1 if self.whole else None)
        if step is not None and not self.log:
            count = int((self.high - self.low) / step + 1e-9) + 1
            value: float = self.low + step * min(int(u * count), count - 1)
            return int(value) if self.whole else min(value, self.high)
        half = 0.5 if self.whole else 0.0
        low, high = self.low - half, self.high + half
        value = math.exp(math.log(low) + u * math.log(high / low)) if self.log else low + u * (high - low)
        value = round(value) if self.whole else float(f"{value:.6g}")
        return min(max(value, self.ends[0]), self.ends[1])

    def place(self, value: Any) -> float:
        """Return where a value lies between the ends, the inverse of `at`.

        Parameters
        ----------
        value : object
            A value of the range or a choice.

        Returns
        -------
        float
            Position from 0 to 1.

        Examples
        --------
        >>> Dimension("learning_rate_init", 1e-4, 1e-2, log=True).place(1e-3)
        0.5
        """
        if self.choices:
            return self.choices.index(value) / max(len(self.choices) - 1, 1)
        if self.high == self.low:
            return 0.5
        if self.log:
            return round(math.log(value / self.low) / math.log(self.high / self.low), 9)
        return float((value - self.low) / (self.high - self.low))

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values whose validity implies that of all others: both ends, or every choice."""
        return self.choices or tuple(int(v) if self.whole else v for v in (self.low, self.high))

    def plain(self) -> dict[str, Any]:
        """Return the dimension as it would be written in a file.

        Returns
        -------
        dict
            Keys low, high, log and step, or choices.
        """
        if self.choices:
            return {"choices": [list(c) if isinstance(c, tuple) else c for c in self.choices]}
        low, high = self.ends
        return {"low": low, "high": high, "log": self.log, "step": self.step}


@dataclass(frozen=True)
class Space:
    """Dimensions of a search, and settings that it holds fixed.

    Parameters
    ----------
    dimensions : tuple of Dimension
        Hyper-parameters to vary.
    fixed : mapping of str to object, default={}
        Settings with one value for all trials.

    Examples
    --------
    >>> space = Space.of({"width": {"low": 16, "high": 64}, "dropout": {"choices": [0.0, 0.2]}, "max_iter": 30})
    >>> space.draw(seed=0, number=3) == space.draw(seed=0, number=3)
    True
    >>> space.settings({"width": 32, "dropout": 0.2}, Settings()).hidden_layer_sizes
    (32,)
    """

    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, plain: Mapping[str, Any], owner: str = "space", base: Settings | None = None) -> Space:
        """Build a space from plain data.

        Parameters
        ----------
        plain : mapping
            Names with `{low, high, log, step}`, `{choices}`, or a fixed value.
        owner : str, default="space"
            Name of the space in messages, such as its file.
        base : Settings, default=None
            Settings that the values are checked with; None takes the defaults.

        Returns
        -------
        Space
            The checked space.

        Raises
        ------
        InvalidValueError
            Names every fault: unknown names and keys, low above high, values that the settings do not allow.
        """
        raise_all(_faults(plain, owner))
        ranges = {name: value for name, value in plain.items() if isinstance(value, Mapping)}
        fixed = {name: _value(value) for name, value in plain.items() if name not in ranges}
        space = cls(tuple(_dimension(name, value) for name, value in ranges.items()), fixed)
        raise_all(space.faults(owner, base or Settings()))
        return space

    @classmethod
    def read(cls, path: str | Path, base: Settings | None = None) -> Space:
        """Read a space from a TOML file with a table or a fixed value for each name.

        Parameters
        ----------
        path : str or Path
            The file.
        base : Settings, default=None
            Settings that the values are checked with; None takes the defaults.

        Returns
        -------
        Space
            The checked space.

        Raises
        ------
        MissingError
            If the file does not exist.
        FormatError
            If it is not TOML.
        InvalidValueError
            As for `of`.
        """
        path = Path(path)
        if not path.is_file():
            raise MissingError(must_be("search", "space", "an existing .toml file", str(path)))
        try:
            plain = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FormatError(f"{path}: space must be a TOML file. {error}") from None
        return cls.of(plain, path.name, base)

    def plain(self) -> dict[str, Any]:
        """Return the space as it would be written in a file.

        Returns
        -------
        dict
            Dimensions and fixed values by name.
        """
        fixed = {name: list(value) if isinstance(value, tuple) else value for name, value in self.fixed.items()}
        return {dimension.name: dimension.plain() for dimension in self.dimensions} | fixed

    def draw(self, seed: int, number: int) -> dict[str, Any]:
        """Draw the values of one trial of a random search; they follow from seed and number alone.

        Parameters
        ----------
        seed : int
            Seed of the search.
        number : int
            Number of the trial.

        Returns
        -------
        dict
            Values by name.
        """
        return self.at(Stream.from_seed(seed).fold(Purpose.SEARCH, number).uniform(len(self.dimensions)))

    def at(self, u: Array | Sequence[float]) -> dict[str, Any]:
        """Return the values at one fraction for each dimension.

        Parameters
        ----------
        u : sequence of float
            Fractions in (0, 1), one per dimension.

        Returns
        -------
        dict
            Values by name.
        """
        return {dimension.name: dimension.at(float(v)) for dimension, v in zip(self.dimensions, u, strict=True)}

    def settings(self, values: Mapping[str, Any], base: Settings) -> Settings:
        """Return settings with the fixed and the given values in place; `width` and `depth` become layers.

        Parameters
        ----------
        values : mapping
            Values of a trial by name.
        base : Settings
            Settings that the space does not touch.

        Returns
        -------
        Settings
            Settings of the trial.
        """
        chosen = {**self.fixed, **values}
        sizes = base.hidden_layer_sizes
        if "width" in chosen or "depth" in chosen:
            width = int(chosen.pop("width", sizes[0] if sizes else 100))
            sizes = (width,) * int(chosen.pop("depth", max(len(sizes), 1)))
        return replace(base, **{"hidden_layer_sizes": sizes, **chosen})

    def faults(self, owner: str, base: Settings) -> Iterator[str]:
        """Yield a sentence for every value that the settings do not allow.

        Parameters
        ----------
        owner : str
            Name of the space in messages.
        base : Settings
            Settings that the values are checked with.

        Yields
        ------
        str
            One sentence per fault.
        """
        reported = set()
        for name, value in self._probes():
            if name in _SHAPE:
                faults = [] if _SHAPE[name].allows(value) else [must_be(owner, name, str(_SHAPE[name]), value)]
            else:
                faults = list(replace(base, **{name: value}).faults(owner))
            yield from (fault for fault in faults if fault not in reported)
            reported.update(faults)

    def batch_faults(self, owner: str, base: Settings, n: int) -> Iterator[str]:
        """Yield a sentence for every batch size above the number of training rows.

        Parameters
        ----------
        owner : str
            Name of the space in messages.
        base : Settings
            Settings whose batch size counts too.
        n : int
            Number of training rows.

        Yields
        ------
        str
            One sentence per fault.
        """
        rows = [value for name, value in (*self._probes(), ("batch_size", base.batch_size)) if name == "batch_size"]
        for size in rows:
            if isinstance(size, int) and size > n:
                yield must_be(owner, "batch_size", f"at most the number of training rows ({n})", size)

    def _probes(self) -> list[tuple[str, Any]]:
        return [*((d.name, value) for d in self.dimensions for value in d.ends), *self.fixed.items()]


def default_space(rows: int) -> Space:
    """Return the default space: learning rate, shape, regularization, batch size and activation.

    Parameters
    ----------
    rows : int
        Number of training rows; batch sizes leave at least four steps per epoch.

    Returns
    -------
    Space
        Eight dimensions.

    Examples
    --------
    >>> [d.choices for d in default_space(200).dimensions if d.name == "batch_size"]
    [(16, 32)]
    """
    sizes = [size for size in (16, 32, 64, 128, 256) if size * 4 <= rows] or [max(1, rows // 4)]
    return Space(
        (
            Dimension("learning_rate_init", 1e-4, 1e-1, log=True),
            Dimension("width", 16, 256, log=True, whole=True),
            Dimension("depth", 1, 3, whole=True),
            Dimension("dropout", 0.0, 0.5),
            Dimension("batch_norm", choices=(False, True)),
            Dimension("batch_size", choices=tuple(sizes)),
            Dimension("activation", choices=("relu", "tanh", "gelu")),
            Dimension("alpha", 1e-6, 1e-1, log=True),
        )
    )


def shown(value: Any) -> str:
    """Format a value briefly.

    >>> shown(0.00123456), shown((64, 32)), shown(True)
    ('0.001235', '64,32', 'true')
    """
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return ",".join(map(shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _faults(plain: Mapping[str, Any], owner: str) -> Iterator[str]:
    """Yield what is wrong with the form: names, keys, ends."""
    for name, value in plain.items():
        if name not in NAMES:
            yield must_be(owner, "name", "a setting that can be searched", name, did_you_mean(name, NAMES))
        elif isinstance(value, Mapping):
            yield from _range_faults(f"{owner}: {name}", value, name in _WHOLE)
    if "hidden_layer_sizes" in plain and (both := [name for name in _SHAPE if name in plain]):
        yield must_be(owner, both[0], "omitted if hidden_layer_sizes is given", plain[both[0]])
    if not any(isinstance(value, Mapping) for value in plain.values()):
        yield must_be(owner, "a space", "of at least one range or list of choices", dict(plain))


def _range_faults(owner: str, value: Mapping[str, Any], whole: bool) -> Iterator[str]:
    for key in value:
        if key not in _KEYS:
            yield must_be(owner, "key", "low, high, log, step or choices", key, did_you_mean(key, _KEYS))
    if "choices" in value:
        choices = value["choices"]
        if not isinstance(choices, Sequence) or isinstance(choices, str) or not len(choices):
            yield must_be(owner, "choices", "a list of at least one value", choices)
        if len(value) > 1:
            yield must_be(owner, "choices", "the only key", sorted(value), "A range has ends, a list has none.")
        return
    number = Interval(-math.inf, math.inf, "()", whole=whole)
    wrong = [end for end in ("low", "high") if not number.allows(value.get(end))]
    for end in wrong:
        yield must_be(owner, end, "a whole number" if whole else "a number", value.get(end))
    if not wrong:
        yield from _end_faults(owner, value, whole)


def _end_faults(owner: str, value: Mapping[str, Any], whole: bool) -> Iterator[str]:
    low, high, log, step = value["low"], value["high"], value.get("log", False), value.get("step")
    if low > high:
        yield must_be(owner, "low", f"at most high ({high})", low)
    if not isinstance(log, bool):
        yield must_be(owner, "log", "true or false", log)
    elif log and low <= 0:
        yield must_be(owner, "low", "above 0 on a log scale", low)
    if step is not None and (log or not Interval(0, math.inf, "()", whole=whole).allows(step)):
        kind = "omitted on a log scale" if log else "a whole number above 0" if whole else "a number above 0"
        yield must_be(owner, "step", kind, step)


def _dimension(name: str, value: Mapping[str, Any]) -> Dimension:
    if "choices" in value:
        return Dimension(name, choices=tuple(map(_value, value["choices"])))
    log, step = value.get("log", False), value.get("step")
    return Dimension(name, value["low"], value["high"], log, step, whole=name in _WHOLE)


def _value(value: Any) -> Any:
    """Return a list as a tuple, and NumPy's numbers as Python's."""
    if isinstance(value, list | tuple):
        return tuple(map(_value, value))
    return value.item() if isinstance(value, np.generic) else value
