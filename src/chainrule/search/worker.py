"""The worker process: each one is separate, so that one that dies loses one rung and nothing else.

In: the search's data, then tasks, pickled, on standard input from the process that started it. Out: results on standard
output. When standard input closes, the worker ends, even in the middle of a rung: nobody is left to read the result.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from typing import IO, Any

from chainrule.search.rungs import ProblemCache, perform


def main() -> None:
    """Do rungs until there are no more tasks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, inbox), daemon=True).start()
    cache = ProblemCache(inbox.get())
    while True:
        result = perform(cache, inbox.get())
        if result.interrupted:
            return
        pickle.dump(result, results)
        results.flush()


def _read(source: IO[bytes], inbox: queue.SimpleQueue[Any]) -> None:
    """Read what the process that started this one sends; when that ends, end too."""
    try:
        while True:
            inbox.put(pickle.load(source))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


if __name__ == "__main__":
    main()
