"""The command `chainrule`; a mistake ends in one clear line and exit code 2, never in a traceback.

In: the command line. Out: results on standard output, messages on standard error, an exit code.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it."""

_SUGGESTION = re.compile(r"\.? \(?(?:Possible options: |Did you mean )'?([-\w, ]+)'?\??\)?$")
"""The parser's ways to name what may have been meant."""

_INVALID = re.compile(r"Invalid value for '(--[-\w]+)': Input should be (.+)$")
_ALLOWED = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "greater than or equal to": ">=",
    "less than or equal to": "<=",
}
"""The parser's words for what an option may be, and ours."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 a check failed, 2 wrong use or bad input."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):  # a file name that is no text must not end a command at its last line
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def _terminate(number: int, frame: Any) -> None:
    """End at once, but take back what is half-written; runs with a checkpoint answer this signal themselves."""
    sys.exit(128 + number)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    import typer

    from chainrule.cli.app import application

    command = typer.main.get_command(application(sys.argv[1:] if arguments is None else list(arguments)))
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where, **more: _show_warning(message)
        return _run(command, arguments)


def _show_warning(message: Warning | str) -> None:
    """Print a warning in one line, without the place in the code that a user of the command line does not know."""
    from chainrule.display import printable

    print(f"warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def _run(command: Any, arguments: Sequence[str] | None) -> int:
    """Run a command; return the exit code."""
    import typer

    from chainrule.errors import ChainruleError

    line = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = command.main(args=list(line), obj=line, standalone_mode=False)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except ChainruleError as error:
        return _refuse(str(error))
    except (BrokenPipeError, SystemExit) as left:
        return _left(left)
    except (KeyboardInterrupt, typer.Abort):
        return _refuse("interrupted", _INTERRUPTED)
    except MemoryError as error:
        return _refuse(f"memory: the machine has too little for this. {error}")
    except OSError as error:
        return _refuse(f"{error.filename2 or error.filename or 'system'}: {error.strerror or error}")
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _refuse_usage(error, line)


def _left(error: BaseException) -> int:
    """Return 0 where the reader of the output has left, which the parser turns into an exit; leave on any other exit."""
    if not isinstance(error, BrokenPipeError) and not isinstance(error.__context__, BrokenPipeError):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _refuse(text: str, code: int = 2) -> int:
    from chainrule.display import printable

    for line in text.split("\n"):
        print(f"error: {printable(line)}", file=sys.stderr)
    return code


def _refuse_usage(error: Any, arguments: Sequence[str]) -> int:
    """Print what the parser says after the command's name; nothing where it has printed the help."""
    text = error.format_message()
    context = getattr(error, "ctx", None)
    if not text.strip():
        return 2
    command = context.info_name if context is not None and context.parent is not None else "chainrule"
    text = _SUGGESTION.sub(_did_you_mean, text)
    return _refuse(f"{command}: {_reworded(text, arguments)}")


def _reworded(text: str, arguments: Sequence[str]) -> str:
    """Return the parser's sentence about a wrong value in the form of all others, with the value."""
    match = _INVALID.match(text)
    if match is None:
        return text
    option = match[1]
    allowed = match[2].split(", unable")[0]
    for theirs, ours in _ALLOWED.items():
        allowed = allowed.replace(theirs, ours)
    words = [word for argument in arguments for word in argument.split("=", 1)]
    value = words[words.index(option) + 1] if option in words[:-1] else "no value"
    return f"{option} must be {allowed}, got {value!r}."


def _did_you_mean(match: re.Match[str]) -> str:
    """Return the nearest of the parser's suggestions, which come in alphabetical order."""
    wrong = match.string[: match.start()].split()[-1].strip("'")
    nearest = max(match[1].split(", "), key=lambda name: SequenceMatcher(None, wrong, name).ratio())
    return f". Did you mean {nearest!r}?"
