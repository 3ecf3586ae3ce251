"""Why: tests of the lab need rows, a served lab, and messages as the page sends them.

In: nothing. Out: subjects, an application behind its guard, requests against it, a server in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import httpx
import numpy as np

from chainrule.data import load, three_way
from chainrule.lab.commands import Lab
from chainrule.lab.page_files import PageFile
from chainrule.lab.room import Room
from chainrule.lab.server import LabServer, application, listening
from chainrule.lab.subject import Subject
from chainrule.lab.wire import message, parsed
from chainrule.pipeline import Settings, build_problem

TOKEN = "a-token-of-the-tests"
FILES = {
    "/": PageFile(b"<!DOCTYPE html><title>lab</title>", "text/html; charset=utf-8", '"1"'),
    "/main.js": PageFile(b"export {};", "text/javascript; charset=utf-8", '"2"'),
}


def subject(name="iris", **options):
    """Rows of a built-in set as the command line would bring them."""
    parts = three_way(load(name), 0.2, 0.2, 0)
    settings = Settings(**{"hidden_layer_sizes": (8,), "learning_rate_init": 0.01, **options})
    problem = build_problem(settings, parts)
    held = parts.validation
    return Subject(
        name, settings, problem, (parts.train.X, parts.train.y), (held.X, held.y), test_rows=len(parts.test.y)
    )


def lab(of=None, keep=None):
    return Lab(Room(subject() if of is None else of), keep)


class Caller:
    """Sends requests to an application without a network."""

    def __init__(self, running=None, port=4321):
        self.lab = lab() if running is None else running
        self.port = port
        self.app = application(self.lab, FILES, TOKEN, port)

    def request(self, method, path, headers=None, body=b"", **more):
        """Return the response to one request; headers replace the usual ones, None leaves one out."""
        usual = {"host": f"127.0.0.1:{self.port}", "authorization": f"Bearer {TOKEN}"}
        merged = {k: v for k, v in {**usual, **(headers or {})}.items() if v is not None}

        async def run():
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{self.port}") as client:
                request = client.build_request(method, path, headers=merged, content=body, **more)
                for name in [name for name, value in (headers or {}).items() if value is None]:
                    if name in request.headers:
                        del request.headers[name]
                return await client.send(request)

        return asyncio.run(run())

    def ask(self, name, header=None, **arrays):
        """Return header and arrays of a command's answer."""
        found = self.request("POST", f"/api/{name}", body=message(header or {}, arrays))
        assert found.status_code == 200, found.text
        return parsed(found.content)

    def fault(self, name, header=None, **arrays):
        """Return the status and the sentence of a command that is refused."""
        found = self.request("POST", f"/api/{name}", body=message(header or {}, arrays))
        return found.status_code, found.json()["error"]

    def stream(self, name, header):
        """Return all messages of a stream."""
        found = self.request("POST", f"/api/{name}", body=message(header))
        assert found.status_code == 200, found.text
        return [parsed(each)[0] for each in split(found.content)]

    def opened(self, **recipe):
        """Open a training and return its number."""
        plain = {**self.lab.room.table().recipe.plain(), **recipe}
        return self.ask("open", {"recipe": plain})[0]["session"]


def split(data):
    """Return the messages of a stream."""
    found = []
    while data:
        length = int.from_bytes(data[:4], "little")
        found.append(data[4 : 4 + length])
        assert len(found[-1]) == length
        data = data[4 + length :]
    return found


def rows(n=60, classes=2, seed=0):
    """Return rows as the page sends them: header and arrays."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    y = (np.arange(n) % classes).astype(np.float64) if classes else X.sum(axis=1)
    arrays = {
        "X": X,
        "y": y,
        "train": np.arange(0, n - 10, dtype=np.int32),
        "validation": np.arange(n - 10, n, dtype=np.int32),
    }
    names = [f"c{k}" for k in range(classes)] if classes else None
    return {"columns": ["a", "b"], "target": "t", "classes": names}, arrays


@contextlib.contextmanager
def served(running=None):
    """A lab on a port of its own, in a thread; yields the server and its port."""
    running = lab() if running is None else running
    place = listening(0)
    port = place.getsockname()[1]
    server = LabServer(application(running, FILES, TOKEN, port), running)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield server, port
    finally:
        running.room.end()
        server.should_exit = True
        thread.join(30)
        place.close()


def raw(port, data, seconds=20.0, shut=False):
    """Send bytes as they are, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65536):
                found += part
        return found
