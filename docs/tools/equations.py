"""Insert the numbered equations of the docstrings into the pages on the mathematics, so that they are written only once.

In: pages with marks such as `<!-- equations: Dense -->`. Out: the equations as LaTeX in their place; LaTeX as MathML, which
browsers draw without a script, a font or a network.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator

from chainrule.callbacks.optional import optional
from chainrule.nn import averages, penalties
from chainrule.nn.data_init import standardized_init
from chainrule.nn.losses import mean_loss
from chainrule.nn.spec import REGISTRY
from chainrule.nn.step import train_step
from chainrule.report.explain import Equation, read_docstring
from chainrule.report.latex import to_latex

MARK = re.compile(r"^<!-- equations: (\w+) -->$", re.MULTILINE)
TAG = re.compile(r"\s*\\tag\{([\d.]+)\}")
_MATHS = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.DOTALL)

FUNCTIONS = {
    f.__name__: f for f in (mean_loss, train_step, penalties.bounded, averages.running_average, standardized_init)
}
"""Functions, besides the registered classes, whose docstrings have equations."""

_FUNCTION = re.compile(r"(<mi>(?:log|exp|tanh|sin|cos|max|min)</mi>)(?=<m(?:i|n|sub|sup|row|under|over)\b)")


def equations(name: str) -> tuple[Equation, ...]:
    """Return the numbered equations of a layer, loss, optimizer or function by name."""
    if name in REGISTRY:
        return read_docstring(object.__new__(REGISTRY[name]))[0]
    like = type(name, (), {"__doc__": inspect.getdoc(FUNCTIONS[name])})
    return read_docstring(like())[0]


def expanded(markdown: str) -> str:
    """Return a page with the equations in place of its marks."""
    return MARK.sub(lambda mark: "\n".join(_lines(mark[1])), markdown)


def _lines(name: str) -> Iterator[str]:
    direction = ""
    for equation in equations(name):
        if equation.direction != direction:
            direction = equation.direction
            yield f'\n<p class="direction">{direction.capitalize()}</p>\n'
        yield f"$${to_latex(equation.text)} \\tag{{{equation.number}}}$$\n"


def mathml(page: str) -> str:
    """Replace LaTeX in a page's HTML by MathML; a tag becomes a number at the right."""
    return _MATHS.sub(lambda found: _converted(html.unescape(found[2]), found[1] == "div"), page)


def _converted(source: str, block: bool) -> str:
    convert = optional("latex2mathml.converter", "docs", "docs").convert
    number = TAG.search(source)
    spaced = TAG.sub("", source).strip().replace("}: \\text{", "}: \\; \\text{")
    drawn = convert(spaced, display="block" if block else "inline")
    drawn = _FUNCTION.sub(r'\1<mspace width="0.17em" />', drawn)
    if not block:
        return drawn
    side = f'<span class="number">({number[1]})</span>' if number else ""
    return f'<div class="equation">{drawn}{side}</div>'
