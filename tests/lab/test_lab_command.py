"""Why: the lab is a command like the others: its options act, its mistakes are one line, its end is clean.

In: the command in a process of its own, and its parts. Out: addresses, run folders like those of `train`, exit codes.
"""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx
from lab_cases import TOKEN, Caller, lab, served, split, subject
from lab_process import MAIN, ended, started
from safetensors.numpy import load_file

from chainrule import cli
from chainrule.cli import options as o
from chainrule.cli.lab import RunFolders, _subject, optimizer_text, recipe_options
from chainrule.data import load
from chainrule.io import load_model
from chainrule.lab.commands import Lab
from chainrule.lab.live import LiveTraining
from chainrule.lab.room import Room
from chainrule.lab.wire import message, parsed
from chainrule.nn.optimizers import Adam, SGDMomentum

CLIENTS = []
BUSY = 3
"""How many times as long something may take beside other tests; half a second goes to the interpreter's own end."""


@pytest.fixture(autouse=True)
def closed():
    """Close what a test has opened."""
    yield
    while CLIENTS:
        CLIENTS.pop().close()


class Client:
    """Asks a served lab over the network."""

    def __init__(self, address):
        base, _, token = address.partition("/#token=")
        self.client = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=120)
        CLIENTS.append(self.client)

    def ask(self, name, header=None, **arrays):
        found = self.client.post(f"/api/{name}", content=message(header or {}, arrays))
        assert found.status_code == 200, found.text
        return parsed(found.content)

    def opened(self, **change):
        plain = {**self.ask("table")[0]["recipe"], **change}
        return self.ask("open", {"recipe": plain})[0]["session"]

    def trained(self, number, **amount):
        found = self.client.post("/api/run", content=message({"session": number, **amount}))
        return parsed(split(found.content)[-1])[0]


@pytest.mark.slow
def test_a_training_of_the_lab_is_that_of_train_and_leaves_its_folder(tmp_path):
    process, address = started(tmp_path, "iris", "--hidden", "5", "--lr", "0.02", "--out", "kept")
    client = Client(address)
    number = client.opened()
    assert client.trained(number, epochs=4)["epoch"] == 4
    first, _ = client.ask("keep", {"session": number})
    assert first == {"run": "kept", "notes": []}
    client.trained(number, epochs=2)
    began = time.monotonic()
    out, code = ended(process)
    assert code == 0
    assert time.monotonic() - began < 30
    assert "kept-2: model.safetensors" in out
    options = ["--hidden", "5", "--lr", "0.02", "--patience", "0", "--doctor", "off"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for folder, epochs in (("kept", "4"), ("kept-2", "6")):
            same = f"{folder}-train"
            assert (
                cli.run(["train", "iris", *options, "--epochs", epochs, "--validation-fraction", "0.1", "--out", same])
                == 0
            )
            config = json.loads((tmp_path / folder / "config.json").read_text())
            other = json.loads((tmp_path / same / "config.json").read_text())
            assert config["options"] == other["options"]
            assert config["settings"] == {
                **other["settings"],
                "n_iter_no_change": config["settings"]["n_iter_no_change"],
            }
            lines = [
                [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text.splitlines()]
                for text in ((tmp_path / each / "run.jsonl").read_text() for each in (folder, same))
            ]
            # Sums over the steps of an epoch, which the lab runs in parts.
            for name in ("train_loss", "gradient_norm"):
                pairs = [(one.pop(name, 0.0), other.pop(name, 0.0)) for one, other in zip(*lines, strict=True)]
                assert [one for one, _ in pairs] == pytest.approx([other for _, other in pairs], rel=1e-14)
            assert lines[0] == lines[1]
            last = max(record["epoch"] for record in lines[1])
            assert last == int(epochs)
            assert {path.name for path in (tmp_path / folder).iterdir()} == {
                path.name for path in (tmp_path / same).iterdir()
            }
    X = load("iris").X
    for folder in ("kept", "kept-2"):
        models = [load_model(tmp_path / each / "model.safetensors") for each in (folder, f"{folder}-train")]
        assert models[0].predict(X).tolist() == models[1].predict(X).tolist()
        assert set(models[0].predict(X)) <= {"setosa", "versicolor", "virginica"}
        files = [(tmp_path / each / "model.safetensors") for each in (folder, f"{folder}-train")]
        tensors = [load_file(path) for path in files]
        assert {name: part.tobytes() for name, part in tensors[0].items()} == {
            name: part.tobytes() for name, part in tensors[1].items()
        }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "kept-2", "kept-2-train", "kept-train"]


def test_a_lab_in_which_nothing_was_trained_leaves_nothing_and_ends_within_a_second(tmp_path):
    process, address = started(tmp_path, "iris")
    Client(address).opened()
    began = time.monotonic()  # from the signal to the end of the process
    out, code = ended(process)
    took = time.monotonic() - began
    assert code == 0
    assert out.split("\n", 1)[0] == "This address is the key to the lab. Ctrl-C ends it."
    assert "leaked" not in out
    assert "Traceback" not in out
    assert list(tmp_path.iterdir()) == []
    assert took < 1 * BUSY


@pytest.mark.slow
def test_a_signal_ends_a_training_between_two_steps(tmp_path):
    process, address = started(tmp_path, "digits", "--hidden", "64,64")
    client = Client(address)
    number = client.opened()
    lines = []

    def watch():
        with client.client.stream("POST", "/api/run", content=message({"session": number, "epochs": 100_000})) as found:
            for part in found.iter_raw():
                lines.append(part)

    thread = threading.Thread(target=lambda: _quiet(watch), daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not lines and time.monotonic() < until:
        time.sleep(0.01)
    out, code = ended(process, signal.SIGINT)
    assert code == 0, out
    assert "Traceback" not in out
    assert "leaked" not in out
    folder, _, names = next(line for line in out.splitlines() if line.startswith("runs/")).partition(": ")
    assert folder == "runs/digits-1"
    assert sorted(names.split(", ")) == sorted(path.name for path in (tmp_path / folder).iterdir())
    thread.join(10)


def _quiet(act):
    """Do something that the end of a server interrupts."""
    with contextlib.suppress(httpx.HTTPError):
        act()


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["--port", str(taken.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: lab: --port must be free, got ")


WRONG = {
    "no such source": ["nowhere"],
    "options without a source": ["--hidden", "5"],
    "a port beyond all": ["iris", "--port", "70000"],
    "a negative rate": ["iris", "--lr", "-1"],
    "a target of no table": ["iris", "--target", "x"],
    "patience, which a person has": ["iris", "--patience", "3"],
    "an option of tables": ["iris", "--drop", "a"],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_before_anything_is_served(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["lab", *WRONG[name]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_that_is_in_use_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    assert cli.run(["lab", "iris", "--out", "full"]) == 2
    assert "--out must be a new or empty folder" in capsys.readouterr().err


SEEDED = {
    "hidden": ["7", "hidden"],
    "activation": ["tanh", "hidden"],
    "batch_norm": [True, "hidden"],
    "dropout": [0.2, "hidden"],
    "initializer": ["orthogonal", "init"],
    "optimizer": ["sgd_momentum:mu=0.5", "optimizer"],
    "lr": ["0.5", "optimizer"],
    "batch_size": ["16", "batch_size"],
    "alpha": [0.1, "alpha"],
    "l1": [0.1, "l1"],
    "seed": [3, "seed"],
}


@pytest.mark.parametrize("name", SEEDED)
def test_options_are_what_the_controls_begin_with_and_come_back_as_options(name):
    value, control = SEEDED[name]
    options = replace(o.TrainOptions(), **{name: value})
    usual, of = _subject("iris", o.TrainOptions(), quiet=True), _subject("iris", options, quiet=True)
    assert of.recipe.plain()[control] != usual.recipe.plain()[control]
    again, notes = recipe_options(options, of.recipe, 5)
    assert notes == []
    assert again == replace(options, epochs="5", patience="0")


KEPT = {
    "layer_norm": True,
    "max_norm": 0.5,
    "ema_decay": 0.9,
    "max_grad_norm": 0.1,
    "label_smoothing": 0.1,
    "class_weight": "balanced",
    "dtype": "float64",
    "engine": "reference",
    "scaling": "none",
    "schedule": "cosine",
    "accumulate": 2,
    "keep_classes": "setosa,virginica",
    "test_fraction": 0.3,
    "validation_fraction": 0.3,
}


@pytest.mark.parametrize("name", KEPT)
def test_options_without_a_control_act_on_the_training(name):
    options = replace(o.TrainOptions(), **{name: KEPT[name]})
    states = []
    for each in (o.TrainOptions(), options):
        of = _subject("breast_cancer" if name == "class_weight" else "iris", each, quiet=True)
        live = LiveTraining(of.problem_of(of.recipe))
        live.run(6)
        states.append((live.session.state.w.tobytes(), live.engine, live.problem.recipe.ema_decay))
    assert states[0] != states[1]


def test_layers_that_differ_are_kept_with_a_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = _subject("iris", o.TrainOptions(), quiet=True)
    folders = RunFolders("iris", o.TrainOptions(), None)
    caller = Caller(Lab(Room(of), folders.keep, folders.typed))
    layers = [{"units": 4, "activation": "tanh"}, {"units": 3, "dropout": 0.1}]
    number = caller.opened(hidden=layers)
    caller.stream("run", {"session": number, "epochs": 2})
    kept, _ = caller.ask("keep", {"session": number})
    assert kept["run"] == "runs/iris-1"
    assert len(kept["notes"]) == 2
    assert cli.run(["doctor", "runs/iris-1"]) == 2
    assert cli.run(["evaluate", "runs/iris-1", "iris"]) == 0
    plain = {**of.recipe.plain(), "hidden": layers}
    assert caller.ask("code", {"recipe": plain, "epochs": 5})[0]["command"] == ""
    plain["hidden"] = layers[:1]
    found = caller.ask("code", {"recipe": plain, "epochs": 5})[0]["command"]
    assert found == "chainrule train iris --hidden 4 --activation tanh --epochs 5 --patience 0"


def test_what_cannot_be_kept_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = _subject("diabetes", o.TrainOptions(lr="1e5", optimizer="sgd"), quiet=True)
    folders = RunFolders("diabetes", o.TrainOptions(), None)
    caller = Caller(Lab(Room(of), folders.keep))
    number = caller.opened()
    caller.stream("run", {"session": number, "epochs": 50})
    assert "finite" in caller.fault("keep", {"session": number})[1]
    assert Caller(lab()).fault("keep", {"session": "x"})[0] == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimizer", [Adam(), Adam(beta1=0.8, epsilon=1e-6), SGDMomentum(mu=0.5)])
def test_an_optimizer_is_text_that_the_parser_reads(optimizer):
    options = o.TrainOptions(optimizer=optimizer_text(optimizer))
    found = options.settings("lab").optimizer
    assert found == optimizer or (optimizer == Adam() == Adam() and found == "adam")


def test_a_table_has_its_columns_and_its_own_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [f"{x:.3f},{'ab'[i % 2]},{x * 2 + i % 2:.3f}" for i, x in enumerate(rng.normal(size=200))]
    (tmp_path / "t.csv").write_text("size,kind,price\n" + "\n".join(lines) + "\n")
    options = o.TrainOptions(target="price", drop=None)
    of = _subject("t.csv", options, quiet=True)
    header, arrays = of.table()
    assert header["task"] == "regression"
    assert header["kinds"] == [["size", "number"], ["kind", "category"]]
    assert header["columns"] == ["size", "kind=a", "kind=b"]
    assert header["rows"] == {"train": 144, "validation": 16, "test": 40}
    assert arrays["X"].shape == (160, 3)
    other = of.with_seed(7)
    assert other.settings.seed == 7
    assert not np.array_equal(other.train[0], of.train[0])
    folders = RunFolders("t.csv", options, None)
    caller = Caller(Lab(Room(of), folders.keep, folders.typed))
    number = caller.opened()
    caller.stream("run", {"session": number, "epochs": 1})
    caller.ask("keep", {"session": number})
    model = load_model(tmp_path / "runs" / "t-1" / "model.safetensors")
    assert model.predict([{"size": 1.0, "kind": "a"}]).shape == (1,)
    command = caller.ask("code", {"recipe": of.recipe.plain(), "epochs": 3})[0]["command"]
    assert command == "chainrule train t.csv --target price --epochs 3 --patience 0 --preset plain"


def test_two_pages_train_side_by_side_and_one_ends_its_own_only():
    with served() as (server, port):
        clients = [Client(f"http://127.0.0.1:{port}/#token={TOKEN}") for _ in range(2)]
        numbers = [client.opened() for client in clients]
        frames = [[], []]

        def watch(k, amount):
            _quiet(lambda: frames[k].append(clients[k].trained(numbers[k], **amount)))

        first = threading.Thread(target=watch, args=(0, {"epochs": 100_000}), daemon=True)
        first.start()
        session = server._lab.room.get(numbers[0])
        until = time.monotonic() + 30
        while not session.busy and time.monotonic() < until:
            time.sleep(0.005)
        found = clients[1].client.post("/api/run", content=message({"session": numbers[0], "steps": 1}))
        assert "already running" in parsed(split(found.content)[0])[0]["error"]
        watch(1, {"epochs": 3})
        assert frames[1][0]["epoch"] == 3
        assert first.is_alive()
        clients[1].ask("close", {"session": numbers[1]})
        assert session.busy
        clients[1].ask("stop", {"session": numbers[0]})
        first.join(30)
        assert frames[0][0]["epoch"] > 0


def test_a_reader_that_leaves_in_the_middle_stops_its_training():
    with served(lab(subject("digits", hidden_layer_sizes=(64,)))) as (server, port):
        client = Client(f"http://127.0.0.1:{port}/#token={TOKEN}")
        number = client.opened()
        session = server._lab.room.get(number)
        body = message({"session": number, "epochs": 100_000})
        request = (
            f"POST /api/run HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request + body)
            connection.recv(2000)
            assert session.busy
        until = time.monotonic() + 20
        while session.busy and time.monotonic() < until:
            time.sleep(0.01)
        assert not session.busy
        step = client.ask("frame", {"session": number})[0]["step"]
        assert client.trained(number, steps=5)["step"] == step + 5


def test_a_slow_reader_costs_frames_and_neither_steps_nor_memory():
    with served() as (server, port):
        client = Client(f"http://127.0.0.1:{port}/#token={TOKEN}")
        number = client.opened()
        session = server._lab.room.get(number)
        body = message({"session": number, "epochs": 1_000})
        head = f"POST /api/run HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            until = time.monotonic() + 60
            while session.live.epoch < 1_000 and time.monotonic() < until:
                time.sleep(0.02)  # reads nothing
            assert session.live.epoch == 1_000
            found = b""
            while part := connection.recv(65536):
                found += part
        assert b'"epoch": 1000' in found
        assert found.count(b'"layers_step"') < 1_000
