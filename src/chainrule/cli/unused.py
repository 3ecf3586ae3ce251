"""Options that were typed and have no effect: an error that says when the option has one.

In: what was typed, and facts about the command's input. Out: one sentence for every option that nothing reads.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from chainrule.data.table.files import TEXT_ENDINGS, table_ending
from chainrule.errors import must_be, raise_all
from chainrule.pipeline.option_names import flag

_TYPED: ContextVar[Mapping[str, Any]] = ContextVar("typed")
_LINE: ContextVar[tuple[str, ...]] = ContextVar("line")
"""The options of the running command that were typed, as the parser knows them: a command runs in one context."""

_OTHER_FLAGS = {
    "as_json": "--json",
    "time_limit": "--time",
    "head": "--head",
    "peer_keys": "--peers",
    "row_format": "--format",
    "opened": "--open",
}
"""Options that are called otherwise than their parameter."""


@dataclass(frozen=True)
class Rule:
    """Options that have an effect only where a fact holds.

    Parameters
    ----------
    fact : str
        A name that the command looks up among its facts.
    options : tuple of str
        Parameters of the command.
    otherwise : str
        Completes "must be left out" where the fact does not hold.
    instead : str, default=""
        What to do, a sentence.
    """

    fact: str
    options: tuple[str, ...]
    otherwise: str
    instead: str = ""


_NETWORK = ("activation", "batch_norm", "layer_norm", "dropout")
_TABLE = Rule("table", ("columns", "drop", "missing", "decimal"), "for this source", "Only tables have columns.")
_TEXT = Rule("text table", ("separator", "encoding"), "for this source", "Only tables in text have one.")
_OWN_TEST = Rule("test rows", ("test_fraction",), "for this source", "It has test rows of its own.")
_HEADER = Rule("headed", ("header",), "for this source", "Only tables in text and workbooks have a first line.")
_STREAMED = Rule(
    "streamed", ("max_memory",), "for this source", "Only Parquet files and patterns of them are streamed."
)
_NOT_STREAMED = Rule("streamed", ("max_memory",), "for this command", "Only train reads rows while it trains.")
_IN_PARTS = Rule(
    "held in memory", ("decimal",), "for rows that are read in parts", "Parquet files hold numbers as such."
)
_TRAINING = (_TABLE, _TEXT, _HEADER, _OWN_TEST)
_READING = (Rule("table", ("decimal",), "for this source", "Only tables have decimal marks."), _TEXT, _HEADER)
_SUBJECT = (
    Rule("table", ("target",), "for this subject", "Only tables have target columns to choose from."),
    Rule("source", ("hidden",), "for this subject", "Its layers are given: --hidden is for a source."),
    Rule("untrained", _NETWORK, "for a model", "Its layers are in its file."),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "train": (
        *_TRAINING,
        _STREAMED,
        Rule(
            "held in memory",
            ("time",),
            "for streamed rows",
            "They are held out by a hash; --group names a column of keys.",
        ),
        Rule("doctor", ("suppress",), "with --doctor off", "Nothing is found that could be suppressed."),
        Rule(
            "launched", ("restarts",), "without --processes", "Only processes that are started here are started again."
        ),
        Rule("several", ("watchdog",), "with one process", "It waits for nobody."),
        Rule(
            "cluster",
            ("workers", "insecure_cluster"),
            "without --cluster",
            "Without a cluster, everything runs on this machine.",
        ),
    ),
    "doctor": (*_TRAINING, _NOT_STREAMED),
    "lab": (*_TRAINING, _NOT_STREAMED),
    "lr-find": (_TABLE, _TEXT, _HEADER),
    "search": (
        _OWN_TEST,
        Rule(
            "cluster", ("insecure_cluster",), "without --cluster", "Without a cluster, everything runs on this machine."
        ),
        Rule("free max_iter", ("epochs",), "beside max_iter in the space", "Set it in one of the two places."),
        Rule("free n_iter_no_change", ("patience",), "beside n_iter_no_change in the space", "Set it in one place."),
        Rule("free dtype", ("dtype",), "beside dtype in the space", "Set it in one of the two places."),
    ),
    "study": (
        Rule(
            "experiment",
            ("data", "target", "seeds", "quick", "workers", "out"),
            "for 'list'",
            "It only prints the names of all studies.",
        ),
        Rule("table", ("target",), "without a table", "Name the table with --data."),
    ),
    "evaluate": (
        *_READING,
        _STREAMED,
        _IN_PARTS,
        Rule("generated", ("seed",), "for this source", "Only circles, moons, blobs and spirals are generated."),
    ),
    "predict": (
        Rule(
            "file",
            ("out", "as_json", "decimal", "header", "encoding", "max_memory"),
            "with --stdin",
            "Rows and answers are lines of UTF-8, as --format says.",
        ),
        Rule("stdin", ("row_format",), "without --stdin", "It says how rows on standard input are written."),
        Rule("csv lines", ("separator",), "with --format jsonl", "JSON needs none."),
        *_READING,
        _STREAMED,
        _IN_PARTS,
        Rule("held in memory", ("as_json",), "for rows that are read in parts", "Their answers are lines of CSV."),
        Rule("csv", ("out",), "with --json", "Write it to a file with > FILE."),
    ),
    "export": (
        Rule("opset", ("opset",), "for this format", "It is an option of --to onnx."),
        Rule("int8", ("int8",), "for this format", "It is an option of --to c."),
    ),
    "explain": (
        Rule(
            "network",
            ("target", "hidden", *_NETWORK, "head", "plan", "row", "data"),
            "for a preset",
            "A preset is a range of networks; --json prints it to edit.",
        ),
        Rule("derivation", ("rows",), "for a preset as JSON", "It holds no equations."),
        *_SUBJECT,
        Rule("text", ("markdown",), "with --json or --plan", "Choose one of them."),
        Rule("steps", ("row",), "with --plan", "Choose one of them."),
        Rule("model", ("data",), "for this subject", "Only a model has no rows of its own."),
        Rule("row", ("data",), "without --row", "Only the numbers of a row need rows."),
    ),
    "gradcheck": _SUBJECT,
}
"""For each command, the options that some of its inputs do not use; all others always have an effect.

Options that are settings of a network are in `chainrule.pipeline.unused`, which Python shares.
"""

GENERATED = ("circles", "moons", "blobs", "spirals")
"""Sources that are drawn from a seed."""


def watched(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command for the parser that remembers, while it runs, which options were typed."""

    @functools.wraps(command)
    def run(typed_context: typer.Context, **arguments: Any) -> Any:
        given = {name: value for name, value in typed_context.params.items() if _typed(typed_context, name)}
        token = _TYPED.set(given)
        line = _LINE.set(tuple(typed_context.find_root().obj or ()))
        try:
            return command(**arguments)
        finally:
            _TYPED.reset(token)
            _LINE.reset(line)

    signature = inspect.signature(command, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [parameter.replace(kind=keyword) for parameter in signature.parameters.values()]
    context = inspect.Parameter("typed_context", keyword, annotation=typer.Context)
    run.__dict__["__signature__"] = inspect.Signature([context, *parameters])
    run.__annotations__ = {p.name: p.annotation for p in (context, *parameters)}
    return run


def _typed(context: typer.Context, name: str) -> bool:
    origin = context.get_parameter_source(name)
    return origin is not None and origin.name == "COMMANDLINE"


def typed() -> Mapping[str, Any]:
    """Return the options of the running command that were typed, with their values; none outside of a command."""
    return _TYPED.get({})


def typed_line() -> tuple[str, ...]:
    """Return the running command as it was typed, without the program's name."""
    return _LINE.get(())


def refuse(command: str, facts: Mapping[str, bool]) -> None:
    """Raise one `InvalidValueError` for all typed options that these facts leave without an effect.

    Parameters
    ----------
    command : str
        Name of the command.
    facts : mapping of str to bool
        What is known about its input; rules about other facts are skipped.
    """
    raise_all(unused_options(command, typed(), facts))


def unused_options(command: str, given: Mapping[str, Any], facts: Mapping[str, bool]) -> Iterator[str]:
    """Yield a sentence for every given option that has no effect, each option once.

    >>> list(unused_options("predict", {"out": "a.csv"}, {"csv": False}))
    ["predict: --out must be left out with --json, got 'a.csv'. Write it to a file with > FILE."]
    """
    said: set[str] = set()
    for rule in RULES.get(command, ()):
        for name in rule.options:
            if name in given and name not in said and not facts.get(rule.fact, True):
                said.add(name)
                value = str(given[name]) if isinstance(given[name], Path) else given[name]
                yield must_be(command, option_flag(name), f"left out {rule.otherwise}", value, rule.instead)


def option_flag(name: str) -> str:
    """Return the option for a parameter of a command.

    >>> option_flag("as_json"), option_flag("test_fraction")
    ('--json', '--test-fraction')
    """
    return _OTHER_FLAGS.get(name, flag(name))


def source_facts(source: str | Path, own_test: bool | None = None) -> dict[str, bool]:
    """Return what the name of a source says, and whether it has test rows of its own if that is known.

    >>> source_facts("a.parquet")
    {'table': True, 'text table': False, 'headed': False, 'generated': False}
    """
    from chainrule.data import BUILTIN

    ending = None if str(source) in BUILTIN else table_ending(Path(source))
    facts = {
        "table": ending is not None,
        "text table": ending in TEXT_ENDINGS,
        "headed": ending not in (None, ".parquet"),
        "generated": str(source) in GENERATED,
    }
    return facts if own_test is None else facts | {"test rows": not own_test}
