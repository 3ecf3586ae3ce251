"""The worker process: each one is separate, so that one that dies loses one rung and nothing else.

In: the search's data, then tasks, on standard input from the process that started it. Out: results on standard output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chainrule.processes import serve
from chainrule.search.rungs import ProblemCache, RungResult, perform


def main() -> None:
    """Do rungs until there are no more tasks."""
    serve(_results)


def _results(messages: Iterator[Any]) -> Iterator[RungResult]:
    """Yield the result of each task; the first message is the data. An interrupted rung is the last."""
    cache = ProblemCache(next(messages))
    for task in messages:
        result = perform(cache, task)
        if result.interrupted:
            return
        yield result
