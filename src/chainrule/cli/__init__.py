"""Why: the command `chainrule`; a mistake ends in one clear line and exit code 2, never in a traceback.

In: the command line. Out: results on standard output, talk on standard error, an exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


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
        return code if isinstance(code, int) else 0
    except ChainruleError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return _refuse("interrupted", 130)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error.format_message())


def _refuse(text: str, code: int = 2) -> int:
    for line in text.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return code
