"""Markup that cannot be injected: everything that is not markup by construction is escaped.

Pages show column names, class labels and messages that anyone may have written; none of them may become markup.

In: text, numbers, elements. Out: `Html`, in which text is always escaped.
"""

from __future__ import annotations

import html
import math
import re

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ALONE = frozenset({"br", "col", "hr", "img", "link", "meta"})
"""Elements of HTML without an end tag."""


class Html(str):
    """Markup that is used as it is. Only this module makes it from text."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Return markup unchanged, and anything else as escaped text; characters that no page may hold are replaced.

    >>> escaped("<b> & 'c'")
    '&lt;b&gt; &amp; &#x27;c&#x27;'
    >>> escaped(Html("<b>"))
    '<b>'
    """
    if isinstance(value, Html):
        return value
    return Html(html.escape(_CONTROL.sub("\ufffd", str(value))))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element with its children in order; children that are None are left out.

    Underscores in a name become hyphens, and one at its end is dropped: `class_`, `stroke_width`. None and False leave an
    attribute out, True gives it no value, numbers keep two decimals.

    >>> tag("rect", x=1.0, y=0.333, class_="cell", hidden=None)
    '<rect x="1" y="0.33" class="cell"/>'
    >>> tag("p", "a < b", tag("br"))
    '<p>a &lt; b<br></p>'
    """
    inside = "".join(escaped(child) for child in children if child is not None)
    start = name + "".join(map(_attribute, attributes, attributes.values()))
    if name in _ALONE:
        return Html(f"<{start}>")
    return Html(f"<{start}>{inside}</{name}>" if children or name not in _SHAPES else f"<{start}/>")


_SHAPES = frozenset({"circle", "image", "line", "path", "polyline", "rect"})
"""Elements of SVG that may close themselves."""


def _attribute(name: str, value: object) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{escaped(rounded(value) if isinstance(value, float) else value)}"'


def rounded(value: float) -> str:
    """Return a number with at most two decimals.

    >>> rounded(1.0), rounded(0.126), rounded(-0.001)
    ('1', '0.13', '0')
    """
    return f"{round(float(value), 2) + 0.0:g}" if abs(value) < 1e5 else f"{value:.0f}"


def joined(*parts: object, between: str = "") -> Html:
    """Return the parts one after another; None is left out."""
    return Html(escaped(between).join(escaped(part) for part in parts if part is not None))


def number(value: float, digits: int = 3) -> str:
    """Return a number for people: few digits, powers of ten where they are shorter, a true minus sign.

    >>> [number(v) for v in (0.0, 0.12345, -12345.0, 1e-5, 3.2e6, float("nan"))]
    ['0', '0.123', '−12345', '1e−5', '3.2e6', 'not a number']
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    return text.replace("-", "−")
