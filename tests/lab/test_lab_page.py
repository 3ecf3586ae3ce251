"""Why: the page and the server are written apart; here a browser opens the lab as a user does.

In: `chainrule lab iris` in a folder, a headless Chromium where there is one. Out: a training on the server, drawn;
rewinding, trials, a run folder; a console without a word.
"""

import json

import pytest

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from browser import BROWSER, Page, chromium
from lab_process import ended, started

from chainrule.io import load_model

READY = "!document.getElementById('main').hidden && document.getElementById('engine').textContent.includes('Engine')"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]


def test_a_table_is_trained_rewound_examined_and_kept_in_a_browser(tmp_path):
    process, address = started(tmp_path, "iris", "--hidden", "6", "--lr", "0.001", "--epochs", "12")
    with chromium(tmp_path / "profile") as wire:
        page = Page(wire)
        page.open(address)
        page.wait(READY, 120)
        assert "token" not in page.run("location.href")
        assert page.run("document.getElementById('rate').value") == "0.001"
        assert page.run("document.querySelector('input[name=toy]:checked').value") == "lab"
        page.run("document.getElementById('train').click()")
        page.wait("document.getElementById('now-epoch').textContent === '12'", 120)
        first = page.run("document.getElementById('now-loss').textContent")
        page.wait("document.getElementById('train').textContent === 'Train'")
        page.wait("document.getElementById('command').textContent.startsWith('chainrule train iris --hidden 6')")
        scrub = "document.getElementById('scrub')"
        page.run(f"{scrub}.value = 4, {scrub}.dispatchEvent(new Event('input'))")
        page.wait("document.getElementById('now-epoch').textContent === '4'")
        assert page.run("document.getElementById('now-loss').textContent") != first
        page.run("document.getElementById('train').click()")
        page.wait("document.getElementById('now-epoch').textContent === '12'", 120)
        assert page.run("document.getElementById('now-loss').textContent") == first
        page.wait("document.getElementById('train').textContent === 'Train'")
        button = "[...document.querySelectorAll('button')].find((each) => each.textContent === {})"
        page.run(button.format(json.dumps("Test remedies")) + ".click()")
        page.wait("document.querySelectorAll('[aria-label=Trials] polyline').length > 0", 120)
        page.wait(button.format(json.dumps("Test remedies")) + " !== undefined", 120)
        assert page.run("document.querySelector('[aria-label=Trials]').textContent").count("held-out loss") >= 1
        page.run(button.format(json.dumps("Keep this run")) + ".click()")
        page.wait("document.body.textContent.includes('Kept in runs/iris-1')", 120)
        assert page.said() == []
        assert page.run("document.getElementById('fault').hidden") is True
        page.close()
    out, code = ended(process)
    assert code == 0, out
    assert load_model(tmp_path / "runs" / "iris-1" / "model.safetensors").net.widths[1] == 6


def test_toys_and_rows_of_the_page_train_on_the_server_too(tmp_path):
    process, address = started(tmp_path)
    with chromium(tmp_path / "profile") as wire:
        page = Page(wire)
        page.open(address)
        page.wait(READY, 120)
        assert page.run("document.querySelectorAll('input[name=toy]').length") == 8
        page.run("document.getElementById('epoch').click()")
        page.wait("document.getElementById('now-epoch').textContent === '1'")
        page.run("document.querySelector('input[value=sine]').click()")
        page.wait("document.getElementById('name-score').textContent === 'R²'")
        page.run("document.getElementById('epoch').click()")
        page.wait("document.getElementById('now-epoch').textContent === '1'")
        assert page.said() == []
        page.close()
    assert ended(process)[1] == 0
    assert not (tmp_path / "runs").exists()


def test_a_lab_that_ends_while_it_trains_is_one_sentence_on_its_page(tmp_path):
    process, address = started(tmp_path, "digits", "--hidden", "64,64")
    with chromium(tmp_path / "profile") as wire:
        page = Page(wire)
        page.open(address)
        page.wait(READY, 120)
        page.run("document.getElementById('train').click()")
        page.wait("document.getElementById('now-epoch').textContent !== '0'")
        process.kill()
        process.communicate()
        page.wait("document.getElementById('fault').textContent.startsWith('The lab does not answer.')")
        page.wait("document.getElementById('train').textContent === 'Train'")
        page.close()


def test_an_address_without_the_token_says_what_to_do(tmp_path):
    process, address = started(tmp_path, "iris")
    with chromium(tmp_path / "profile") as wire:
        page = Page(wire)
        page.open(address.split("#")[0])
        page.wait("document.getElementById('fault').textContent.includes('token')", 120)
        page.close()
    assert ended(process)[1] == 0
