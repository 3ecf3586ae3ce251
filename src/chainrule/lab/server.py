"""The server of the lab: routes for the page's files, for commands, and for the two streams.

In: a lab, a token, a port. Out: an ASGI application behind its guard; a server that ends within a second.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from chainrule.errors import ChainruleError, InvalidValueError, MissingError, must_be
from chainrule.lab.commands import COMMANDS, Lab, number, only
from chainrule.lab.examination import Events, examine_session
from chainrule.lab.guard import App, Guard, Receive, Scope, Send, respond
from chainrule.lab.page_files import PageFile
from chainrule.lab.room import LabSession, Mailbox
from chainrule.lab.runs import RunRequest
from chainrule.lab.wire import framed, message, parsed

LARGEST_BODY = 64 * 2**20
"""Bytes of a request; a million rows of eight columns."""

_SMALL_BODY = 2 * 2**20
_LARGE = ("open", "outputs", "load")
"""Commands that bring arrays; all others take a small body."""

_BODY_SECONDS = 60.0
"""Time in which a body must be there."""

_MOST_CONNECTIONS = 64
_GRACE = 1
"""Seconds that open connections get when the server ends."""


class _Refused(Exception):
    """A request that ends with a status and a sentence."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


def application(lab: Lab, files: Mapping[str, PageFile], token: str, port: int) -> Guard:
    """Return the application behind its guard.

    Parameters
    ----------
    lab : Lab
        What the commands work with.
    files : mapping of str to PageFile
        The page.
    token : str
        What every request but those for the page's files must carry.
    port : int
        Port that the server listens on.

    Returns
    -------
    Guard
        The ASGI application; `routes` are those of the application inside.
    """
    return Guard(inner(lab, files), token, port, files)


def inner(lab: Lab, files: Mapping[str, PageFile]) -> App:
    """Return the application without its guard."""
    routes = [Route(address, _file(file), methods=["GET"]) for address, file in files.items()]
    routes += [Route(f"/api/{name}", _command(lab, name), methods=["POST"]) for name in COMMANDS]
    routes += [
        Route("/api/run", _run(lab), methods=["POST"]),
        Route("/api/examine", _examine(lab), methods=["POST"]),
    ]
    found = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})
    found.router.redirect_slashes = False
    return found


async def _not_found(request: Request, error: Exception) -> Response:
    return _Failure(getattr(error, "status_code", 404), "The lab has nothing there.")


class _Failure(Response):
    """One error as JSON."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(status_code=status)
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await respond(send, self.status_code, self.error, closing=self.status_code in (408, 413))


def _file(file: PageFile) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers={"etag": file.tag})
        return Response(file.data, media_type=file.kind, headers={"etag": file.tag})

    return answer


def failure_of(error: BaseException) -> tuple[int, str]:
    """Return the status and the sentence of an error; of one that is ours to correct, no more than that it happened.

    >>> failure_of(InvalidValueError("lab: rows must be 1, got 2."))
    (400, 'lab: rows must be 1, got 2.')
    """
    if isinstance(error, _Refused):
        return error.status, str(error)
    if isinstance(error, MissingError):
        return 404, str(error)
    if isinstance(error, ChainruleError):
        return 400, str(error)
    if isinstance(error, MemoryError):
        return 507, "The machine has too little memory for this."
    print(f"lab: {type(error).__name__}: {str(error)[:300]!r}", file=sys.stderr)
    return 500, "The lab failed at this. Its terminal says more."


async def _message(request: Request, largest: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a message within its time and size."""
    said = request.headers.get("content-length", "0")
    if not said.isdigit() or len(said) > 12 or int(said) > largest:
        raise _Refused(413, f"A request must be at most {largest:,} bytes long.")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > largest:
                    raise _Refused(413, f"A request must be at most {largest:,} bytes long.")
                parts.append(part)
    except TimeoutError:
        raise _Refused(408, "The request took too long to arrive.") from None
    return parsed(b"".join(parts)) if size else ({}, {})


def _command(lab: Lab, name: str) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            header, arrays = await _message(request, LARGEST_BODY if name in _LARGE else _SMALL_BODY)
            found = await asyncio.to_thread(lambda: message(*COMMANDS[name](lab, header, arrays)))
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            return _Failure(*failure_of(error))
        return Response(found, media_type="application/octet-stream")

    return answer


class Box(Protocol):
    """Where a thread puts what a stream sends."""

    @property
    def closed(self) -> bool:
        """Whether nothing follows."""

    def take(self) -> dict[str, Any] | None:
        """Return what is next, None if there is nothing yet; raise what ended the work."""


class _Stream(Response):
    """An answer that lasts as long as a thread works; the thread is stopped when the reader leaves."""

    media_type = "application/octet-stream"

    def __init__(self, make: Callable[[Callable[[], None]], Box], work: Callable[[Any, threading.Event], None]) -> None:
        super().__init__()
        self._make = make
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the thread, and send what it posts."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        left = threading.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ready.set)

        box = self._make(wake)
        threading.Thread(target=self._work, args=(box, left), daemon=True, name="lab training").start()
        leaving = asyncio.create_task(_leaves(receive))
        sending = asyncio.create_task(self._send(box, ready, send))
        try:
            await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.set()
            leaving.cancel()
            sending.cancel()
            await asyncio.gather(leaving, sending, return_exceptions=True)

    async def _send(self, box: Box, ready: asyncio.Event, send: Send) -> None:
        headers = [(b"content-type", b"application/octet-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            await ready.wait()
            ready.clear()
            while True:
                closed = box.closed
                try:
                    found = box.take()
                except BaseException as error:
                    found = {"error": failure_of(error)[1]}
                    closed = True
                if found is not None:
                    data = framed(message(found))
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                if closed and (found is None or "error" in found):
                    await send({"type": "http.response.body", "body": b""})
                    return
                if found is None:
                    break


async def _leaves(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _run(lab: Lab) -> Callable[[Request], Any]:
    """Return the stream of a training: frames until its steps are done or somebody stops it."""

    async def answer(request: Request) -> Response:
        try:
            header, _ = await _message(request, _SMALL_BODY)
            session = lab.room.get(header.get("session"))
            asked = _asked(session, header)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            return _Failure(*failure_of(error))
        return _Stream(Mailbox, lambda box, left: session.train(asked, box, left))

    return answer


def _asked(session: LabSession, header: Mapping[str, Any]) -> RunRequest:
    """Return what a checked message asks for; from here on a stop finds the run, before its thread has started."""
    only(header, "session", "steps", "epochs", "watched", "pace", "run")
    if ("steps" in header) == ("epochs" in header):
        raise InvalidValueError("lab: run must have steps or epochs, one of the two.")
    watched = header.get("watched", True)
    if not isinstance(watched, bool):
        raise InvalidValueError(must_be("lab", "watched", "true or false", watched))
    amount = number(header, "steps" if "steps" in header else "epochs")
    steps = amount if "steps" in header else session.live.steps_to(amount)
    pace = number(header, "pace", 0) / 1000
    own = number(header, "run") if header.get("run") is not None else None
    return RunRequest(session.runs.begin(own), steps, watched, pace)


def _examine(lab: Lab) -> Callable[[Request], Any]:
    """Return the stream of an examination: points of trials as they run, then the report."""

    async def answer(request: Request) -> Response:
        try:
            header, _ = await _message(request, _SMALL_BODY)
            only(header, "session", "seconds")
            session = lab.room.get(header.get("session"))
            seconds = number(header, "seconds", 60)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            return _Failure(*failure_of(error))

        def work(box: Events, left: threading.Event) -> None:
            try:
                examine_session(session, box.post, lambda: left.is_set() or lab.room.ending.is_set(), seconds)
                box.close()
            except BaseException as error:
                box.close(error)

        return _Stream(Events, work)

    return answer


class LabServer(uvicorn.Server):
    """A server that stops its trainings when a signal ends it."""

    def __init__(self, app: App, lab: Lab) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._lab = lab

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop the trainings, then the server."""
        self._lab.room.end()
        super().handle_exit(sig, frame)


def listening(port: int) -> socket.socket:
    """Return a socket that listens on this machine only.

    Parameters
    ----------
    port : int
        The port; 0 takes a free one.

    Returns
    -------
    socket

    Raises
    ------
    InvalidValueError
        For a port that is taken or not allowed.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.bind(("127.0.0.1", port))
        found.listen(128)
    except OSError as error:
        found.close()
        hint = f"{error.strerror}. Without --port a free one is taken."
        raise InvalidValueError(must_be("lab", "--port", "free", port, hint)) from None
    return found
