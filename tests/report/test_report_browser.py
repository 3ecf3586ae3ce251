"""Why: what a parser accepts a browser may still complain about; here a browser opens the pages and is listened to.

In: pages of hostile records, a headless Chromium where there is one. Out: its console, its requests, what it made of them.
"""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from page_records import HOSTILE, case, finding, report
from table_content import classification, many_columns, regression

from chainrule.report.compare import RecordedRun, compare_page
from chainrule.report.page import doctor_page, table_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # what the browser wants for itself leads nowhere
]
REQUEST = re.compile(r'"initiator":"([^"]*)".*?"url":"((?:https?|wss?|ftp)://[^"]*)"')
"""A request in the browser's log of the network: who asked (the browser itself is no origin), and for what."""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def pages():
    of = case((HOSTILE, "b", "c"), inputs=64)
    runs = [
        RecordedRun(
            name,
            {"alpha": 0.1},
            {"test": {"accuracy": 0.5}},
            [{"epoch": 1, "train_loss": 1.0}, {"epoch": 2, "train_loss": 0.5}],
        )
        for name in ("a", HOSTILE)
    ]
    return {
        "doctor": doctor_page(report(of, [finding(title=HOSTILE)]), HOSTILE),
        "amounts": doctor_page(report(case(None, 5), [])),
        "compare": compare_page(runs),
        "table of classes": table_page(replace(classification(classes=(HOSTILE, "b")), columns=many_columns())),
        "table of values": table_page(replace(regression(), title=HOSTILE)),
    }


def opened(tmp_path, name, text, *options):
    """The page as the browser has it, and what the browser says while it opens it."""
    path = tmp_path / f"{name}.html"
    path.write_text(text, encoding="utf-8")
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            BROWSER,
            *QUIET,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--v=0",
            f"--log-net-log={log}",
            *options,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr, log.read_text(encoding="utf-8", errors="replace")


def asked(requests):
    """What the page, and not the browser for itself, asked the network for."""
    return [url for who, url in REQUEST.findall(requests) if who != "not an origin"]


@pytest.mark.parametrize("name", ["doctor", "amounts", "compare", "table of classes", "table of values"])
def test_a_browser_finds_no_fault_and_asks_nobody(tmp_path, name):
    dom, said, requests = opened(tmp_path, name, pages()[name])
    assert "CONSOLE" not in said, said
    assert asked(requests) == []
    assert dom.count("<svg") == pages()[name].count("<svg")
    assert "<script" not in dom


def test_a_fault_would_be_heard(tmp_path):
    text = pages()["amounts"].replace("</main>", '<img src="http://127.0.0.1:9/x.png" alt=""><script>1</script></main>')
    _, said, _ = opened(tmp_path, "bad", text)
    assert "CONSOLE" in said
    assert "Content Security Policy" in said


def test_a_request_would_be_seen(tmp_path):
    text = '<!DOCTYPE html><title>x</title><img src="http://127.0.0.1:9/x.png" alt="">'
    assert asked(opened(tmp_path, "asks", text)[2]) == ["http://127.0.0.1:9/x.png"]


WIDER = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script>"


@pytest.mark.parametrize("name", ["doctor", "table of classes", "table of values"])
@pytest.mark.parametrize("width", [500, 1400])
def test_nothing_stands_out_at_the_side(tmp_path, name, width):
    text = (
        pages()[name]
        .replace("default-src &#x27;none&#x27;", "script-src &#x27;unsafe-inline&#x27;")
        .replace("</body>", f"{WIDER}</body>")
    )
    dom, _, _ = opened(tmp_path, "wide", text, f"--window-size={width},900")
    inside, window = map(int, re.search(r"<title>(\d+) of (\d+)</title>", dom).groups())
    assert inside <= window
