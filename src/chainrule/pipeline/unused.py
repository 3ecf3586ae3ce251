"""Which settings a training uses, so that one that was changed and has no effect is an error.

In: `Settings` and the situation they are used in. Out: a sentence for every setting that nothing reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chainrule.data import Task
from chainrule.errors import must_be
from chainrule.nn.layers import Dense
from chainrule.nn.losses import MultiSoftmaxCrossEntropy, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.pipeline.settings import Settings


@dataclass(frozen=True)
class Situation:
    """What decides whether a setting has an effect, besides the settings.

    Parameters
    ----------
    task : {"classification", "regression"} or None, default=None
        What is learned; None if that is not known yet.
    own_validation : bool, default=False
        Whether the validation rows are the user's own, so that none are held out.
    inherits : Net or None, default=None
        The network, if it is that of another model.
    """

    task: Task | None = None
    own_validation: bool = False
    inherits: Net | None = None


@dataclass(frozen=True)
class Use:
    """When settings have an effect.

    Parameters
    ----------
    names : tuple of str
        Fields of `Settings`.
    used : callable
        Whether they have an effect, from the settings and the situation.
    otherwise : str
        Completes "must be left out".
    instead : str, default=""
        What to do instead, a sentence. "{name}" in braces stands for what the user calls a setting.
    """

    names: tuple[str, ...]
    used: Callable[[Settings, Situation], bool]
    otherwise: str
    instead: str = ""


_OF_LAYERS = ("activation", "batch_norm", "layer_norm", "dropout")
_OWN_SMOOTHING = (SoftmaxCrossEntropy, MultiSoftmaxCrossEntropy)


def _hidden(net: Net) -> tuple[int, ...]:
    """Return the widths of a network's hidden layers."""
    return tuple(layer.units for layer in net.layers if isinstance(layer, Dense))[:-1]


def _builds(settings: Settings, net: Net) -> bool:
    """Check whether settings describe a network that is there already, but for its last layer."""
    return settings.network(net.inputs, net.outputs) == net


USES: tuple[Use, ...] = (
    Use(
        (*_OF_LAYERS, "initializer"),
        lambda s, at: at.inherits is None or _builds(s, at.inherits),
        "beside {init_from}",
        "The layers are those of that model.",
    ),
    Use(
        ("hidden_layer_sizes",),
        lambda s, at: at.inherits is None or tuple(s.hidden_layer_sizes) == _hidden(at.inherits),
        "beside {init_from}",
        "The layers are those of that model.",
    ),
    Use(
        ("scaling",),
        lambda s, at: at.inherits is None,
        "beside {init_from}",
        "The scaling is that of the model's inputs.",
    ),
    Use(
        _OF_LAYERS,
        lambda s, at: at.inherits is not None or len(s.hidden_layer_sizes) > 0,
        "without hidden layers",
        "Set {hidden_layer_sizes}.",
    ),
    Use(
        ("loss",),
        lambda s, at: at.task != "classification" or not isinstance(s.loss, str),
        "for a classification",
        "The loss of a classification follows from its classes.",
    ),
    Use(
        ("quantiles",),
        lambda s, at: s.loss == "quantile",
        "unless {loss} is 'quantile'",
        "Levels of a Quantile loss are its own.",
    ),
    Use(
        ("label_smoothing",),
        lambda s, at: at.task != "regression",
        "for a regression",
        "Only classes can be smoothed.",
    ),
    Use(
        ("label_smoothing",),
        lambda s, at: not isinstance(s.loss, _OWN_SMOOTHING),
        "beside a loss of your own",
        "Set label_smoothing of the loss.",
    ),
    Use(
        ("validation_fraction",),
        lambda s, at: not at.own_validation,
        "beside validation rows of your own",
        "No others are held out.",
    ),
    Use(
        ("validation_fraction",),
        lambda s, at: at.own_validation or s.early_stopping,
        "without {early_stopping}",
        "Set {early_stopping} to True to hold out rows.",
    ),
    Use(
        ("tol",),
        lambda s, at: s.n_iter_no_change is not None,
        "if {n_iter_no_change} is None",
        "Nothing ends the run early.",
    ),
)
"""Every setting that some trainings do not use; all others always have an effect."""


def unused(owner: str, settings: Settings, at: Situation, shown: Callable[[str], str] = str) -> Iterator[str]:
    """Yield a sentence for every setting that differs from its default and has no effect.

    Parameters
    ----------
    owner : str
        Who was given the settings, for the message.
    settings : Settings
        The settings.
    at : Situation
        Where they are used.
    shown : callable, default=str
        The name by which the user knows a setting.

    Yields
    ------
    str

    Examples
    --------
    >>> settings = Settings(hidden_layer_sizes=(), dropout=0.2)
    >>> list(unused("NetClassifier", settings, Situation("classification")))
    ['NetClassifier: dropout must be left out without hidden layers, got 0.2. Set hidden_layer_sizes.']
    """
    names = _Shown(shown)
    for use in USES:
        if use.used(settings, at):
            continue
        for name in use.names:
            value = getattr(settings, name)
            if not _same(value, getattr(_DEFAULTS, name)):
                allowed = f"left out {use.otherwise.format_map(names)}"
                yield must_be(owner, shown(name), allowed, value, use.instead.format_map(names))


_DEFAULTS = Settings()


def _same(value: Any, default: Any) -> bool:
    """Check whether a value is the default; a list is as good as a tuple."""
    return bool((tuple(value) if isinstance(value, list) else value) == default)


class _Shown(dict[str, str]):
    """The name by which the user knows a setting, for any setting."""

    def __init__(self, shown: Callable[[str], str]) -> None:
        super().__init__()
        self._shown = shown

    def __missing__(self, name: str) -> str:
        return self._shown(name)
