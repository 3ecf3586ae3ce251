"""Why: a message is part of the interface, and the ground must hold. In: wrong values, layouts. Out: exact sentences."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from chainrule.arrays import Layout, Slot
from chainrule.constraints import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Checked,
    Interval,
    OneOf,
    constrained,
    faults,
    validate,
)
from chainrule.errors import (
    ChainruleError,
    FormatError,
    InvalidValueError,
    MissingError,
    did_you_mean,
    must_be,
    raise_all,
)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(InvalidValueError, ValueError), (FormatError, ValueError), (MissingError, FileNotFoundError)],
)
def test_errors_are_ours_and_the_builtin_ones(kind, builtin):
    assert issubclass(kind, ChainruleError)
    assert issubclass(kind, builtin)
    assert str(kind("a sentence.")) == "a sentence."


def test_missing_error_without_a_sentence_is_empty():
    assert str(MissingError()) == ""


def test_must_be():
    assert must_be("Net", "inputs", "above 0", 0) == "Net: inputs must be above 0, got 0."
    assert must_be("Net", "name", "short", "x" * 3, "Cut it.") == "Net: name must be short, got 'xxx'. Cut it."


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("adm", ["Adam", "SGD"], "Did you mean 'Adam'?"),
        ("ADAM", ["Adam", "SGD"], "Did you mean 'Adam'?"),
        ("zzz", ["b", "a"], "Known: a, b."),
        (None, ["b", "a"], "Known: a, b."),
        ("acc", ["jaccard", "balanced_accuracy", "accuracy"], "Did you mean 'accuracy'?"),
        ("softmax", ["MultiSoftmaxCrossEntropy", "SoftmaxCrossEntropy"], "Did you mean 'SoftmaxCrossEntropy'?"),
        ("x", [], ""),
    ],
)
def test_did_you_mean(word, known, hint):
    assert did_you_mean(word, known) == hint


def test_raise_all_raises_once_or_not_at_all():
    raise_all([])
    with pytest.raises(InvalidValueError, match=r"^one\.\ntwo\.$"):
        raise_all(iter(["one.", "two."]))


@pytest.mark.parametrize(
    ("closed", "allowed"), [("[]", {0, 0.5, 1}), ("[)", {0, 0.5}), ("(]", {0.5, 1}), ("()", {0.5})]
)
def test_ends_of_an_interval(closed, allowed):
    interval = Interval(0, 1, closed)
    assert {value for value in (-0.1, 0, 0.5, 1, 1.1) if interval.allows(value)} == allowed
    assert str(interval) == f"in {closed[0]}0, 1{closed[1]}"


@pytest.mark.parametrize("value", [True, "1", None, 1j, math.nan, [1]])
def test_what_is_no_number_is_in_no_interval(value):
    assert not Interval(-math.inf, math.inf).allows(value)


def test_whole_and_optional_intervals():
    assert COUNT.allows(np.int64(3))
    assert not COUNT.allows(3.0)
    assert not COUNT.allows(0)
    optional = Interval(0, 1, "()", whole=True, optional=True)
    assert optional.allows(None)
    assert str(optional) == "a whole number in (0, 1) or None"
    assert Interval(0, 1).allows(np.float32(0.5))


def test_named_constraints():
    assert [c.allows(0) for c in (POSITIVE, NOT_NEGATIVE, SHARE)] == [False, True, True]
    assert [c.allows(math.inf) for c in (POSITIVE, NOT_NEGATIVE, SHARE)] == [False, False, False]
    assert [c.allows(1) for c in (POSITIVE, NOT_NEGATIVE, SHARE)] == [True, True, False]


def test_one_of():
    words = OneOf(("relu", "tanh", None))
    assert words.allows("relu")
    assert words.allows(None)
    assert not words.allows("Relu")
    assert words.hint("Relu") == "Did you mean 'relu'?"
    assert words.hint(3) == ""
    assert words.hint("zzz") == "", "the message lists the options"
    assert str(words) == "one of 'relu', 'tanh', None"


def test_one_of_keeps_numbers_and_truth_apart():
    truth = OneOf((True, False))
    assert [truth.allows(value) for value in (True, False, 1, 0, 1.0)] == [True, True, False, False, False]


@dataclass(frozen=True)
class Piece(Checked):
    """Two settings under constraints, one free."""

    count: int = constrained(COUNT)
    mode: str = constrained(OneOf(("fast", "slow")), "fast")
    free: object = None


def test_checked_names_every_fault_at_construction():
    with pytest.raises(InvalidValueError) as caught:
        Piece(0, "fats")
    assert str(caught.value).splitlines() == [
        "Piece: count must be a whole number in [1, inf), got 0.",
        "Piece: mode must be one of 'fast', 'slow', got 'fats'. Did you mean 'fast'?",
    ]
    assert Piece(3) == Piece(3, "fast", None)
    validate(Piece(3))


def test_limited_without_a_default_must_be_given():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'count'"):
        Piece()


def test_limited_takes_none_as_a_default():
    @dataclass(frozen=True)
    class Optional(Checked):
        limit: float | None = constrained(Interval(0, 1, optional=True), None)

    assert Optional().limit is None


def test_faults_of_plain_values():
    allowed = {"a": SHARE, "b": COUNT}
    assert list(faults("fit", {"a": 0.5, "b": 1}, allowed)) == []
    assert list(faults("fit", {"a": 1, "b": 1}, allowed)) == ["fit: a must be in [0, 1), got 1."]


LAYOUT = Layout.of([("0.W", (2, 3)), ("0.b", (3,)), ("1.s", ())])


def test_layout_places_arrays_one_behind_the_other():
    assert LAYOUT.slots == (Slot("0.W", (2, 3), 0), Slot("0.b", (3,), 6), Slot("1.s", (), 9))
    assert (LAYOUT.size, LAYOUT.names) == (10, ("0.W", "0.b", "1.s"))
    assert [slot.size for slot in LAYOUT.slots] == [6, 3, 1]


def test_views_share_memory_and_pack_is_their_inverse():
    flat = np.arange(10.0)
    views = LAYOUT.views(flat)
    assert all(np.shares_memory(view, flat) for view in views.values())
    np.testing.assert_array_equal(views["0.W"], [[0, 1, 2], [3, 4, 5]])
    assert views["1.s"].shape == ()
    packed = LAYOUT.pack(np, views, np.zeros(0, np.float32))
    np.testing.assert_array_equal(packed, flat)
    assert packed.dtype == np.float32


def test_an_empty_layout():
    empty = Layout.of([])
    assert (empty.size, empty.names, empty.views(np.zeros(0))) == (0, (), {})
    packed = empty.pack(np, {}, np.zeros(3, np.float32))
    assert (packed.shape, packed.dtype) == ((0,), np.float32)


def test_where_finds_every_entry():
    flat = np.arange(10.0)
    views = LAYOUT.views(flat)
    for entry in range(10):
        name, index = LAYOUT.where(entry)
        assert views[name][index] == entry


def test_messages_stay_short_whatever_they_repeat():
    assert len(str(FormatError("x" * 10**6))) < 2_000
    assert str(FormatError("\n".join(["a fault of a column"] * 500))).endswith("... and 440 more.")
    assert len(must_be("f", "x", "short", ["a"] * 10**5)) < 1_000
    assert "too large to write" in must_be("f", "x", "short", 10**5000)
    assert must_be("f", "x", "short", "y" * 500).count("y") == 500
