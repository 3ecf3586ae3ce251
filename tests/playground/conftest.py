"""Why: one browser serves all tests of the page, which drive it on a small trainer and on the engine that needs a compiler.

In: the page as the site has it. Out: its address with each engine; tabs that are listened to.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from browser import BROWSER, Page, chromium, site
from lab.lab_process import ended, started
from playground.wasm_cases import builder

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "docs" / "tools"))

import playground_page  # noqa: E402

READY = "document.getElementById('now-loss').textContent !== '–' && document.querySelectorAll('#chain li').length > 0"


@pytest.fixture(scope="session")
def wasm(tmp_path_factory):
    """The compiled engine: the file that CHAINRULE_WASM names, or one that is built here."""
    given = os.environ.get("CHAINRULE_WASM")
    if given is None and builder().why_not():
        pytest.skip(builder().why_not())
    return Path(given) if given else builder().build(tmp_path_factory.mktemp("wasm"))


@pytest.fixture(scope="session")
def engine(request, tmp_path_factory):
    """A folder with an engine: a trainer in plain JavaScript, or the compiled one for "wasm"; None for that of "lab"."""
    kind = getattr(request, "param", "fake")
    if kind == "lab":
        return None
    folder = tmp_path_factory.mktemp("engine")
    if kind == "fake":
        shutil.copy(HERE / "fake_trainer.js", folder / "trainer.js")
    else:
        shutil.copy(request.getfixturevalue("wasm"), folder / "chainrule.wasm")
    return folder


@pytest.fixture(scope="session")
def address(engine, tmp_path_factory):
    """The playground of the site with either engine, or the page of `chainrule lab`, which has the native one."""
    folder = tmp_path_factory.mktemp("site")
    if engine is None:
        pytest.importorskip("starlette", reason="starlette is not installed")
        pytest.importorskip("uvicorn", reason="uvicorn is not installed")
        process, url = started(folder)
        yield url
        out, code = ended(process)
        assert code == 0, out
        return
    playground_page.write(folder, engine)
    with site(folder) as url:
        yield url


def linked(address, fragment):
    """Return the address with a fragment; that of the lab has its token there."""
    if not fragment:
        return address
    return f"{address}{'&' if '#' in address else '#'}{fragment}"


@pytest.fixture(scope="session")
def wire(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with chromium(tmp_path_factory.mktemp("profile")) as wire:
        yield wire


@pytest.fixture
def tab(wire, address):
    """Open the page with a fragment and options of the tab; at the end nothing may stand on a console."""
    tabs = []

    def opened(fragment="", ready=True, **options):
        page = Page(wire, **options)
        tabs.append(page)
        page.open(linked(address, fragment))
        if ready:
            page.wait(READY)
        return page

    yield opened
    said = [each for page in tabs for each in page.said()]
    for page in tabs:
        page.close()
    assert said == []


@pytest.fixture(scope="module")
def shared(wire, address):
    """One page for tests that leave it usable; its console is read at the end."""
    page = Page(wire)
    page.open(address)
    page.wait(READY)
    yield page
    assert page.said() == []
    page.close()
