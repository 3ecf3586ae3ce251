"""Sources of functions, so that a written file can hold copies of tested code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

_BODIES = ("def ", "class ")


@cache
def definitions(module: str) -> Mapping[str, str]:
    """Return the source of every function, class and constant of a module by name, in the module's order.

    The module is not imported: it may need packages that are not installed.
    """
    text = (resources.files("chainrule.exporters") / f"{module}.py").read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found


def needed(modules: Iterable[str], text: str, given: Iterable[str] = ()) -> str:
    """Return the definitions that a text uses, and those that they use, with NumPy's name for arrays.

    Parameters
    ----------
    modules : iterable of str
        Modules of this package, where names are looked up.
    text : str
        Source that uses names of these modules.
    given : iterable of str, default=()
        Names that the text defines itself.

    Returns
    -------
    str
        Constants first, then functions and classes, each in the order of its module.
    """
    known = {name: source for module in modules for name, source in definitions(module).items()}
    own = set(given)
    used: set[str] = set()
    asked = _names(text) & set(known) - own
    while asked:
        used |= asked
        asked = {each for name in asked for each in _names(known[name])} & set(known) - used - own
    constants = [known[name] for name in known if name in used and not known[name].startswith(_BODIES)]
    functions = [known[name] for name in known if name in used and known[name].startswith(_BODIES)]
    parts = ["\n\n".join(constants)] if constants else []
    return re.sub(r"\bArray\b", "np.ndarray", "\n\n\n".join([*parts, *functions]))


def _names(text: str) -> set[str]:
    """Return the names that a text reads and does not set itself."""
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    return {node.id for node in names} - {node.id for node in names if isinstance(node.ctx, ast.Store)}
