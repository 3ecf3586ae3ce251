"""Why: names of files, columns and labels are written by strangers; what a command prints must show them, not obey them.

In: a table whose names and labels are hostile, and every command. Out: no control character, no markup taken for markup,
no raw HTML in a page, no formula in a csv.
"""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from chainrule import cli
from chainrule.display import csv_text, printable
from chainrule.errors import FormatError, InvalidValueError, MissingError, must_be

NAMES = {
    "title of the terminal": "\x1b]0;x\x07",
    "color": "\x1b[31mred",
    "one-byte control": "\x9b31mred",
    "carriage return": "safe\rpwned",
    "backspaces": "ab\x08\x08cd",
    "reading direction": "abc\u202egnp",
    "isolate": "a\u2067b\u2069",
    "line separator": "a\u2028error: b",
    "markup": "[red]",
    "end of markup": "[/x]",
    "link": "[link=http://x]y[/link]",
    "emoji": ":smile:",
    "HTML": "<script>alert(1)</script>",
    "formula": "=1+1",
    "wide formula": "\uff1d1+1",
}
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
LABELS = [NAMES[name] for name in ("color", "reading direction", "markup", "link", "HTML", "formula")]


def written(path, columns, labels, rows=60):
    """A csv with these columns of numbers and a target `y` of these labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([*columns, "y"])
    for k in range(rows):
        writer.writerow(
            [*(f"{value:.3f}" for value in draw.normal(k % len(labels), 1, len(columns))), labels[k % len(labels)]]
        )
    path.write_text(buffer.getvalue(), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a hostile name, a table in it, and a run."""
    folder = tmp_path_factory.mktemp("names") / "[red]\x1b[31m"
    table = written(folder / "[x]\x1b]0;x\x07.csv", NAMES.values(), LABELS)
    options = ["--target", "y", "--epochs", "2", "--engine", "reference"]
    assert cli.run(["train", table, *options, "--out", str(folder / "run [/x]\x1b[1m")]) in (0, 1)
    return folder, table, str(folder / "run [/x]\x1b[1m"), options


COMMANDS = {
    "train": lambda f, t, r, o: ["train", t, *o, "--out", str(f / "again [/b]\x9b1m")],
    "train with checkpoints": lambda f, t, r, o: [
        "train",
        t,
        *o,
        "--out",
        str(f / "third"),
        "--checkpoint",
        str(f / "[/x]\x1b"),
    ],
    "train on nothing": lambda f, t, r, o: ["train", str(f / "absent [/x]\x1b.csv"), *o],
    "train with a mistyped target": lambda f, t, r, o: ["train", t, "--target", "\x1b[31mrad"],
    "train into a full folder": lambda f, t, r, o: ["train", t, *o, "--out", r],
    "predict": lambda f, t, r, o: ["predict", r, t, "--probabilities", "--keep", "[red],=1+1,y"],
    "predict with an absent model": lambda f, t, r, o: ["predict", str(f / "[/x]\x1b"), t],
    "predict with an absent column": lambda f, t, r, o: ["predict", r, t, "--keep", "\x1b[31mrod"],
    "evaluate": lambda f, t, r, o: ["evaluate", r, t],
    "evaluate another target": lambda f, t, r, o: ["evaluate", r, t, "--target", "[/x]\x1b"],
    "lr-find": lambda f, t, r, o: ["lr-find", t, "--target", "y", "--engine", "reference"],
    "doctor of a run": lambda f, t, r, o: ["doctor", r],
    "compare": lambda f, t, r, o: ["compare", r, r, "--out", str(f / "[x]\x1b.html")],
    "explain a model": lambda f, t, r, o: ["explain", r],
    "explain what is not there": lambda f, t, r, o: ["explain", "[/x]\x1b[31m"],
    "an unknown command": lambda f, t, r, o: ["\x1b[31mtrain"],
    "an unknown option": lambda f, t, r, o: ["train", t, "--\x1b[31mx"],
    "a wrong number": lambda f, t, r, o: ["train", t, "--epochs", "\x1b[31m"],
    "study": lambda f, t, r, o: ["study", "\x1b[31m[/x]"],
    "info": lambda f, t, r, o: ["info"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_a_control_character_or_takes_a_name_for_markup(place, command, capsys):
    arguments = COMMANDS[command](*place)
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    assert code in (0, 1, 2), err
    assert not RAW.search(out), RAW.search(out)
    assert not RAW.search(err), RAW.search(err)
    assert "Traceback" not in err
    for shown in (r"\x1b", "[/x]"):
        if any(shown.replace(r"\x1b", "\x1b") in argument for argument in arguments[2:]) and code == 2:
            assert shown in err, err


def test_names_with_brackets_are_shown_as_they_are(place, capsys):
    _, table, run, _ = place
    cli.run(["evaluate", run, table])
    out = capsys.readouterr().out
    for shown in ("[red]", "[link=http://x]y[/link]", "<script>alert(1)</script>", r"\x1b[31mred", r"abc\u202egnp"):
        assert shown in out


@pytest.mark.slow
def test_a_search_prints_nothing_raw(place, capsys):
    folder, table, _, _ = place
    out = str(folder / "search [/x]\x1b")
    code = cli.run(
        ["search", table, "--target", "y", "--trials", "2", "--seeds", "1", "--method", "random", "--out", out]
    )
    shown = "".join(capsys.readouterr())
    assert code == 0, shown
    assert not RAW.search(shown)
    assert r"search [/x]\x1b" in shown


@pytest.mark.slow
def test_a_pack_of_networks_prints_nothing_raw(place, capsys):
    folder, table, _, _ = place
    code = cli.run(["train", table, "--target", "y", "--seconds", "3", "--out", str(folder / "pack [/x]\x1b")])
    shown = "".join(capsys.readouterr())
    assert code == 0, shown
    assert not RAW.search(shown)
    assert "[link=http://x]y[/link]" in shown


def test_pages_hold_no_name_as_html(place):
    _, _, run, _ = place
    page = (Path(run) / "report.html").read_text("utf-8")
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", page)


def test_predictions_hold_no_formula(place, capsys):
    _, table, run, _ = place
    assert cli.run(["predict", run, table, "--keep", "[red],y"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["[red]", "y", "y"]
    labels = {row[1] for row in rows[1:]}
    assert labels == {printable(csv_text(label)) for label in LABELS}
    assert "'=1+1" in labels
    assert all(float(row[0]) < 100 for row in rows[1:])


FORMULAS = [
    "=1+1",
    "+cmd",
    "-2+3",
    "@sum(a)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\0=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1+2",
    "\uff20x",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_begins_as_a_formula_is_guarded(text):
    assert csv_text(text).startswith("'")


@pytest.mark.parametrize("text", ["-1.5", "+3", "-1e-5", "-,5", "1+1", "a=b", "größe", "", " =1", "'=1"])
def test_numbers_and_other_text_stay_as_they_are(text):
    assert csv_text(text, numbers=True) == text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [FormatError, InvalidValueError, MissingError])
def test_messages_of_errors_are_escaped(kind, name):
    text = NAMES[name]
    message = str(kind(f"{text}.csv: column {text!r} must be there."))
    assert not RAW.search(message)
    assert not RAW.search(must_be(text, text, "there", text))


def test_what_is_escaped_reads_as_python_writes_it():
    for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0xD800):
        character = chr(code)
        shown = printable(f"a{character}b")
        assert shown.isprintable()
        assert json.loads(json.dumps(eval(f"'{shown}'"))) == f"a{character}b"
    for harmless in ("größe", "日本", "עברית", "\u200f", "a\u0301", "🙂", "x\u200dy", "\xa0"):
        assert printable(harmless) == harmless


def test_commands_print_through_one_place():
    faults = []
    for path in sorted((Path(cli.__file__).parent).glob("*.py")):
        if path.name != "console.py":
            text = path.read_text("utf-8")
            faults += [
                f"{path.name}: {found}" for found in re.findall(r"typer\.echo|\bConsole\(|(?<![.\w])print\(", text)
            ]
    assert faults == 2 * ["__init__.py: print("], "the lines of a warning and an error, which are escaped there"
