"""Docstrings of the public interface must say what a reader of help() needs, in the form that scikit-learn's users know.

In: the names on the reference pages and their public methods. Out: every missing or surplus argument, every missing
`Returns`, every summary that does not begin with a verb.
"""

import functools
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numpydoc.docscrape import NumpyDocString

import chainrule
from chainrule import NetClassifier, NetRegressor
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.initializers import INITIALIZERS
from chainrule.sklearn import MLPClassifier, MLPRegressor
from chainrule.train.monitors import EarlyStopping, Monitor

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^<!-- reference: ([\w.]+)((?: \w+)*) -->$", re.MULTILINE)

PROPERTY = property | functools.cached_property

# Verbs that a summary may begin with. A noun here would let "The ..." sentences back in.
VERBS = frozenset(
    re.findall(
        r"\w+",
        """
    accumulate add adopt allow append apply arrange ask assess average backpropagate build calibrate call check choose
    classify clear clip close collect combine compare compile compute concatenate configure connect continue convert
    copy count create cut decide declare decode decompress define derive describe detect diagnose differentiate divide
    download draw drop encode end estimate evaluate examine expand explain export extract fall fill find fit flatten
    fold follow format freeze generate get give group guard hold ignore import infer initialize insert inspect
    interpolate invert join judge keep label list load log look lower make map mark mask match measure merge minimize
    monitor move multiply name normalize observe open order pack parse pass pick place plan plot predict prepare print
    probe profile propagate prune raise rank read rebuild receive recommend record reduce refuse register remove
    rename render repair repeat replace report require rescale reset resolve restore resume return reverse rise round
    run sample save scale score search select send set settle show shuffle simulate skip sort split stack standardize
    start state stop store strip submit suggest sum suppress switch take test track train transform translate try tune
    undo unpack update use validate verify wait warn watch wrap write yield
    """,
    )
)


def public(module: ModuleType) -> list[str]:
    """`__all__`, or the classes and functions that the module defines without an underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
    return [name for name in own if not name.startswith("_") and callable(getattr(module, name))]


def documented() -> dict[str, Any]:
    """Classes, functions, methods and properties on the reference pages and in `chainrule` itself, by full name."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    marks = [mark for page in pages for mark in MARK.findall(page.read_text())]
    found = {}
    for name, chosen in [("chainrule", ""), ("chainrule.io", ""), ("chainrule.data", ""), *marks]:
        module = importlib.import_module(name)
        for each in chosen.split() or public(module):
            thing = getattr(module, each)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found | dict(method for thing in list(found.values()) if inspect.isclass(thing) for method in methods(thing))


def methods(owner: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that this package gives a class."""
    for base in owner.__mro__:
        for name, inner in vars(base).items() if base.__module__.startswith("chainrule") else ():
            thing = inner.__func__ if isinstance(inner, classmethod | staticmethod) else inner
            if not name.startswith("_") and (inspect.isfunction(thing) or isinstance(thing, PROPERTY)):
                yield f"{base.__module__}.{base.__qualname__}.{name}", thing


@functools.cache
def contracts() -> tuple[dict[str, int], ...]:
    """Public methods of each protocol, with their numbers of arguments; it describes them for all that implement it."""
    protocols = set()
    for _, name, _ in pkgutil.walk_packages(chainrule.__path__, "chainrule."):
        if not name.rsplit(".", 1)[-1].startswith("_"):
            things = vars(importlib.import_module(name)).values()
            protocols |= {t for t in things if inspect.isclass(t) and getattr(t, "_is_protocol", False)}
    return tuple(contract for contract in map(signatures, protocols) if contract)


def signatures(owner: type) -> dict[str, int]:
    """Public methods of a class with their numbers of arguments."""
    return {
        name: len(arguments(method))
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
    }


def arguments(thing: Any) -> list[str]:
    """Names of what a call takes; a class's are its constructor's."""
    starred = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    given = inspect.signature(thing).parameters.values()
    return [starred.get(each.kind, "") + each.name for each in given if each.name not in ("self", "cls")]


def is_called(thing: Any) -> bool:
    """False for classes that users do not make: protocols, errors and enumerations."""
    made = not (inspect.isclass(thing) and issubclass(thing, BaseException | Enum))
    return made and not getattr(thing, "_is_protocol", False)


def is_implementation(name: str, thing: Any) -> bool:
    """Whether a method is described by a protocol of which its class, or one derived from it, has every method."""
    owner, _, method = name.rpartition(".")
    module, _, kind = owner.rpartition(".")
    cls = vars(sys.modules[module]).get(kind) if inspect.isfunction(thing) and module in sys.modules else None
    if not inspect.isclass(cls) or getattr(cls, "_is_protocol", False):
        return False
    return any(
        method in contract and contract.items() <= signatures(each).items()
        for each in [cls, *cls.__subclasses__()]
        for contract in contracts()
    )


def faults(name: str, thing: Any) -> Iterator[str]:
    """What is wrong with a docstring."""
    doc = inspect.getdoc(thing) or ""
    if isinstance(thing, PROPERTY):
        yield from () if doc else (f"{name}: no docstring",)
        return
    parsed = NumpyDocString(doc)
    yield from summary_faults(name, thing, " ".join(parsed["Summary"]))
    if is_implementation(name, thing):
        return
    taken = arguments(thing) if is_called(thing) else []
    written = [part for entry in parsed["Parameters"] + parsed["Other Parameters"] for part in entry.name.split(", ")]
    yield from (f"{name}: Parameters lacks {missing}" for missing in taken if missing not in written)
    yield from (
        f"{name}: Parameters has {surplus}, which it does not take" for surplus in written if surplus not in taken
    )
    if set(written) == set(taken) and written != taken:
        yield f"{name}: Parameters must stand in the order of the signature, {taken}"
    if inspect.isfunction(thing) and gives(thing) and not (parsed["Returns"] or parsed["Yields"]):
        yield f"{name}: no Returns"


def summary_faults(name: str, thing: Any, summary: str) -> Iterator[str]:
    if not summary.endswith("."):
        yield f"{name}: the summary must be a sentence, got {summary!r}"
    if inspect.isfunction(thing) and summary.split(" ")[0].lower() not in VERBS:
        yield f"{name}: the summary must begin with a verb, got {summary[:60]!r}"


def gives(thing: Any) -> bool:
    """Whether a function returns something."""
    return thing.__annotations__.get("return") not in (None, "None", "NoReturn")


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return {name: list(faults(name, thing)) for name, thing in documented().items()}


def test_public_docstrings_are_complete(found):
    wrong = [fault for each in found.values() for fault in each]
    assert not wrong, "\n".join(wrong)


def test_the_interface_is_looked_through(found):
    assert {"chainrule.estimators.classifier.NetClassifier", "chainrule.estimators.base.NetEstimator.fit"} <= set(found)
    assert {"chainrule.data.scaling.Standardizer.fit", "chainrule.io.model_file.load_model"} <= set(found)
    assert len(found) > 200


def test_missing_and_surplus_arguments_are_found():
    def short(a: int, b: int = 0) -> int:
        """The sum.

        Parameters
        ----------
        a : int
            One.
        c : int
            None.
        """
        return a + b

    assert list(faults("short", short)) == [
        "short: the summary must begin with a verb, got 'The sum.'",
        "short: Parameters lacks b",
        "short: Parameters has c, which it does not take",
        "short: no Returns",
    ]


def test_a_protocol_describes_only_classes_that_implement_all_of_it():
    class Start:
        """A class with one of a monitor's three methods."""

        def start(self, problem):
            """Return nothing."""

    assert is_implementation("chainrule.train.monitors.EarlyStopping.start", EarlyStopping.start)
    assert not is_implementation("chainrule.train.monitors.Monitor.start", Monitor.start)
    assert not any("start" in contract and contract.items() <= signatures(Start).items() for contract in contracts())


def entries(thing: Any, section: str) -> dict[str, tuple[str, list[str]]]:
    return {entry.name: (entry.type, entry.desc) for entry in NumpyDocString(inspect.getdoc(thing))[section]}


@pytest.mark.parametrize("pair", [(NetClassifier, NetRegressor), (MLPClassifier, MLPRegressor)], ids=str)
@pytest.mark.parametrize("section", ["Parameters", "Attributes"])
def test_classifier_and_regressor_describe_what_they_share_alike(pair, section):
    classifier, regressor = (entries(thing, section) for thing in pair)
    own = {"loss", "validation_scores_"}
    shared = (set(classifier) & set(regressor)) - own
    assert len(shared) > 8
    assert {name: classifier[name] for name in shared} == {name: regressor[name] for name in shared}


@pytest.mark.parametrize("thing", [NetClassifier, NetRegressor, MLPClassifier, MLPRegressor], ids=lambda x: x.__name__)
def test_every_default_stands_in_the_docstring(thing):
    parameters = inspect.signature(thing).parameters
    for name, (kind, meaning) in entries(thing, "Parameters").items():
        written = re.search(r"default=(.+)$", kind)
        assert written, f"{name}: no default in {kind!r}"
        assert eval(written[1]) == parameters[name].default, name
        assert meaning, f"{name}: no meaning"


@pytest.mark.parametrize("thing", [NetClassifier, NetRegressor], ids=lambda x: x.__name__)
def test_names_to_choose_from_are_all_given(thing):
    from chainrule.pipeline.settings import OPTIMIZERS, REGRESSION_LOSSES, SCHEDULES

    parameters = {name: " ".join(meaning) for name, (_, meaning) in entries(thing, "Parameters").items()}
    plain = [name for name in INITIALIZERS if not name.endswith("_uniform")]
    known = {"activation": ACTIVATIONS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "initializer": plain}
    known |= {"loss": REGRESSION_LOSSES} if thing is NetRegressor else {}
    for argument, names in known.items():
        assert [name for name in names if f'"{name}"' not in parameters[argument]] == [], argument


def test_help_shows_every_argument():
    text = inspect.getdoc(NetClassifier)
    assert all(f"\n{name} : " in text for name in inspect.signature(NetClassifier).parameters)
    assert chainrule.__doc__.splitlines()[0].endswith(".")
