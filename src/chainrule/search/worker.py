"""Why: a worker is a process of its own, so that one that dies takes one rung with it and nothing else.

In: a problem, then work, pickled, on standard input from the process that started it. Out: outcomes on standard output.
When standard input ends, so does the worker, in the middle of a rung too: nobody is left to hear of it.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from typing import IO, Any

from chainrule.search.rungs import JobCache, perform


def main() -> None:
    """Serve until there is no more work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, inbox), daemon=True).start()
    bench = JobCache(inbox.get())
    while True:
        outcome = perform(bench, inbox.get())
        if outcome.interrupted:
            return
        pickle.dump(outcome, answers)
        answers.flush()


def _read(source: IO[bytes], inbox: queue.SimpleQueue[Any]) -> None:
    """Take what comes, from the process that started this one; its end is this one's end."""
    try:
        while True:
            inbox.put(pickle.load(source))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


if __name__ == "__main__":
    main()
