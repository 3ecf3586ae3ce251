"""Why: one browser serves all tests of the page, with a small trainer in place of the engine that needs a compiler.

In: the page as the site has it. Out: its address; tabs that are listened to.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from browser import BROWSER, Page, chromium, site

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "docs" / "tools"))

import playground_page  # noqa: E402

READY = "document.getElementById('now-loss').textContent !== '–' && document.querySelectorAll('#chain li').length > 0"


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The playground of the site, on a trainer in plain JavaScript."""
    engine = tmp_path_factory.mktemp("engine")
    shutil.copy(HERE / "fake_trainer.js", engine / "trainer.js")
    folder = tmp_path_factory.mktemp("site")
    playground_page.write(folder, engine)
    with site(folder) as url:
        yield url


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
        page.open(address + (f"#{fragment}" if fragment else ""))
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
