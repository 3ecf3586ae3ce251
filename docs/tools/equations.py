"""Why: the mathematics' pages show the equations that stand in the docstrings, under the same numbers.

In: pages with marks such as `<!-- equations: Dense -->`. Out: the equations as LaTeX in their place; LaTeX as MathML, which
browsers draw without a script, a font or a network.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator, Mapping

from chainrule.nn import optimizers, penalties
from chainrule.nn.losses import mean_loss
from chainrule.nn.spec import PIECES
from chainrule.nn.step import train_step
from chainrule.report.explain import Equation, read_docstring, to_latex

MARK = re.compile(r"^<!-- equations: (\w+) -->$", re.MULTILINE)
TAG = re.compile(r"\s*\\tag\{([\d.]+)\}")
_MATHS = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.DOTALL)

FUNCTIONS = {f.__name__: f for f in (mean_loss, train_step, penalties.bounded, optimizers.running_average)}
"""Functions whose docstrings have equations, beside the pieces."""

_MARKS: Mapping[str, str] = {
    "ₗ₋₁": "_{l-1}", "ₗ": "_l", "m̂": r"\hat{m}", "√v̂": r"\sqrt{\hat{v}}", "v̂": r"\hat{v}", "√v": r"\sqrt{v}", "₁": "_1",
    "₂": "_2", "ᵗ": "^t", "ₑ": "_e", "√Σ g^2": r"\sqrt{\textstyle\sum g^2}", "←": r"\leftarrow ", "α": r"\alpha ",
    "ρ": r"\rho ", "‖": r"\Vert ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "·": r"\cdot ", "cos(": r"\cos(", "~": r"\sim ",
    "drop ^ ": r"\text{drop}\,\hat{}\, ", "n_in": r"n_{\text{in}}", "n_out": r"n_{\text{out}}", "l1": "l_1", "l2": "l_2",
    "Σ": r"\sum ", "dL/dZ": r"\frac{dL}{dZ}", "dR/dw": r"\frac{dR}{dw}", "max_norm": r"\text{max-norm}",
    "dJ/dw": r"\frac{dJ}{dw}", "√": r"\sqrt{}",
}  # fmt: skip
"""What `to_latex` leaves in Unicode; longer marks come before their parts."""

_FUNCTION = re.compile(r"(<mi>(?:log|exp|tanh|cos|max|min)</mi>)(?=<m(?:i|n|sub|sup|row|under|over)\b)")
_WORD = re.compile(r"\\text\{[^}]*\}|\\[a-zA-Z]+|`[^`]*`|\b[A-Za-z]?[a-z]{2,}'?s?\b")
_TEXT = re.compile(r"\\text\{\s*([^}]*?)\s*\}")
_LETTERS = re.compile(r"d[A-Zwbγβ]|ij")
_SHORT = ("exp", "log", "tanh", "cos")


def latex(text: str) -> str:
    r"""A docstring's equation in LaTeX, its words upright.

    >>> latex("w ← w - α g / (√v + ε)")
    'w \\leftarrow w - \\alpha g / (\\sqrt{v} + \\varepsilon )'
    """
    text = to_latex(text)
    for mark, with_commands in _MARKS.items():
        text = text.replace(mark, with_commands)
    text = _WORD.sub(lambda word: _upright(word[0]), text).replace(" '", "'")
    text = re.sub(r"\s*\}\s*\\text\{\s*", " ", text)
    return re.sub(r" {2,}", " ", _TEXT.sub(_spaced, text))


def _spaced(words: re.Match[str]) -> str:
    """Words with a space on the sides where a letter or number stands."""
    before, behind = words.string[: words.start()].rstrip()[-1:], words.string[words.end() :].lstrip()[:1]
    left = " " if before.isalnum() or (before and before in ",;") else ""
    right = " " if behind.isalnum() or behind == "\\" else ""
    return rf"\text{{{left}{words[1]}{right}}}"


def _upright(word: str) -> str:
    if word.startswith("\\") or _LETTERS.fullmatch(word) or word in _SHORT:
        return word
    return rf"\text{{{word.strip('`')}}}"


def equations(name: str) -> tuple[Equation, ...]:
    """The numbered equations of a piece or function by name."""
    if name in PIECES:
        return read_docstring(object.__new__(PIECES[name]))[0]
    like = type(name, (), {"__doc__": inspect.getdoc(FUNCTIONS[name])})
    return read_docstring(like())[0]


def expanded(markdown: str) -> str:
    """A page with the equations in place of its marks."""
    return MARK.sub(lambda mark: "\n".join(_lines(mark[1])), markdown)


def _lines(name: str) -> Iterator[str]:
    direction = ""
    for equation in equations(name):
        if equation.direction != direction:
            direction = equation.direction
            yield f'\n<p class="direction">{direction.capitalize()}</p>\n'
        yield f"$${latex(equation.text)} \\tag{{{equation.number}}}$$\n"


def mathml(page: str) -> str:
    """A page's HTML with MathML where LaTeX was; a tag becomes a number at the right."""
    return _MATHS.sub(lambda found: _converted(html.unescape(found[2]), found[1] == "div"), page)


def _converted(source: str, block: bool) -> str:
    from latex2mathml.converter import convert

    number = TAG.search(source)
    drawn = convert(TAG.sub("", source).strip(), display="block" if block else "inline")
    drawn = _FUNCTION.sub(r'\1<mspace width="0.17em" />', drawn)
    if not block:
        return drawn
    side = f'<span class="number">({number[1]})</span>' if number else ""
    return f'<div class="equation">{drawn}{side}</div>'
