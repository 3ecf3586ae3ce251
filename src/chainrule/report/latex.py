r"""The equations of docstrings, which are Unicode, in LaTeX for lecture notes and web pages.

In: an equation's text. Out: LaTeX of ASCII only, its words upright within \text, its names of functions as commands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΦΨΩ"
_NAMES = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon varphi chi psi "
    "omega Gamma Delta Theta Lambda Phi Psi Omega"
)
_SIGNS: Mapping[str, str] = {
    **{letter: rf"\{name}" for letter, name in zip(_GREEK, _NAMES.split(), strict=True)},
    ">=": r"\ge", "<=": r"\le", "≥": r"\ge", "≤": r"\le", "≈": r"\approx", "~": r"\sim", "±": r"\pm", "×": r"\times",
    "←": r"\leftarrow", "→": r"\to", "·": r"\cdot", "⊙": r"\odot", "..": r"\ldots", "Σ": r"\sum", "∂": r"\partial",
    "‖": r"\Vert", "⌊": r"\lfloor", "⌋": r"\rfloor", "∞": r"\infty", "∈": r"\in",
}  # fmt: skip
_BELOW = dict(zip("ᵢⱼₖₗₘₙₜₑ₋₊₀₁₂₃₄₅₆₇₈₉", "ijklmnte-+0123456789", strict=True))
_ABOVE = dict(zip("ᶜⁿᵗ⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹", "cnt-+0123456789", strict=True)) | {"ᵀ": r"\top"}

_HAT = "\N{COMBINING CIRCUMFLEX ACCENT}"
_INDEX, _POWER = f"[{''.join(_BELOW)}]", f"[{''.join(_ABOVE)}]"
_FUNCTION = r"(?:log|exp|tanh|sin|cos|max|min)(?![A-Za-z])"
_WORD = rf"(?:`\w+`|(?!{_FUNCTION}|d[A-Zabcswx]\b)[A-Za-z]{{2,}}(?:'s)?(?![\w{_HAT}]))"
_MARK = re.compile(
    r"(?P<layer>\^\[[\d.′]+\][ᵀ²]?)"
    rf"|(?P<quotient>(?<![A-Za-z])d[A-Z]{_INDEX}*/d[A-Za-z]{_INDEX}*(?![A-Za-z])(?:\^\[[\d.′]+\])?)"
    rf"|(?P<hatted>[A-Za-z]{_HAT})"
    rf"|(?P<below>{_INDEX}+)|(?P<above>{_POWER}+)"
    r"|(?P<command>\\[a-z]+)"
    r"|(?P<setting>(?<![A-Za-z])[A-Za-z]+(?:(?:_[a-z]+)+|(?<=[a-z])\d))"
    rf"|(?P<function>{_FUNCTION})"
    rf"|(?P<words> ?{_WORD}(?: {_WORD})* ?)"
    rf"|(?P<sign>{'|'.join(map(re.escape, sorted(_SIGNS, key=len, reverse=True)))})"
    r"|(?P<other>.)"
)
_ROOT = re.compile(rf"√((?:Σ{_INDEX}* )?(?:\d+|[A-Za-z]{_HAT}?{_INDEX}*{_POWER}*))")
_OPERATORS = "=<>+-*/:←→·⊙~≈"
"""Next to these, LaTeX sets its own space, so words need none."""


def to_latex(text: str) -> str:
    r"""Return an equation of a docstring in LaTeX.

    Parameters
    ----------
    text : str
        The equation, in Unicode.

    Returns
    -------
    latex : str
        ASCII only: words within \text, names of functions as commands.

    Examples
    --------
    >>> to_latex("dW = Aᵀ dZ")
    'dW = A^{\\top} dZ'
    >>> to_latex("w ← w - α m̂ / (√v̂ + ε)")
    'w \\leftarrow w - \\alpha \\hat{m} / (\\sqrt{\\hat{v}} + \\varepsilon)'
    """
    text = _raised(_roots(unicodedata.normalize("NFD", text)))
    latex = ""
    for mark in _MARK.finditer(text):
        piece = _latex(mark)
        joined = piece[:1].isalpha() and re.search(r"\\[A-Za-z]+$", latex)
        latex += f" {piece}" if joined else piece
    return latex


def _latex(mark: re.Match[str]) -> str:
    """Return one mark in LaTeX: a word, a name with its index, a sign, a letter."""
    text = mark[0]
    match mark.lastgroup:
        case "quotient":
            above, below = text.split("/")
            return rf"\frac{{{to_latex(above)}}}{{{to_latex(below)}}}"
        case "layer":
            label, _, after = text[2:].partition("]")
            raised = "".join(rf"{_ABOVE[mark]}" for mark in after)
            return f"^{{[{label.replace('′', chr(39))}]{raised}}}"
        case "hatted":
            return rf"\hat{{{text[0]}}}"
        case "below":
            return "_" + _group("".join(_BELOW[letter] for letter in text))
        case "above":
            return "^" + _group("".join(_ABOVE[letter] for letter in text))
        case "setting":
            return _setting(text)
        case "function":
            return f"\\{text}"
        case "words":
            return _words(mark)
        case "sign":
            return _SIGNS[text]
    return text if text.isascii() else rf"\text{{{text}}}"


def _group(index: str) -> str:
    return index if len(index) == 1 else f"{{{index}}}"


def _setting(name: str) -> str:
    r"""Return a setting: `n_in` and `l1` are letters with an index, `max_weight_norm` is a name of three words."""
    letter, index = name[0], name[1:].removeprefix("_")
    if name[1] == "_":
        return rf"{letter}_{{\text{{{index}}}}}"
    return f"{letter}_{index}" if index.isdigit() else rf"\text{{{name.replace('_', '-')}}}"


def _words(mark: re.Match[str]) -> str:
    """Return words with the spaces around them, except those at an operator or at an end."""
    text = mark[0]
    before, behind = mark.string[: mark.start()][-1:], mark.string[mark.end() :][:1]
    left, right = text[0] == " ", text[-1] == " "
    inner = text.strip().replace("`", "")
    inner = f" {inner}" if left and before and before not in _OPERATORS else inner
    inner = f"{inner} " if right and behind and behind not in _OPERATORS else inner
    return " " * left + rf"\text{{{inner}}}" + " " * right


def _raised(text: str) -> str:
    """Put the exponent of `x ^ ⌊y⌋` into braces."""
    return re.sub(r" \^ (⌊[^⌋]*⌋)", r"^{\1}", text)


def _roots(text: str) -> str:
    """Replace the √ of a bracket, of a sum's term, or of one letter or number by LaTeX's square root."""
    while "√(" in text:
        start = text.index("√(")
        end = _closing(text, start + 1)
        text = text[:start] + r"\sqrt{" + text[start + 2 : end] + "}" + text[end + 1 :]
    return _ROOT.sub(r"\\sqrt{\1}", text)


def _closing(text: str, start: int) -> int:
    """Return where the bracket that opens at `start` closes; the end of the text where it does not."""
    depth = 0
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return end
    return len(text)
