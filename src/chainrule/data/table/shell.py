"""Options and names of columns as a shell takes them, so that a printed command runs as it is printed.

In: options, paths and names with any characters. Out: words and text for a command line; names from an option's text.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)')
"""An item of a list: in double quotes, doubled within, or without any."""


def with_value(option: str, value: str) -> list[str]:
    """Return an option and its value as words; a value that looks like an option is tied to it.

    >>> with_value("--target", "price"), with_value("--target", "-x")
    (['--target', 'price'], ['--target=-x'])
    """
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


def option_text(option: str, value: str) -> str:
    """Return an option and its value as text.

    >>> option_text("--target", "net $")
    "--target 'net $'"
    """
    return shlex.join(with_value(option, value))


def path_word(path: str) -> str:
    """Return a path as a word of a command that is not taken for an option.

    >>> path_word("a b.csv"), path_word("-x.csv")
    ('a b.csv', './-x.csv')
    """
    return f"./{path}" if path.startswith("-") else path


def command_text(name: str, paths: Iterable[str], words: Iterable[str] = ()) -> str:
    """Return a command of the package as text.

    >>> command_text("train", ["a b.csv"], with_value("--target", "$x"))
    "chainrule train 'a b.csv' --target '$x'"
    """
    return shlex.join(["chainrule", name, *map(path_word, paths), *words])


def list_text(items: Iterable[str]) -> str:
    """Return items as one text separated by commas, which `listed` takes apart again.

    >>> list_text(["a", "b,c"])
    'a,"b,c"'
    """
    return ",".join(_quoted(item) for item in items)


def listed(text: str | None) -> tuple[str, ...]:
    """Return the items of a text separated by commas; an item with a comma of its own is in double quotes.

    >>> listed('a, "b,c" , d'), listed(None)
    (('a', 'b,c', 'd'), ())
    """
    found: list[str] = []
    place = 0
    text = text or ""
    while place < len(text):
        match = _ITEM.match(text, place)
        assert match is not None
        item = match[2].strip() if match[1] is None else match[1].replace('""', '"')
        found += [item] if item else []
        place = match.end()
    return tuple(found)


def _quoted(item: str) -> str:
    plain = item == item.strip() and "," not in item and not item.startswith('"')
    return item if plain else '"' + item.replace('"', '""') + '"'
