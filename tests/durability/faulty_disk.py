"""A disk that fails, or a process that dies, at the n-th effect on files below a folder.

In: a folder, what happens, and at which effect. Out: the `os` module with its calls counted; how often it happened.
"""

import errno
import os
import signal
from contextlib import contextmanager

CALLS = ("open", "write", "fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "truncate", "ftruncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | getattr(os, "O_DIRECTORY", 0)


class Disk:
    """What was counted: the effects on files below `root`, and those at which something happened."""

    def __init__(self, root, happens, at, calls=CALLS):
        self.root, self.happens, self.at, self.calls = os.path.realpath(root), happens, at, calls
        self.real = {name: getattr(os, name) for name in CALLS}
        self.handles = set()
        self.effects = []
        self.happened = []

    def wrapped(self, name):
        real = self.real[name]

        def call(*arguments, **options):
            if not self.concerns(name, arguments, options):
                return real(*arguments, **options)
            if name in self.calls:
                self.effects.append(name)
                if len(self.effects) == self.at:
                    self.happened.append((name, str(arguments[0])))
                    arguments = self.happens(name, arguments, real)
            result = real(*arguments, **options)
            if name == "open":
                self.handles.add(result)
            return result

        return call

    def concerns(self, name, arguments, options):
        first = arguments[0]
        if options.get("dir_fd") is not None:
            return False
        if isinstance(first, int):
            return first in self.handles
        if name == "open" and not arguments[1] & WRITING:
            return False
        return os.path.abspath(os.fsdecode(first)).startswith(self.root)


@contextmanager
def disk(root, happens=None, at=0, calls=CALLS):
    """Count the effects below `root`; at the one with number `at`, `happens` is called."""
    counted = Disk(root, happens, at, calls)
    for name in CALLS:
        setattr(os, name, counted.wrapped(name))
    try:
        yield counted
    finally:
        for name, real in counted.real.items():
            setattr(os, name, real)


def fails(code):
    """The system says no."""

    def happens(name, arguments, real):
        raise OSError(code, os.strerror(code), arguments[0] if not isinstance(arguments[0], int) else None)

    happens.code = code
    return happens


def is_short(name, arguments, real):
    """A write takes half of the bytes; other calls work."""
    return (arguments[0], arguments[1][: (len(arguments[1]) + 1) // 2]) if name == "write" else arguments


is_short.code = None


def dies(name, arguments, real):
    """The process is killed, in the middle of the effect if that is a write."""
    if name == "write":
        real(arguments[0], arguments[1][: len(arguments[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


REFUSALS = {"EIO": fails(errno.EIO), "ENOSPC": fails(errno.ENOSPC), "EACCES": fails(errno.EACCES)}
HARMLESS = {"EINTR": fails(errno.EINTR), "short": is_short}
