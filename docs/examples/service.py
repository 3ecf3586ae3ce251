"""A service that predicts rows of a table: POST /predict takes a row or a list of rows, GET /health says that it runs."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chainrule import load_model
from chainrule.errors import ChainruleError
from chainrule.io.json_text import parse
from chainrule.table_model import TableModel

MODEL = load_model(os.environ.get("MODEL", "model.safetensors"))
if not isinstance(MODEL, TableModel):
    raise SystemExit("service: the model must have been trained on a table")
MODEL.predict(dict.fromkeys(MODEL.feature_names))
MOST_ROWS, MOST_BYTES = 1000, 1_000_000


def answer(rows: list[Any]) -> list[dict[str, Any]]:
    """Return an answer for each row; where one of them is bad, each is read alone."""
    try:
        found = [{"prediction": each} for each in MODEL.predict(rows).tolist()]
        if MODEL.classes is not None:
            for each, shares in zip(found, MODEL.probabilities(rows).tolist(), strict=True):
                each["probabilities"] = shares
        return found
    except ChainruleError as error:
        if len(rows) == 1:
            return [{"error": " ".join(str(error).split())}]
        return [answer([row])[0] for row in rows]


def fault(row: Any) -> str | None:
    """Return what is wrong with the form of a row, None if nothing is."""
    if not isinstance(row, dict):
        return "a row must be an object of cells by column"
    missing = [name for name in MODEL.feature_names if name not in row]
    if missing:
        return f"a row must have a column {missing[0]!r}"
    if any(isinstance(cell, dict | list) for cell in row.values()):
        return "a cell must be a number, a text, true, false or null"
    return None


async def batches(queue: asyncio.Queue[Any]) -> None:
    """Answer all rows that wait, in one call of the model; those that come meanwhile are the next batch."""
    while True:
        waiting = [await queue.get()]
        while not queue.empty() and len(waiting) < MOST_ROWS:
            waiting.append(queue.get_nowait())
        try:
            found = await asyncio.to_thread(answer, [row for row, _ in waiting])
        except Exception as error:  # a fault of the program: status 500, and the service goes on
            found = [error] * len(waiting)
        for (_, future), each in zip(waiting, found, strict=True):
            if future.done():
                continue
            if isinstance(each, Exception):
                future.set_exception(each)
            else:
                future.set_result(each)


async def predict(request: Request) -> JSONResponse:
    """Answer the rows of a request."""
    if int(request.headers.get("content-length", MOST_BYTES + 1)) > MOST_BYTES:
        return JSONResponse({"error": f"the body must have at most {MOST_BYTES:,} bytes"}, 413)
    try:
        given = parse("body", await request.body())
    except ChainruleError as error:
        return JSONResponse({"error": str(error)}, 422)
    rows = given if isinstance(given, list) else [given]
    if len(rows) > MOST_ROWS:
        return JSONResponse({"error": f"a request must have at most {MOST_ROWS:,} rows"}, 413)
    answers = await asyncio.gather(*(waited(request.app.state.queue, row) for row in rows))
    if isinstance(given, list):
        return JSONResponse(list(answers))
    return JSONResponse(answers[0], 422 if "error" in answers[0] else 200)


async def waited(queue: asyncio.Queue[Any], row: Any) -> dict[str, Any]:
    """Return the answer for one row, when its batch is done."""
    wrong = fault(row)
    if wrong is not None:
        return {"error": wrong}
    future = asyncio.get_running_loop().create_future()
    await queue.put((row, future))
    return await future


async def health(request: Request) -> JSONResponse:
    """Say that the service runs and what it predicts."""
    return JSONResponse({"status": "ok", "predicts": MODEL.target_name})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Answer batches as long as the service runs; requests that are open at the end are answered before."""
    app.state.queue = asyncio.Queue()
    worker = asyncio.create_task(batches(app.state.queue))
    yield
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker


routes = [
    Route("/predict", predict, methods=["POST"]),
    Route("/health", health),
]
app = Starlette(routes=routes, lifespan=lifespan)
