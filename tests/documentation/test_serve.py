"""Why: people copy the service of a page into production, so it must take whatever is sent to it.

In: requests, good and bad, alone and many at once. Out: answers as the model gives them; one line for each fault; a graceful
end; a container file without a slip.
"""

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pack_cases import pack_of, schema_of, table

from chainrule.io import save_model
from chainrule.table_model import TableModel

pytest.importorskip("starlette", reason="starlette is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "docs" / "examples" / "service.py"
CONTAINER = ROOT / "docs" / "examples" / "Containerfile"
MODEL = TableModel(schema_of(), pack_of())
ROWS = [
    {key: str(cell) if key == "since" else cell for key, cell in row.items()} for row in table().drop("y").to_dicts()
]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "model.safetensors"
    save_model(MODEL, path)
    return path


def loaded(path):
    """Import the service with a model file, as uvicorn does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL", str(path))
        spec = importlib.util.spec_from_file_location("service", SERVICE)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def asked(service, *bodies, path="/predict"):
    """Send requests that arrive together; return their responses in order."""

    async def run():
        transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
        async with service.lifespan(service.app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await asyncio.gather(
                *(client.post(path, content=body if isinstance(body, bytes) else json.dumps(body)) for body in bodies)
            )

    return asyncio.run(run())


@pytest.fixture(scope="module")
def service(model_file):
    return loaded(model_file)


def test_the_page_shows_the_file():
    page = (ROOT / "docs" / "use" / "serve.md").read_text()
    assert f"```python\n{SERVICE.read_text()}```" in page


def test_a_row_and_a_list_are_answered_as_the_model_answers(service):
    one, many = asked(service, ROWS[0], ROWS[:20])
    assert one.status_code == many.status_code == 200
    P = MODEL.probabilities(ROWS[:20])
    np.testing.assert_allclose(one.json()["probabilities"], P[0], atol=1e-6)
    np.testing.assert_allclose([each["probabilities"] for each in many.json()], P, atol=1e-6)
    assert [each["prediction"] for each in many.json()] == MODEL.predict(ROWS[:20]).tolist()


def test_rows_that_arrive_together_are_predicted_together(service, monkeypatch):
    sizes = []
    usual = service.answer

    def counted(rows):
        sizes.append(len(rows))
        time.sleep(0.02)
        return usual(rows)

    monkeypatch.setattr(service, "answer", counted)
    found = asked(service, *ROWS[:60])
    assert all(each.status_code == 200 for each in found)
    assert sum(sizes) == 60
    assert len(sizes) < 20
    np.testing.assert_allclose(
        [each.json()["probabilities"] for each in found], MODEL.probabilities(ROWS[:60]), atol=1e-6
    )


BAD = {
    "no json": (b"{", 422, "must be JSON"),
    "bytes": (b"\xff\xfe", 422, "must be JSON"),
    "a number": (3, 422, "must be an object"),
    "a column too few": ({"age": 3}, 422, "must have a column"),
    "a list in a cell": ({**ROWS[0], "age": [1]}, 422, "a cell must be"),
    "an object in a cell": ({**ROWS[0], "town": {}}, 422, "a cell must be"),
    "no number": ({**ROWS[0], "income": "much"}, 422, "column 'income' must be numeric"),
    "no date": ({**ROWS[0], "since": "soon"}, 422, "must be a date"),
    "not a number": (json.dumps({**ROWS[0], "age": 0}).replace('"age": 0', '"age": NaN').encode(), 422, "NaN"),
    "a name twice": (b'{"age": 1, "age": 2}', 422, "twice"),
    "too many rows": ([{}] * 1001, 413, "at most 1,000 rows"),
    "too many bytes": (b" " * 1_000_001, 413, "at most 1,000,000 bytes"),
    "nested": (b"[" * 50_000, 422, "nested"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_has_one_line_and_harms_no_other(service, name):
    body, status, words = BAD[name]
    before, bad, after = asked(service, ROWS[1], body, ROWS[2])
    assert (before.status_code, bad.status_code, after.status_code) == (200, status, 200)
    assert words in bad.json()["error"]
    assert "\n" not in bad.json()["error"]


def test_a_bad_row_of_a_list_has_its_error_in_its_place(service):
    rows = [ROWS[0], {**ROWS[0], "income": "much"}, 5, ROWS[3]]
    (found,) = asked(service, rows)
    assert found.status_code == 200
    assert [next(iter(each)) for each in found.json()] == ["prediction", "error", "error", "prediction"]


def test_a_failure_of_the_model_is_answered_and_the_service_goes_on(service, monkeypatch):
    def fails(rows):
        raise RuntimeError("x")

    with monkeypatch.context() as patch:
        patch.setattr(service, "answer", fails)
        (found,) = asked(service, ROWS[0])
    assert found.status_code == 500
    assert asked(service, ROWS[0])[0].status_code == 200


def test_a_regression_is_served_without_probabilities(tmp_path):
    from chainrule.data import Standardizer
    from chainrule.nn.losses import MeanSquaredError

    pack = replace(pack_of(), loss=MeanSquaredError(), classes=None, targets=Standardizer.identity(1))
    save_model(TableModel(schema_of(), pack), tmp_path / "model.safetensors")
    (found,) = asked(loaded(tmp_path / "model.safetensors"), ROWS[0])
    assert list(found.json()) == ["prediction"]


@pytest.mark.parametrize("content", [b"", b"no model", None], ids=["empty", "foreign", "cut off"])
def test_a_model_that_cannot_be_read_ends_the_service_at_the_start(model_file, tmp_path, content):
    bad = tmp_path / "model.safetensors"
    bad.write_bytes(model_file.read_bytes()[:-40] if content is None else content)
    with pytest.raises(Exception, match=r"model\.safetensors: "):
        loaded(bad)


@pytest.mark.slow
def test_the_service_answers_open_requests_before_it_ends(model_file):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--timeout-graceful-shutdown", "10"]
    process = subprocess.Popen(
        words,
        cwd=SERVICE.parent,
        env={**os.environ, "MODEL": str(model_file)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        health = wait_for(f"http://127.0.0.1:{port}/health")
        assert health == {"status": "ok", "predicts": "y"}
        body = json.dumps(ROWS).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(head + body[:100])
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            client.sendall(body[100:])
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert len(json.loads(answer.split(b"\r\n\r\n", 1)[1])) == len(ROWS)
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert b"Traceback" not in process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for(url):
    """Return what an address answers as soon as it does."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return json.load(response)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError("the service did not start")


KNOWN = {"FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}
MADE = {"wheels", "model.safetensors"}
"""What the user brings; every other file that is copied is in the repository."""


def instructions():
    lines = [line for line in CONTAINER.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def test_every_line_of_the_container_file_is_a_known_instruction():
    assert {kind for kind, _ in instructions()} == KNOWN
    assert instructions()[0][0] == "FROM"
    assert instructions()[-1][0] == "CMD"


def test_every_image_has_a_registry_and_a_version():
    for kind, rest in instructions():
        if kind == "FROM":
            assert re.fullmatch(r"docker\.io/library/python:\d\.\d+-slim( AS \w+)?", rest)


def test_everything_that_is_copied_is_there_or_brought_by_the_user():
    for kind, rest in instructions():
        if kind == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert source in MADE or (ROOT / source).exists(), source


def test_commands_are_lists_and_their_python_compiles():
    for kind, rest in instructions():
        if kind in ("CMD", "HEALTHCHECK"):
            words = json.loads(rest[rest.index("[") :])
            assert words[0] in ("uvicorn", "python")
            if words[0] == "python":
                compile(words[2], "healthcheck", "exec")


def test_the_container_runs_without_rights_and_installs_from_wheels_alone():
    kinds = [kind for kind, _ in instructions()]
    last = len(kinds) - 1 - kinds[::-1].index("FROM")
    final = instructions()[last:]
    assert ("USER", "service") in final
    assert not any("pip install" in rest for _, rest in final)
    assert all("--no-index" in rest for _, rest in instructions() if "pip install" in rest)
    assert not any("ADD" in kind or "sudo" in rest for kind, rest in instructions())
