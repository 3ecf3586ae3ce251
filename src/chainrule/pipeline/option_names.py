"""The names of every setting: the keyword of `fit`, the argument of the estimators, the option of the command line.

In: settings as data, and who asks for them. Out: the text that this caller can paste, or the options as values.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chainrule.data.table.shell import list_text, with_value
from chainrule.nn.losses import LOSSES
from chainrule.pipeline.settings import OPTIMIZERS, REGRESSION_LOSSES, SCHEDULES

FIT = "fit"
"""Callers of `fit` and `examine`, who build the network themselves or with `mlp`."""

ESTIMATOR = "estimator"
"""Callers of `NetClassifier` and `NetRegressor`."""

COMMAND_LINE = "command line"
"""Users of `chainrule train` and `chainrule doctor`."""

INTERFACES = (FIT, ESTIMATOR, COMMAND_LINE)
"""The ways to train a network, each with its own names for the settings."""


@dataclass(frozen=True)
class Setting:
    """One setting and the value it should have.

    Parameters
    ----------
    name : str
        A key of `OPTION_NAMES`.
    value : object
        A number, a name, True, False, None, or the widths of the hidden layers as a tuple. Losses go by the name of their
        class, optimizers and schedules by the names that the estimators take.
    """

    name: str
    value: Any


Spelling = Callable[[Any], Any]
"""A value as one interface takes it; None where that interface has no word for it."""


def python(value: Any) -> str:
    """Return a plain value as Python source.

    >>> python(0.001), python("relu"), python((128,)), python(None)
    ('0.001', '"relu"', '(128,)', 'None')
    """
    if isinstance(value, str):
        return f'"{value}"'
    return figure(value) if isinstance(value, float) else repr(value)


def figure(value: float) -> str:
    """Return a number without the digits that rounding errors add.

    >>> figure(1.0), figure(0.003 * 0.1), figure(0.0123456789)
    ('1', '0.0003', '0.0123456789')
    """
    short = f"{value:g}"
    return short if math.isclose(float(short), value, rel_tol=1e-12) else repr(value)


def _unchanged(value: Any) -> Any:
    return value


def _made_from(known: Mapping[str, Any]) -> Spelling:
    """Return a spelling of names as constructor calls."""
    return lambda name: f"{type(known[name]).__name__}()"


def _regression_loss(name: str) -> str | None:
    """Return the estimators' name of a regression loss; classifiers choose their own loss."""
    return next((short for short, loss in REGRESSION_LOSSES.items() if type(loss) is LOSSES[name]), None)


def _quoted(spelling: Spelling) -> Spelling:
    """Return a spelling whose results are Python strings."""

    def spelled(value: Any) -> str | None:
        name = spelling(value)
        return None if name is None else python(name)

    return spelled


@dataclass(frozen=True)
class OptionName:
    """What `fit` and the command line call an argument of the estimators, and how each interface spells its value.

    Parameters
    ----------
    fit : str, default=""
        Function and keyword, as "fit.batch_size" or "mlp.activation"; empty where neither function has the setting.
    option : str, default=""
        Option of the command line without its dashes, which is also the field of the command line's record.
    code : callable, default=python
        Value to Python source for `fit`.
    argument : callable, default=python
        Value to Python source for the estimators; None where they have no such argument.
    typed : callable, default=unchanged
        Value to what the command line's record holds: text where the option takes text.
    """

    fit: str = ""
    option: str = ""
    code: Spelling = python
    argument: Spelling = python
    typed: Spelling = _unchanged


def _named_values(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and their values as the option takes them.

    >>> _named_values([("age", "-999"), ("a,b", "-1")])
    'age=-999,"a,b=-1"'
    """
    return list_text(f"{name}={value}" for name, value in pairs)


def _not_an_argument(value: Any) -> None:
    """Return None: the estimators have no such argument."""


OPTION_NAMES: Mapping[str, OptionName] = {
    "hidden_layer_sizes": OptionName("mlp.hidden", "hidden", typed=lambda widths: ",".join(map(str, widths)) or "none"),
    "activation": OptionName("mlp.activation", "activation"),
    "initializer": OptionName("mlp.initializer", "initializer"),
    "batch_norm": OptionName("mlp.norm", "batch_norm", code=lambda on: '"batch"' if on else None),
    "layer_norm": OptionName("mlp.norm", "layer_norm", code=lambda on: '"layer"' if on else None),
    "dropout": OptionName("mlp.dropout", "dropout"),
    "task": OptionName("", "task", argument=_not_an_argument),
    "loss": OptionName(
        "fit.loss",
        "loss",
        code=lambda name: f"{name}()",
        argument=_quoted(_regression_loss),
        typed=_regression_loss,
    ),
    "optimizer": OptionName("fit.optimizer", "optimizer", code=_made_from(OPTIMIZERS)),
    "learning_rate_init": OptionName("fit.learning_rate", "lr", typed=lambda rate: figure(float(rate))),
    "schedule": OptionName("fit.schedule", "schedule", code=_made_from(SCHEDULES)),
    "learning_rate_multipliers": OptionName("fit.learning_rate_multipliers"),
    "batch_size": OptionName("fit.batch_size", "batch_size", typed=str),
    "max_iter": OptionName("fit.epochs", "epochs", typed=str),
    "alpha": OptionName("fit.penalty", "alpha", code=lambda factor: f"l2={figure(factor)}" if factor else ""),
    "l1_alpha": OptionName("fit.penalty", "l1", code=lambda factor: f"l1={figure(factor)}" if factor else ""),
    "max_weight_norm": OptionName("fit.max_weight_norm", "max_norm"),
    "ema_decay": OptionName("fit.ema_decay", "ema_decay"),
    "accumulate_grad_batches": OptionName("", "accumulate"),
    "quantiles": OptionName("", "quantiles", typed=lambda levels: ",".join(map(figure, levels))),
    "max_grad_norm": OptionName(
        "fit.clip",
        "max_grad_norm",
        code=lambda limit: "None" if limit is None else f"ClipNorm({figure(limit)})",
    ),
    "max_grad_value": OptionName(
        "fit.clip", code=lambda limit: f"ClipValue({figure(limit)})", argument=_not_an_argument
    ),
    "class_weight": OptionName("", "class_weight"),
    "label_smoothing": OptionName("", "label_smoothing"),
    "early_stopping": OptionName(),
    "n_iter_no_change": OptionName("", "patience", typed=lambda epochs: str(epochs or 0)),
    "validation_fraction": OptionName("fit.validation", "validation_fraction", code=lambda share: "(X_val, y_val)"),
    "scaling": OptionName("", "scaling"),
    "drop": OptionName("", "drop", argument=_not_an_argument, typed=list_text),
    "missing": OptionName("", "missing", argument=_not_an_argument, typed=_named_values),
}
"""Every setting, by the argument of the estimators; `task` chooses between them, `max_grad_value` is `fit`'s alone,
`drop` and `missing` those of tables."""

_DOUBLE_SWITCHES = ("header",)
"""Switches that can be typed both ways, because leaving them out lets the rules decide."""

_TASKS = {"classification": "NetClassifier", "regression": "NetRegressor"}
_OPTIONS = {
    **{setting: names.option for setting, names in OPTION_NAMES.items() if names.option},
    "seconds": "time",  # the time limit of a search
}


def option_name(setting: str) -> str:
    """Return the option of the command line that sets a field of `Settings`.

    >>> option_name("max_iter"), option_name("n_iter_no_change"), option_name("batch_norm")
    ('--epochs', '--patience', '--batch-norm')
    """
    return flag(_OPTIONS.get(setting, setting))


def flag(field: str) -> str:
    """Return the option for a field of the command line's record.

    >>> flag("lr"), flag("max_grad_norm")
    ('--lr', '--max-grad-norm')
    """
    return "--" + field.replace("_", "-")


def render(settings: Iterable[Setting], interface: str = FIT) -> str:
    """Return settings as the text that one interface takes; what it cannot set is left out.

    >>> settings = [Setting("learning_rate_init", 1e-3), Setting("batch_norm", True), Setting("n_iter_no_change", 20)]
    >>> for interface in INTERFACES:
    ...     print(render(settings, interface))
    mlp(..., norm="batch"); fit(..., learning_rate=0.001)
    learning_rate_init=0.001, batch_norm=True, n_iter_no_change=20
    --lr 0.001 --batch-norm --patience 20
    """
    renderers = {FIT: _calls, ESTIMATOR: _arguments, COMMAND_LINE: _command_line}
    return renderers[interface](list(settings))


def options(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the fields of the command line's record that settings change, with their values.

    >>> options([Setting("hidden_layer_sizes", (128, 64)), Setting("max_grad_norm", None), Setting("l1_alpha", 0.0)])
    {'hidden': '128,64', 'max_grad_norm': None, 'l1': 0.0}
    """
    named = [(OPTION_NAMES[setting.name], setting.value) for setting in settings]
    spelled = [(names.option, value, names.typed(value)) for names, value in named if names.option]
    return {option: typed for option, value, typed in spelled if typed is not None or value is None}


def as_options(fields: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line; switches that are off and values that are None are left out.

    >>> as_options({"batch_norm": True, "layer_norm": False, "header": False, "initializer": None, "lr": "0.01"})
    ['--batch-norm', '--no-header', '--lr', '0.01']
    """
    words: list[str] = []
    for field, value in fields.items():
        if value is False and field in _DOUBLE_SWITCHES:
            words.append(flag(f"no_{field}"))
        elif value is not None and value is not False:
            text = figure(value) if isinstance(value, float) else str(value)
            words += [flag(field)] if value is True else with_value(flag(field), text)
    return words


def _command_line(settings: list[Setting]) -> str:
    return shlex.join(as_options(options(settings)))


def _arguments(settings: list[Setting]) -> str:
    """Return arguments of an estimator, inside a call where another estimator is needed."""
    arguments: dict[str, str] = {}
    for setting in settings:
        value = OPTION_NAMES[setting.name].argument(setting.value)
        if value is not None:
            arguments.setdefault(setting.name, value)
    words = ", ".join(f"{name}={value}" for name, value in arguments.items())
    task = next((_TASKS[setting.value] for setting in settings if setting.name == "task"), "")
    return f"{task}({words or '...'})" if task else words


def _calls(settings: list[Setting]) -> str:
    """Return calls of `mlp` and `fit`, one for each function that has one of the settings."""
    by_function: dict[str, dict[str, list[str]]] = {"mlp": {}, "fit": {}}
    for setting in settings:
        function, _, keyword = OPTION_NAMES[setting.name].fit.partition(".")
        value = OPTION_NAMES[setting.name].code(setting.value) if function else None
        if value is not None:
            by_function[function].setdefault(keyword, []).append(value)
    return "; ".join(
        f"{function}(..., {', '.join(_keyword(*pair) for pair in keywords.items())})"
        for function, keywords in by_function.items()
        if keywords
    )


def _keyword(name: str, values: list[str]) -> str:
    """Return one keyword; both factors of a penalty go into one call, of anything else the first value counts."""
    if name == "penalty":
        return f"penalty=Penalty({', '.join(filter(None, values))})"
    return f"{name}={values[0]}"
