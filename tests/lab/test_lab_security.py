"""Why: the server of the lab trains with the user's rows; no page of another site and no other user may ask it anything.

In: every route, with a wrong or missing token, a foreign host or origin, and as a socket; bodies that a stranger would send.
Out: refusals, and nothing but sentences.
"""

import ast
import asyncio
import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from lab_cases import FILES, TOKEN, Caller, lab, raw, rows, served

import chainrule
from chainrule.lab import guard, wire
from chainrule.lab.page_files import page_files
from chainrule.lab.server import LARGEST_BODY, inner

CALLER = Caller()
ROUTES = [(route.path, method) for route in inner(CALLER.lab, FILES).routes for method in sorted(route.methods)]
API = [(path, method) for path, method in ROUTES if path not in FILES]
OPEN = [(path, method) for path, method in ROUTES if path in FILES]
PORT = CALLER.port


def test_there_are_routes_of_both_kinds():
    assert len(API) >= 14
    assert {path for path, _ in OPEN} == set(FILES)
    assert {method for _, method in API} == {"POST"}


FOREIGN = {
    "no host": {"host": None},
    "a foreign host": {"host": "example.com"},
    "a foreign host on this port": {"host": f"example.com:{PORT}"},
    "another port": {"host": f"127.0.0.1:{PORT + 1}"},
    "no port": {"host": "127.0.0.1"},
    "a name that begins like ours": {"host": f"127.0.0.1:{PORT}.example.com"},
    "a name that ends like ours": {"host": f"x127.0.0.1:{PORT}"},
    "another address of this machine": {"host": f"0.0.0.0:{PORT}"},
    "a foreign origin": {"origin": "http://example.com"},
    "a foreign origin with our port": {"origin": f"http://example.com:{PORT}"},
    "no origin to speak of": {"origin": "null"},
    "an origin of another port": {"origin": f"http://127.0.0.1:{PORT + 1}"},
    "an origin with TLS": {"origin": f"https://127.0.0.1:{PORT}"},
    "an origin of another name of ours": {"origin": f"http://localhost:{PORT}"},
    "another site": {"sec-fetch-site": "cross-site"},
    "the same site": {"sec-fetch-site": "same-site"},
    "a site of no known kind": {"sec-fetch-site": "friendly"},
    "an upgrade": {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-key": "x"},
}
NAMELESS = {
    "no token": {"authorization": None},
    "an empty token": {"authorization": ""},
    "no word before it": {"authorization": TOKEN},
    "another word before it": {"authorization": f"Basic {TOKEN}"},
    "a wrong token": {"authorization": f"Bearer {TOKEN[:-1]}x"},
    "a token that begins like ours": {"authorization": f"Bearer {TOKEN}x"},
    "a shorter token": {"authorization": f"Bearer {TOKEN[:-1]}"},
    "a token in the address": {"authorization": None, "x-token": TOKEN, "cookie": f"token={TOKEN}"},
    "letters beyond ASCII": {"authorization": "Bearer \u00e9".encode("latin-1")},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_every_route_refuses_a_stranger_even_one_with_the_token(name):
    for path, method in ROUTES:
        found = CALLER.request(method, path, FOREIGN[name], b"")
        assert found.status_code == 403, (path, method, found.status_code)
        assert method == "HEAD" or found.json()["error"]


@pytest.mark.parametrize("name", NAMELESS)
def test_every_command_wants_the_token(name):
    for path, method in API:
        found = CALLER.request(method, path + f"?token={TOKEN}", NAMELESS[name], b"")
        assert found.status_code == 401, (path, method, found.status_code)
        assert TOKEN not in found.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_want_the_token_too(method):
    for path, _ in API:
        assert CALLER.request(method, path, {"authorization": None}).status_code == 401
    for path, _ in OPEN:
        expected = (200,) if method in ("GET", "HEAD") else (401,)
        assert CALLER.request(method, path, {"authorization": None}).status_code in expected


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/none", "/docs", "/openapi.json", "/terminal/ws", "/api/run/x"])
def test_what_is_no_route_is_refused_before_it_is_looked_for(path):
    assert CALLER.request("GET", path, {"authorization": None}).status_code == 401
    assert CALLER.request("GET", path).status_code == 404


async def socket_answer(path, headers):
    """Return what the application sends to a WebSocket."""
    sent = []
    scope = {"type": "websocket", "path": path, "headers": headers, "scheme": "ws", "query_string": b""}

    async def receive():
        return {"type": "websocket.connect"}

    async def send(event):
        sent.append(event["type"])

    await CALLER.app(scope, receive, send)
    return sent


def test_every_route_refuses_a_socket_even_one_with_the_token():
    headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"authorization", f"Bearer {TOKEN}".encode())]
    for path, _ in [*ROUTES, ("/terminal/ws", "GET")]:
        assert asyncio.run(socket_answer(path, headers)) == ["websocket.close"]


def test_two_hosts_or_two_tokens_are_none():
    async def status(headers):
        sent = []

        async def send(event):
            sent.append(event)

        scope = {"type": "http", "method": "POST", "path": "/api/table", "raw_path": b"/api/table", "headers": headers}
        await CALLER.app(scope, None, send)
        return sent[0]["status"]

    host = (b"host", f"127.0.0.1:{PORT}".encode())
    token = (b"authorization", f"Bearer {TOKEN}".encode())
    assert asyncio.run(status([host, (b"host", b"example.com"), token])) == 403
    assert asyncio.run(status([host, host, token])) == 403
    assert asyncio.run(status([host, token, token])) == 401


def test_no_scope_of_another_kind_gets_an_answer():
    async def answer(kind):
        sent = []

        async def send(event):
            sent.append(event)

        await CALLER.app({"type": kind, "headers": []}, None, send)
        return sent

    assert asyncio.run(answer("webtransport")) == []


def test_every_response_carries_the_headers():
    for path, method in ROUTES:
        for headers in ({}, {"authorization": None}, {"host": "example.com"}):
            found = CALLER.request(method, path, headers, b"")
            for name, value in guard.HEADERS:
                assert found.headers.get_list(name.decode()) == [value.decode()], (path, headers, name)
            assert not [name for name in found.headers if name.startswith("access-control")]
            assert "server" not in found.headers
            assert "set-cookie" not in found.headers


def test_the_policy_allows_nothing_but_our_own_files():
    policy = dict(part.split(" ", 1) for part in dict(guard.HEADERS)[b"content-security-policy"].decode().split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in dict(guard.HEADERS)[b"content-security-policy"].decode()


def test_a_token_has_128_bits_and_is_new_each_time():
    tokens = {guard.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 22 for token in tokens)
    assert guard.TOKEN_BYTES * 8 == 128


def test_the_token_is_compared_in_constant_time():
    source = Path(guard.__file__).read_text()
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    assert "hmac.compare_digest" in calls
    compared = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
    assert not [node for node in compared if "_token" in ast.unparse(node)]


TRICKS = [
    "/../pyproject.toml",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc/passwd",
    "//etc/passwd",
    "/main.js/../../guard.py",
    "/main.js%00.html",
    "/./main.js",
    "/page/main.js",
    "/main.js/",
    "/MAIN.JS",
    "/\\..\\guard.py",
    "/file:///etc/passwd",
]


@pytest.mark.parametrize("path", TRICKS)
def test_paths_are_names_of_files_or_nothing(path):
    for token, expected in ((None, {401, 403}), (f"Bearer {TOKEN}", {404, 403})):
        found = raw_status(path, token)
        assert found in expected, path


def raw_status(path, token):
    """Return the status for a path that no client library has tidied."""

    async def run():
        sent = []

        async def send(event):
            sent.append(event)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        from urllib.parse import unquote

        headers = [(b"host", f"127.0.0.1:{PORT}".encode())]
        headers += [] if token is None else [(b"authorization", token.encode())]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", PORT),
        }
        await CALLER.app(scope, receive, send)
        return sent[0]["status"]

    return asyncio.run(run())


def test_files_are_those_of_the_page_and_read_once(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text('<meta name="trainer" content="wasm"><p>x')
    (tmp_path / "page" / "main.js").write_text("1")
    (tmp_path / "page" / "secret.py").write_text("2")
    (tmp_path / "page" / ".env.js").mkdir()
    (tmp_path / "outside.js").write_text("3")
    (tmp_path / "page" / "link.js").symlink_to(tmp_path / "outside.js")
    found = page_files(tmp_path / "page")
    assert set(found) == {"/", "/main.js"}
    assert found["/"].data == b'<meta name="trainer" content="remote"><p>x'


LARGE = 10**400
NUMBERS = [0, -1, 2**63, LARGE, 1.5, 1e308, None, True, "5", [5], {"a": 5}]


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: str(value)[:8])
def test_numbers_have_limits(value):
    number = CALLER.opened()
    for name, header in {
        "run": {"steps": value},
        "check": {"rows": value},
        "row": {"row": -1 if value == 0 else value},
        "examine": {"seconds": "x" if value == 1.5 else value},
        "table": {"seed": -1 if value in (0, None) else value},
    }.items():
        body = {"session": number, **header} if name != "table" else header
        if name in ("row", "table") and type(value) is int and value == 2**63:
            body = {**body, next(iter(header)): 2**63}
        if name == "examine" and value == 1.5:
            continue
        status, error = CALLER.fault(name, body)
        assert status == 400, (name, value)
        assert error.startswith("lab: "), error
        assert "\n" not in error
        assert len(error) < 800


WRONG = {
    "no recipe": None,
    "a list": [],
    "too many layers": {"hidden": [{"units": 1}] * 33},
    "a million units": {"hidden": [{"units": 10**6}]},
    "too many parameters": {"hidden": [{"units": 60_000}, {"units": 60_000}]},
    "no units": {"hidden": [{}]},
    "no such activation": {"hidden": [{"units": 3, "activation": "__class__"}]},
    "no such optimizer": {"optimizer": {"kind": "os.system"}},
    "an attribute": {"optimizer": {"kind": "adam", "__class__": 1}},
    "a setting out of range": {"optimizer": {"kind": "adam", "beta1": 2}},
    "a rate of NaN": {"optimizer": {"kind": "adam", "learning_rate": None}},
    "a huge rate": {"optimizer": {"kind": "adam", "learning_rate": 1e300}},
    "a huge seed": {"seed": LARGE},
    "a batch of nothing": {"batch_size": 0},
    "a batch of too much": {"batch_size": 10**6},
    "a batch of 1 with norm": {"batch_size": 1, "hidden": [{"units": 3, "batch_norm": True}]},
    "a penalty below 0": {"alpha": -1},
    "another task": {"task": "regression"},
    "no task at all": {"task": "anything"},
    "an initializer that is a list": {"init": ["he"]},
    "what is unknown": {"path": "/etc/passwd"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_recipe_is_right_or_refused_in_a_sentence(name):
    change = WRONG[name]
    plain = {**CALLER.lab.room.table().recipe.plain(), **change} if isinstance(change, dict) else change
    before = len(CALLER.lab.room.sessions)
    status, error = CALLER.fault("open", {"recipe": plain})
    assert status == 400
    assert "Traceback" not in error
    assert len(error) < 800
    assert len(CALLER.lab.room.sessions) == before


def broken_rows():
    header, arrays = rows()
    yield "NaN", header, {**arrays, "X": np.full((60, 2), np.nan)}
    yield "another number of targets", header, {**arrays, "y": arrays["y"][:5]}
    yield "no rows", header, {**arrays, "X": np.zeros((0, 2)), "y": np.zeros(0)}
    yield "a row beyond", header, {**arrays, "train": arrays["train"] + 10**6}
    yield "a row below", header, {**arrays, "train": arrays["train"] - 10**6}
    yield "a row twice", header, {**arrays, "train": np.zeros(50, np.int32)}
    yield "a class beyond", header, {**arrays, "y": arrays["y"] + 7}
    yield "half a class", header, {**arrays, "y": arrays["y"] + 0.5}
    yield "other names", header, {**arrays, "Z": arrays["X"]}
    yield "another type", header, {**arrays, "X": arrays["X"].astype(np.float32)}
    yield "columns without names", {**header, "columns": []}, arrays
    yield "columns that are numbers", {**header, "columns": [1, 2]}, arrays
    yield "too few columns", {**header, "columns": ["a"]}, arrays
    yield "one class", {**header, "classes": ["a"]}, arrays
    yield "a long name", {**header, "target": "x" * 10**5}, arrays
    yield "three classes for two", {**header, "classes": ["a", "b", "c"]}, arrays


BROKEN = {name: (header, arrays) for name, header, arrays in broken_rows()}


@pytest.mark.parametrize("name", BROKEN)
def test_rows_are_right_or_refused_in_a_sentence(name):
    header, arrays = BROKEN[name]
    recipe = {"task": "binary", "hidden": [{"units": 3}]}
    status, error = CALLER.fault("open", {"recipe": recipe, **header}, **arrays)
    assert status == 400
    assert "Traceback" not in error
    assert len(error) < 800


def test_a_snapshot_is_ours_or_refused():
    number = CALLER.opened()
    header, arrays = CALLER.ask("save", {"session": number})
    assert CALLER.ask("load", {"session": number, **header}, **arrays)[0]["step"] == 0
    wrong = {
        "another network": ({}, {"w": np.zeros(3, np.float32)}),
        "no numbers": ({}, {"w": np.full(len(arrays["w"]), np.nan, np.float32)}),
        "a step below 0": ({"step": -1}, {}),
        "a step beyond": ({"step": 2**60}, {}),
        "no steps in an epoch": ({"per_epoch": 0}, {}),
        "a step that is true": ({"step": True}, {}),
        "no snapshot": ({"kind": "x"}, {}),
        "sums of two": ({}, {"sums": np.zeros(2)}),
        "epochs of three figures": ({}, {"epochs": np.zeros((2, 3))}),
        "negative epochs": ({}, {"epochs": np.full((2, 9), -1.0)}),
        "vectors of another size": ({}, {"state m": np.zeros(3, np.float32)}),
    }
    for name, (change, more) in wrong.items():
        status, error = CALLER.fault("load", {"session": number, **header, **change}, **{**arrays, **more})
        assert status == 400, (name, error)
        assert "Traceback" not in error


BODIES = {
    "nothing": b"",
    "three bytes": b"abc",
    "a length beyond": (2**31).to_bytes(4, "little") + b"{}",
    "no JSON": (3).to_bytes(4, "little") + b"}{)",
    "a list": (2).to_bytes(4, "little") + b"[]",
    "NaN": (12).to_bytes(4, "little") + b'{"rows": NaN}',
    "deep": (200_002).to_bytes(4, "little") + b"[" * 100_001 + b"]" * 100_001,
    "half a character": (12).to_bytes(4, "little") + b'{"a": "\\ud8"}'[:12],
    "twice a name": (13).to_bytes(4, "little") + b'{"a":1,"a":2}',
    "arrays that are not there": wire.message({}, {"X": np.zeros(4)})[:-8],
    "more than its arrays": wire.message({}, {"X": np.zeros(4)}) + b"x",
    "a negative shape": (35).to_bytes(4, "little") + b'{"arrays": [["X", "float64", [-1]]]}'[:35],
    "an unknown type": (36).to_bytes(4, "little") + b'{"arrays": [["X", "object64", [1]]]}'[:36],
    "a shape of everything": json.dumps({"arrays": [["X", "float64", [2**30, 2**30]]]}).encode(),
    "arrays that are a number": json.dumps({"arrays": 7}).encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_bytes_that_are_no_message_are_refused_in_a_sentence(name):
    data = BODIES[name]
    data = data if not data.startswith(b'{"') else len(data).to_bytes(4, "little") + data
    for command in ("open", "check", "run", "outputs"):
        found = CALLER.request("POST", f"/api/{command}", body=data)
        assert found.status_code in (400, 404), (command, found.status_code)
        error = found.json()["error"]
        assert "Traceback" not in error
        assert "File " not in error
        assert len(error) < 800


def test_a_body_that_says_it_is_too_long_is_not_read():
    headers = {"content-length": str(LARGEST_BODY + 1)}
    found = CALLER.request("POST", "/api/open", headers, b"x")
    assert found.status_code == 413
    assert CALLER.request("POST", "/api/frame", {"content-length": str(3 * 2**20)}, b"x").status_code == 413
    assert CALLER.request("POST", "/api/frame", {"content-length": "-5"}, b"x").status_code == 413
    assert CALLER.request("POST", "/api/frame", {"content-length": "9" * 40}, b"x").status_code == 413


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off():
    sent = []

    async def run():
        async def receive():
            return {"type": "http.request", "body": bytes(2**20), "more_body": True}

        async def send(event):
            sent.append(event)

        headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"authorization", f"Bearer {TOKEN}".encode())]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/api/frame",
            "raw_path": b"/api/frame",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
        }
        await CALLER.app(scope, receive, send)

    asyncio.run(run())
    assert sent[0]["status"] == 413


def test_a_fault_of_ours_says_nothing_of_the_inside(monkeypatch, capsys):
    from chainrule.lab import commands, server

    def broken(running, header, arrays):
        raise KeyError("/home/me/secret")

    monkeypatch.setattr(server, "COMMANDS", {**commands.COMMANDS, "frame": broken})
    caller = Caller(CALLER.lab)
    status, error = caller.fault("frame", {"session": "x"})
    assert status == 500
    assert "secret" not in error
    assert "KeyError" in capsys.readouterr().err


def test_nothing_that_the_page_says_is_a_path():
    package = Path(chainrule.__file__).parent / "lab"
    for path in sorted(package.glob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {ast.unparse(node.func) for node in calls}
        assert not names & {"open", "os.open", "Path.write_bytes", "write_atomically", "load_model"}, path
        if path.name != "page_files.py":
            assert "Path" not in names, path


@pytest.fixture(scope="module")
def running():
    with served(lab()) as (server, port):
        yield server, port


def head(port, line, host=None, token=TOKEN, more=""):
    host = f"127.0.0.1:{port}" if host is None else host
    return f"{line}\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}Connection: close\r\n\r\n".encode()


LINES = {
    "an absolute address": lambda port: head(port, "GET http://example.com/api/table HTTP/1.1"),
    "an absolute address of ours": lambda port: head(port, f"POST http://127.0.0.1:{port}/api/table HTTP/1.1"),
    "a tunnel": lambda port: head(port, "CONNECT 127.0.0.1:22 HTTP/1.1"),
    "HTTP/1.0 without a host": lambda port: b"POST /api/table HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with the token alone": lambda port: (
        f"POST /api/table HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    ),
    "another host": lambda port: head(port, "POST /api/table HTTP/1.1", "rebound.example.com"),
    "an asterisk": lambda port: head(port, "OPTIONS * HTTP/1.1"),
    "a socket": lambda port: head(
        port,
        "GET / HTTP/1.1",
        more="Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ),
    "no token": lambda port: head(port, "POST /api/table HTTP/1.1", token=""),
    "a folded header": lambda port: head(port, "POST /api/table HTTP/1.1", more="X: a\r\n b: c\r\n", token="no"),
    "two lengths": lambda port: head(
        port, "POST /api/table HTTP/1.1", more="Content-Length: 5\r\nContent-Length: 6\r\n"
    ),
    "a length and chunks": lambda port: head(
        port, "POST /api/table HTTP/1.1", more="Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", token="no"
    ),
    "no HTTP": lambda port: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": lambda port: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", LINES)
def test_requests_off_the_wire_are_refused(running, name):
    port = running[1]
    found = raw(port, LINES[name](port))
    status = int(found.split(b" ")[1]) if found else 400
    assert status in (400, 401, 403, 404, 405), found[:200]
    assert b"Traceback" not in found
    assert TOKEN.encode() not in found


def test_the_server_listens_on_this_machine_only(running):
    place = running[0].servers[0].sockets[0] if running[0].servers else None
    assert place is None or place.getsockname()[0] == "127.0.0.1"
    with socket.socket() as outside, contextlib.suppress(OSError):
        name = socket.gethostbyname(socket.gethostname())
        if not name.startswith("127."):
            outside.settimeout(2)
            assert outside.connect_ex((name, running[1])) != 0


def test_a_slow_body_holds_up_nobody(running):
    port = running[1]
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
    try:
        for connection in slow:
            connection.sendall(head(port, "POST /api/open HTTP/1.1", more="Content-Length: 1000\r\n") + b"ab")
        began = time.monotonic()
        found = raw(port, head(port, "GET / HTTP/1.1", token="none"))
        assert found.startswith(b"HTTP/1.1 200")
        assert time.monotonic() - began < 10
    finally:
        for connection in slow:
            connection.close()


def test_a_body_that_never_ends_is_given_up(monkeypatch):
    from chainrule.lab import server

    monkeypatch.setattr(server, "_BODY_SECONDS", 0.2)
    with served(lab()) as (_, port):
        found = raw(port, head(port, "POST /api/open HTTP/1.1", more="Content-Length: 1000\r\n") + b"ab")
        assert found.startswith(b"HTTP/1.1 408")


def test_many_clients_at_once_are_answered_or_refused(running):
    port = running[1]
    statuses = []

    def one():
        found = raw(port, head(port, "GET /main.js HTTP/1.1"))
        statuses.append(found.split(b" ")[1] if found else b"")

    threads = [threading.Thread(target=one) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {b"200", b"503"}
    assert statuses.count(b"200") >= 15
