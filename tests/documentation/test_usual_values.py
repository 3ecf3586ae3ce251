"""Why: the page of usual values must give the package's own defaults and limits, and only values that it accepts.

In: docs/use/usual-values.md. Out: passes, or the row that is wrong.
"""

import ast
import re
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest

from chainrule.constraints import constraints_of
from chainrule.pipeline.option_names import option_name
from chainrule.pipeline.settings import OPTIMIZERS, SCHEDULES, Settings
from chainrule.search.space import default_space
from chainrule.tabular.presets import PRESETS

TEXT = (Path(__file__).parents[2] / "docs" / "use" / "usual-values.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def table(section):
    """The cells of a section's table, without its head."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


SETTINGS = [row for name in ("The network", "The training", "Against overfitting") for row in table(name)]
INSIDE = table("Inside optimizers and schedules")


def literals(cell):
    """The values in backticks that are Python; words such as names of other options are left out."""
    return [ast.literal_eval(text) for text in re.findall(r"`([^`]+)`", cell) if re.match(r"[\"\d(NTF-]", text)]


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row[0])
def test_a_setting_has_its_default_its_option_and_values_that_are_allowed(row):
    _, option, argument, default, usual, allowed = row
    name = argument.strip("`")
    assert option.strip("`") == option_name(name)
    assert literals(default) == [getattr(Settings(), name)]
    assert literals(usual)
    for value in literals(usual):
        assert list(replace(Settings(), **{name: value}).faults("page")) == []
    constraint = constraints_of(Settings).get(name)
    if constraint is not None and not allowed.startswith("see"):
        assert allowed == str(constraint)
    if constraint is None:
        [fault] = replace(Settings(), **{name: -1 if name == "batch_size" else (0,)}).faults("page")
        assert allowed in fault


def test_the_page_has_every_setting_that_a_search_varies():
    named = {row[2].strip("`") for row in SETTINGS}
    varied = {dimension.name for dimension in default_space(10**4).dimensions}
    assert varied - {"width", "depth"} <= named


@pytest.mark.parametrize("row", INSIDE, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_rule_has_its_default_and_accepts_the_usual_values(row):
    known = {**OPTIMIZERS, **SCHEDULES}
    rule, option = known[row[0].strip("`")], row[1].strip("`")
    [default] = [field.default for field in fields(rule) if field.name == option]
    assert default is not MISSING
    assert literals(row[2]) == [default]
    for value in literals(row[3]):
        assert getattr(replace(rule, **{option: value}), option) == value


def test_what_is_tried_by_default_is_what_the_page_says():
    space = {dimension.name: dimension for dimension in default_space(10**4).dimensions}
    preset = PRESETS["table"]

    def span(low, high):
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"

    def ends(name):
        return span(space[name].low, space[name].high)

    assert table("What the package tries by itself") == [
        ["learning rate", ends("learning_rate_init"), span(*preset.learning_rate)],
        ["units of a layer", ends("width"), span(*preset.width)],
        ["hidden layers", ends("depth"), span(*preset.layers)],
        ["dropout", ends("dropout"), f"0, or up to {preset.dropout:g}"],
        ["batch size", ", ".join(map(str, space["batch_size"].choices)), span(*preset.batch_size)],
        ["activation", ", ".join(space["activation"].choices), preset.activation],
        ["batch norm", "without, with", "without"],
        ["L2 penalty", ends("alpha"), "0"],
        ["decoupled weight decay", "0", span(*preset.weight_decay)],
    ]
    assert space["batch_norm"].choices == (False, True)
