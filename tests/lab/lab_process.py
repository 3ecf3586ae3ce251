"""Why: what the command does is seen from outside only: its address, its end, its folders.

In: a folder and options. Out: the command in a process of its own, and how it ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import chainrule

SOURCE = str(Path(chainrule.__file__).parents[1])


def started(folder, *words, **variables):
    """Start `chainrule lab` in a folder; return the process and the address that it printed."""
    environment = {**os.environ, "PYTHONPATH": SOURCE, **variables}
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + MAIN,
            *words,
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("http://"):
            return process, line.strip()
    raise AssertionError("".join(lines))


MAIN = "import sys; from chainrule.cli import main; main(['lab', *sys.argv[1:]])"


def ended(process, sign=signal.SIGINT, seconds=60):
    """End a lab with a signal; return what it said and its exit code."""
    process.send_signal(sign)
    late = threading.Timer(seconds, process.kill)
    late.start()
    with process.stdout as said:
        out = said.read()  # `communicate` would lose what was read together with the address
    code = process.wait()
    late.cancel()
    return out, code
