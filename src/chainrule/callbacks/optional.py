"""Imports of packages that only some users need; an absent one gives one clear sentence.

In: a module's name and the extra that brings it. Out: the module.
"""

from __future__ import annotations

import importlib
from typing import Any

from chainrule.errors import MissingError


def optional(module: str, extra: str, owner: str) -> Any:
    """Import and return a module.

    Raises `MissingError` that names the extra where the package is not installed.

    >>> optional("math", "none", "Logger").pi > 3
    True
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != package:
            raise
        text = f"{owner}: package {package} must be installed. Install it with: pip install 'chainrule[{extra}]'."
        raise MissingError(text) from error
