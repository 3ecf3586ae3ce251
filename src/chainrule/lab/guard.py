"""One wrapper around the whole server, which refuses what it does not know before anything else sees it.

A page of any other site can send requests to this machine, and a name that a stranger owns can be made to point to it. So
a request must name this machine as its host, come from this page or from none, and carry the token that only the printed
address holds. What is not mentioned is refused: a route that is added later is guarded like the others.

In: an ASGI application. Out: the same, for the holder of the token on this machine.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), usb=()"),
    (b"cache-control", b"no-store"),
)
"""Headers of every response."""

TOKEN_BYTES = 16
"""128 bits, which nobody guesses."""


def new_token() -> str:
    """Return a token for one run of the lab."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guard:
    """The wrapper.

    Parameters
    ----------
    app : callable
        The ASGI application.
    token : str
        What requests must carry.
    port : int
        Port that the server listens on.
    open_paths : collection of str
        Paths of the page's files, which anybody on this machine may read: they hold nothing of the user's.
    """

    def __init__(self, app: App, token: str, port: int, open_paths: Collection[str]) -> None:
        self._app = app
        self._token = f"Bearer {token}".encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost", "[::1]")}
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await _refuse_socket(scope, send)
            return
        status, why = self._refusal(scope)
        if status:
            await respond(send, status, why, closing=True)
            return

        async def guarded(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                own = {name for name, _ in HEADERS}
                kept = [pair for pair in event.get("headers", ()) if pair[0].lower() not in own]
                event = {**event, "headers": [*kept, *HEADERS]}
            await send(event)

        await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        """Return the status and the reason of a refusal; 0 where there is none."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 403, "The lab answers this machine only, under the address that it printed."
        if any(origin != b"http://" + hosts[0].lower() for origin in headers.get(b"origin", [])):
            return 403, "The lab answers its own page only."
        if any(site not in (b"same-origin", b"none") for site in headers.get(b"sec-fetch-site", [])):
            return 403, "The lab answers its own page only."
        if b"upgrade" in headers:
            return 403, "The lab has no sockets."
        path = scope["path"]
        raw = scope.get("raw_path") or path.encode()
        if not raw.startswith(b"/"):
            return 403, "The lab takes paths, not addresses."
        if path in self._open and scope["method"] in ("GET", "HEAD"):
            return 0, ""
        given = headers.get(b"authorization", [])
        if len(given) != 1 or not hmac.compare_digest(given[0], self._token):
            return 401, "The token is missing or wrong: open the address that `chainrule lab` printed."
        return 0, ""


async def _refuse_socket(scope: Scope, send: Send) -> None:
    """Refuse a WebSocket before it is accepted, which is a 403; say nothing to what is unknown."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "The lab has no sockets."})


async def respond(send: Send, status: int, error: str, closing: bool = False) -> None:
    """Send one error as JSON, with the headers of every response."""
    body = json.dumps({"error": error}).encode()
    headers = [
        *HEADERS,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *([(b"connection", b"close")] if closing else []),
        *([(b"www-authenticate", b"Bearer")] if status == 401 else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
