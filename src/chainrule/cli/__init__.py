"""The command `chainrule`; a mistake ends in one clear line and exit code 2, never in a traceback.

In: the command line. Out: results on standard output, messages on standard error, an exit code.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it."""

_SUGGESTION = re.compile(r"\.? \(?(?:Possible options: |Did you mean )'?([-\w, ]+)'?\??\)?$")
"""The parser's ways to name what may have been meant."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 a check failed, 2 wrong use or bad input."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    import typer

    from chainrule.cli.app import app
    from chainrule.errors import ChainruleError

    command = typer.main.get_command(app)
    try:
        code = command.main(args=None if arguments is None else list(arguments), standalone_mode=False)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except ChainruleError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return _refuse("interrupted", _INTERRUPTED)
    except MemoryError as error:
        return _refuse(f"memory: the machine has too little for this. {error}")
    except OSError as error:
        return _refuse(f"{error.filename2 or error.filename or 'system'}: {error.strerror or error}")
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _refuse_usage(error)


def _refuse(text: str, code: int = 2) -> int:
    for line in text.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return code


def _refuse_usage(error: Any) -> int:
    """What the parser says, behind the command's name; the help itself where nothing was asked for."""
    text, context = error.format_message(), getattr(error, "ctx", None)
    if text.startswith("Usage"):
        print(text, file=sys.stderr)
        return 2
    command = context.info_name if context is not None and context.parent is not None else "chainrule"
    return _refuse(f"{command}: {_SUGGESTION.sub(_did_you_mean, text)}")


def _did_you_mean(match: re.Match[str]) -> str:
    """The nearest of the parser's suggestions, which it gives in the order of the alphabet."""
    wrong = match.string[: match.start()].split()[-1].strip("'")
    nearest = max(match[1].split(", "), key=lambda name: SequenceMatcher(None, wrong, name).ratio())
    return f". Did you mean {nearest!r}?"
