"""Drive a headless Chromium through its DevTools protocol over two pipes, and serve folders to it as a site would.

In: a folder of pages. Out: a page that tests open, press keys on, ask questions of and listen to.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import functools
import json
import os
import select
import shutil
import subprocess
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; worker-src 'self'"
)
KEYS = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Space": ("Space", 32, " "),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Home": ("Home", 36, ""),
}


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012
        "": "application/octet-stream",
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".wasm": "application/wasm",
    }

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *words):
        pass


@contextlib.contextmanager
def site(folder):
    """The address of a folder, served on this machine with a strict policy."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def chromium(profile):
    """A running browser that answers over its pipes."""
    commands_in, commands_out = _pipe()
    answers_in, answers_out = _pipe()
    words = [BROWSER, *QUIET, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    script = f'exec "$@" 3<&{commands_in} 4>&{answers_out}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *words],
        pass_fds=(commands_in, answers_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_in)
    os.close(answers_out)
    wire = Wire(commands_out, answers_in)
    try:
        yield wire
    finally:
        with contextlib.suppress(Exception):
            wire.ask("Browser.close")
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands_out)
        os.close(answers_in)


def _pipe():
    """Both ends of a pipe, above the two numbers that the browser wants for itself."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high


class Wire:
    """Commands out, answers and events in, each a JSON text with a zero byte behind it."""

    def __init__(self, out, into):
        self.out, self.into = out, into
        self.number, self.rest = 0, b""
        self.ready, self.events = [], []

    def ask(self, method, session=None, timeout=120.0, **values):
        self.number += 1
        message = {"id": self.number, "method": method, "params": values} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data) :]
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            answer = self.next(until)
            if answer and answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if answer:
                self.events.append(answer)
        raise TimeoutError(method)

    def next(self, until):
        while not self.ready:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                return None
            data = os.read(self.into, 1 << 20)
            assert data, "the browser ended"
            *whole, self.rest = (self.rest + data).split(b"\0")
            self.ready += map(json.loads, whole)
        return self.ready.pop(0)


class Page:
    """One tab: opened, measured, pressed, listened to."""

    def __init__(self, wire, width=1280, height=900, dark=False, reduced=False):
        self.wire = wire
        target = wire.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = wire.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.target = target
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.ask(f"{domain}.enable")
        phone = width < 600
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"},
        ]
        self.ask("Emulation.setEmulatedMedia", features=features)

    def ask(self, method, **values):
        return self.wire.ask(method, session=self.session, **values)

    def open(self, address):
        self.ask("Page.navigate", url="about:blank")  # a new fragment alone would not load the page again
        self.ask("Page.navigate", url=address)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def close(self):
        self.wire.ask("Target.closeTarget", targetId=self.target)

    def run(self, script):
        """What an expression is, in the page."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script, seconds=120.0):
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if value := self.run(script):
                return value
            time.sleep(0.03)
        raise TimeoutError(f"{script}\n{self.run('document.body.innerText.slice(0, 1500)')}\n{self.said()}")

    def press(self, *keys, shift=False):
        for key in keys:
            code, number, text = KEYS.get(key, (key, ord(key.upper()[0]), key))
            name = " " if key == "Space" else key
            values = {"code": code, "key": name, "windowsVirtualKeyCode": number, "modifiers": 8 * shift}
            self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **values)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **values)

    def said(self):
        """Everything on the console: messages, exceptions, refusals of the policy."""
        self.run("1")
        mine = [event for event in self.wire.events if event.get("sessionId") == self.session]
        kinds = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [event["params"] for event in mine if event["method"] in kinds]

    def picture(self, path, whole=True):
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"] if whole else None
        clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}} if size else {}
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip)["data"]
        path.write_bytes(base64.b64decode(data))
