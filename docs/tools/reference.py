"""Build the reference of public names from the docstrings, which the tests run.

In: pages with marks such as `<!-- reference: chainrule.nn.losses -->`. Out: signatures and docstrings in their place.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

MARK = re.compile(r"^<!-- reference: ([\w.]+)((?: \w+)*) -->$", re.MULTILINE)
_SECTION = re.compile(r"^([A-Z]\w*(?: \w+)*)\n-{3,}$\n", re.MULTILINE)
_LISTS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
_BLOCK = re.compile(r"^(Forward|Backward|Shapes|Reference) {2,}")


def expanded(markdown: str) -> str:
    """Return a page with each module's public names in place of its mark; names after the module select some of them."""
    return MARK.sub(lambda mark: "\n".join(_module(mark[1], mark[2].split())), markdown)


def public(module: ModuleType) -> list[str]:
    """Return `__all__`, or the public classes and functions that the module defines, in its order."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
    return [name for name in own if not name.startswith("_") and callable(getattr(module, name))]


def _module(name: str, chosen: list[str]) -> Iterator[str]:
    module = importlib.import_module(name)
    for each in chosen or public(module):
        yield from _thing(name, each, getattr(module, each))


def _thing(module: str, name: str, thing: Any) -> Iterator[str]:
    yield f"\n### {name} {{ #{module}.{name} }}\n"
    yield f"```py\nfrom {module} import {name}\n{_signature(name, thing)}\n```\n"
    yield described(inspect.getdoc(thing) or "")
    if inspect.isclass(thing):
        for method, inner in sorted(vars(thing).items(), key=lambda item: item[0]):
            if not method.startswith("_") and (inspect.isfunction(inner) or isinstance(inner, property)):
                yield from _method(name, method, inner)


def _method(owner: str, name: str, inner: Any) -> Iterator[str]:
    """Yield a method or property in a folded box, without a heading of its own."""
    call = name if isinstance(inner, property) else _signature(name, inner)
    text = textwrap.indent(described(inspect.getdoc(inner) or ""), "    ")
    yield f'\n??? method "`{owner}.{name}`"\n\n    ```py\n{textwrap.indent(call, "    ")}\n    ```\n\n{text}\n'


def _signature(name: str, thing: Any) -> str:
    """Return the call, with one argument per line if it is long."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return name
    arguments = [_argument(each) for each in signature.parameters.values() if each.name != "self"]
    kinds = [each.kind for each in signature.parameters.values() if each.name != "self"]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        arguments.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    given = signature.return_annotation
    answer = "" if given in (inspect.Signature.empty, "None", None) else f" -> {_annotation(given)}"
    line = f"{name}({', '.join(arguments)}){answer}"
    return line if len(line) <= 88 else f"{name}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){answer}"


def _argument(parameter: inspect.Parameter) -> str:
    """Return one argument: its name, type and default."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    kind = "" if parameter.annotation is inspect.Parameter.empty else f": {_annotation(parameter.annotation)}"
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}{kind}{default}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def described(doc: str) -> str:
    """Return a numpydoc docstring as Markdown: lists of arguments, equations as they are, examples as code."""
    lead, *sections = _SECTION.split(doc)
    parts = [_text(lead)]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        parts.append(f"**{title}**")
        parts.append(_list(body) if title in _LISTS else _text(body))
    return "\n\n".join(part for part in parts if part)


def _text(text: str) -> str:
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", text.strip("\n")) if part.strip())


def _list(body: str) -> str:
    """Return the entries of a section such as Parameters as a list: a line `name : type`, then indented text."""
    entries = re.findall(r"^(\S.*)\n?((?:(?:[ \t]+.*)?(?:\n|$))*)", body.strip("\n"), re.MULTILINE)
    return "\n".join(_entry(head, textwrap.dedent(text).strip()) for head, text in entries)


def _entry(head: str, text: str) -> str:
    name, colon, kind = head.partition(" : ")
    shown = f"**`{name}`** ({_escaped(kind)})" if colon else f"**`{name}`**"
    return f"- {shown}" + (":\n" + textwrap.indent(_text(text), "    ") if text else "")


def _paragraph(part: str) -> str:
    lines = part.splitlines()
    if lines[0].lstrip().startswith(">>>"):
        return "```pycon\n" + textwrap.dedent(part) + "\n```"
    start = next((i for i, line in enumerate(lines) if _BLOCK.match(line)), None)
    if start is None:
        return _escaped(part)
    prose = _escaped("\n".join(lines[:start])) + "\n\n" if start else ""
    return f"{prose}```text\n" + "\n".join(lines[start:]) + "\n```"


def _escaped(prose: str) -> str:
    """Escape what Markdown would read as marks, except between backquotes."""
    parts = re.split(r"(`[^`]*`)", prose)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[\]#$])", r"\\\1", part) for part in parts)
