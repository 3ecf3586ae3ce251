"""Processes that work for this one: they run nothing of the working folder, share the cores, and end when it ends.

In: code or a function for a new Python, environment variables. Out: a process that answers messages, one after another.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

ONE_THREAD: Mapping[str, str] = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Variables by which libraries of arithmetic keep to one thread."""

SAFE_PATH: Mapping[str, str] = {"PYTHONSAFEPATH": "1"}
"""The variable by which a new Python does not look for modules in the working folder."""


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes that start inside the block.

    Parameters
    ----------
    values : mapping of str to str
        The variables; afterwards they have their old values.

    Yields
    ------
    None
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def python(code: str, *arguments: str) -> list[str]:
    """Return the command of a new Python that runs code and finds modules where this process does, and nowhere else.

    A plain `python -c` or `python -m` looks in the working folder first, and would run a `queue.py` that lies there.

    Parameters
    ----------
    code : str
        What the process runs.
    *arguments : str
        Its arguments, from `sys.argv[1]` on.

    Returns
    -------
    list of str
        The command, for `subprocess`.
    """
    return [sys.executable, "-P", "-c", f"import sys\nsys.path[:] = {sys.path!r}\n{code}", *arguments]


def start(code: str) -> subprocess.Popen[bytes]:
    """Start a process with one thread for arithmetic, which the terminal's Ctrl-C does not reach.

    Parameters
    ----------
    code : str
        What it runs; it calls `serve`.

    Returns
    -------
    subprocess.Popen
        With pipes for `send` and `receive`.
    """
    apart: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
    variables = {**os.environ, **ONE_THREAD}
    return subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, **apart)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process at once; data not yet sent to it stays unsent."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
    process.wait()


def send(process: subprocess.Popen[bytes], value: Any) -> None:
    """Send one pickled object to a process; raises `OSError` if it died."""
    assert process.stdin is not None
    pickle.dump(value, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
    process.stdin.flush()


def receive(process: subprocess.Popen[bytes]) -> Any:
    """Receive one answer from a process; raises `EOFError` if it died."""
    assert process.stdout is not None
    return pickle.load(process.stdout)


def serve(answers: Callable[[Iterator[Any]], Iterable[Any]]) -> None:
    """Answer messages in a process that `start` started, until there are no more.

    When standard input closes, the process ends, even in the middle of an answer: nobody is left to read it.

    Parameters
    ----------
    answers : callable
        From an iterator of messages to their answers. When it ends, so does the process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, inbox), daemon=True).start()
    for answer in answers(iter(inbox.get, _NEVER)):
        pickle.dump(answer, results)
        results.flush()


_NEVER = object()


def _read(source: IO[bytes], inbox: queue.SimpleQueue[Any]) -> None:
    """Read what the process that started this one sends; when that ends, end too."""
    try:
        while True:
            inbox.put(pickle.load(source))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)
