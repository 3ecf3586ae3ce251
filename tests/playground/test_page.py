"""Why: the playground promises that a run can be rewound, branched and shared exactly, by anyone, with a keyboard alone.

In: the page in a headless Chromium. Out: what it shows, says and refuses.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

ROWS = [(x, y) for x in range(-9, 10) for y in range(-9, 10) if x != y]
TABLE = "name;a;b;side\n" + "\n".join(f"n{i};{x},5;{y};{'up' if y > x else 'down'}" for i, (x, y) in enumerate(ROWS))
CLICK = "document.getElementById('{}').click()"
TEXT = "document.getElementById('{}').textContent"

SLOW_ENGINES = [pytest.param(name, marks=pytest.mark.slow) for name in ("wasm", "lab")]
all_engines = pytest.mark.parametrize("engine", ["fake", *SLOW_ENGINES], indirect=True)
final_pages = pytest.mark.parametrize("engine", SLOW_ENGINES, indirect=True)
FIGURES = ("now-epoch", "now-loss", "now-held-loss", "now-score", "now-held-score")


def click(page, name):
    page.run(CLICK.format(name))


def text(page, name):
    return page.run(TEXT.format(name))


def choose(page, name, value):
    page.run(
        f"{{ const box = document.getElementById('{name}'); box.value = {json.dumps(value)};"
        " box.dispatchEvent(new Event('change')) }"
    )


def drop(page, content, name="points.csv"):
    """Drop a file on the page, as a pointer would."""
    page.run(
        f"{{ const data = new DataTransfer(); data.items.add(new File([{json.dumps(content)}], {json.dumps(name)}));"
        " document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})) }"
    )


def train(page, epochs):
    choose(page, "speed", "full")
    choose(page, "epochs", str(epochs))
    click(page, "train")
    page.wait(f"{TEXT.format('spoken')}.startsWith('Done at epoch {epochs}')")


def figures(page):
    return [text(page, name) for name in FIGURES]


def step(page):
    """Train one step, and wait until a figure has changed."""
    shown = f"{json.dumps(FIGURES)}.map((name) => document.getElementById(name).textContent).join()"
    before = page.run(shown)
    click(page, "step")
    page.wait(f"{shown} !== {json.dumps(before)}")


def rewind(page, epoch):
    page.run(
        f"{{ const scrub = document.getElementById('scrub'); scrub.value = {epoch};"
        " scrub.dispatchEvent(new Event('input')) }"
    )
    page.wait(f"{TEXT.format('spoken')}.startsWith('Epoch {epoch}:') && {TEXT.format('now-epoch')} === '{epoch}'")


def branch(page, name, value):
    """Branch from here with one setting changed."""
    before = page.run(RUNS)
    choose(page, name, value)
    page.wait("!document.getElementById('pending').hidden")
    click(page, "pending-branch")
    page.wait(f"{RUNS} === {before + 1} && document.getElementById('pending').hidden")


RUNS = "document.querySelectorAll('#runs button[aria-pressed]').length"


def share(percentage):
    return float(percentage.replace(" %", "").replace("−", "-"))


@all_engines
def test_a_dropped_table_is_learned_to_95_percent(tab):
    page = tab()
    drop(page, TABLE + "\n;;3;up\n")
    page.wait(f"{TEXT.format('table-name')} === 'points.csv: 342 rows, 2 columns, 2 classes'")
    notes = text(page, "table-notes")
    assert "1 row left out: they have gaps." in notes
    assert "1 column of text left out: name." in notes
    assert page.run("document.getElementById('target').value") == "side"
    train(page, 30)
    assert share(text(page, "now-score")) >= 95
    assert share(text(page, "now-held-score")) >= 95


def test_values_are_drawn_as_a_line_then_against_the_truth_with_their_residuals(tab):
    page = tab("data=sine&layers=8.tanh.0")
    assert text(page, "map-title") == "Fitted line"
    assert text(page, "name-score") == "R²"
    for view, title in (("fit", "Predicted against true"), ("residuals", "Residuals")):
        choose(page, "view", view)
        page.wait(f"{TEXT.format('map-title')} === '{title}'")


def test_four_columns_are_mapped_two_at_a_time_and_the_page_says_so(tab):
    page = tab("data=iris")
    assert text(page, "map-note") == "The 2 other columns stand at their means."
    choose(page, "first", "3")
    page.wait("document.getElementById('map').getAttribute('aria-label').includes('petal width (cm) across')")


@all_engines
def test_a_rewound_run_repeats_itself_to_the_last_digit(tab):
    page = tab()
    train(page, 20)
    losses = page.run("document.getElementById('curves').getAttribute('aria-label')")
    end = [text(page, name) for name in ("now-loss", "now-held-loss", "now-score")]
    page.run(
        "{ const scrub = document.getElementById('scrub'); scrub.value = 7; scrub.dispatchEvent(new Event('input')) }"
    )
    page.wait(f"{TEXT.format('now-epoch')} === '7'")
    assert [text(page, name) for name in ("now-loss", "now-held-loss", "now-score")] != end
    assert text(page, "scrub-at") == "7 / 20"
    click(page, "train")
    page.wait(f"{TEXT.format('now-epoch')} === '20' && {TEXT.format('train')} === 'Train'")
    assert [text(page, name) for name in ("now-loss", "now-held-loss", "now-score")] == end
    page.wait(f"document.getElementById('curves').getAttribute('aria-label') === {json.dumps(losses)}")


@all_engines
def test_a_changed_setting_branches_a_second_curve_from_the_present_epoch(tab):
    page = tab()
    train(page, 10)
    choose(page, "rate", "0.05")
    page.wait("!document.getElementById('pending').hidden")
    assert text(page, "pending-what") == "learning rate 0.01 → 0.05"
    assert text(page, "pending-branch") == "Branch here with it"
    click(page, "pending-branch")
    page.wait("document.querySelectorAll('#runs button[aria-pressed]').length === 2")
    assert "run 2: learning rate 0.01 → 0.05, from epoch 10" in page.run("document.getElementById('runs').innerText")
    assert text(page, "now-epoch") == "10"
    click(page, "epoch")
    page.wait(f"{TEXT.format('now-epoch')} === '11'")


OTHER = {
    "another rate": ("rate", "0.05"),
    "a smaller batch": ("batch", "8"),
    "a larger batch": ("batch", "100"),
    "a penalty": ("alpha", "0.1"),
    "another activation": ("activation-0", "relu"),
}


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        *(("fake", kind) for kind in OTHER),
        *(pytest.param(name, "a smaller batch", marks=pytest.mark.slow) for name in ("wasm", "lab")),
    ],
    indirect=["engine"],
)
def test_a_branch_has_the_settings_of_its_origin_up_to_where_it_left_it(tab, kind):
    page = tab("layers=6.tanh.0&epochs=20")
    train(page, 9)
    rewind(page, 4)
    fourth = figures(page)
    rewind(page, 7)
    seventh = figures(page)
    branch(page, *OTHER[kind])
    assert figures(page)[:1] == seventh[:1]
    train(page, 12)
    end = figures(page)
    rewind(page, 4)
    assert figures(page) == fourth
    click(page, "train")
    page.wait(f"{TEXT.format('now-epoch')} === '12' && {TEXT.format('train')} === 'Train'")
    assert figures(page) == end
    rewind(page, 9)
    rewind(page, 12)
    assert figures(page) == end


@all_engines
def test_a_branch_in_the_middle_of_an_epoch_keeps_its_step_or_with_other_batches_begins_at_the_epoch(tab):
    page = tab("layers=6.tanh.0&batch=16")
    train(page, 3)
    third = figures(page)
    step(page)
    within = figures(page)
    branch(page, "rate", "0.02")
    assert figures(page) == within
    branch(page, "batch", "64")
    assert figures(page) == third


@all_engines
def test_a_link_holds_the_step_in_an_epoch(tab, address):
    page = tab("layers=6.tanh.0&batch=16")
    train(page, 2)
    branch(page, "rate", "0.02")
    step(page)
    click(page, "share")
    link = page.wait("location.hash.includes('step%3D1') && location.hash")
    other = tab(link.removeprefix("#"), ready=False)
    expected = figures(page)
    other.wait(
        f"{json.dumps(FIGURES)}.every((name, i) => document.getElementById(name).textContent === {json.dumps(expected)}[i])"
    )


@all_engines
def test_a_pause_right_after_the_start_is_not_lost(tab):
    page = tab("epochs=100000")
    for _ in range(5):
        page.run(f"{CLICK.format('train')}; {CLICK.format('train')}")
        page.wait(f"{TEXT.format('train')} === 'Train'", 10)
    reached = int(text(page, "now-epoch").replace(",", ""))
    assert reached < 1000
    click(page, "epoch")
    page.wait(f"{TEXT.format('now-epoch')} === '{reached + 1}'")


def test_a_training_that_is_watched_shows_every_epoch_and_another_speed_goes_on_with_it(tab):
    page = tab("layers=4.tanh.0&epochs=100000")
    click(page, "train")
    for speed in ("slow", "full", "frame"):
        before = page.run(TEXT.format("now-epoch"))
        choose(page, "speed", speed)
        page.wait(f"{TEXT.format('now-epoch')} !== {json.dumps(before)}")
    assert text(page, "train") == "Pause"
    click(page, "train")
    page.wait(f"{TEXT.format('train')} === 'Train' && {TEXT.format('spoken')}.startsWith('Paused at epoch')")


def test_another_network_begins_beside_the_first_at_its_first_weights(tab):
    page = tab()
    train(page, 3)
    choose(page, "units-0", "4")
    page.wait("!document.getElementById('pending').hidden")
    assert text(page, "pending-branch") == "Run it beside this one"
    click(page, "pending-branch")
    page.wait(f"{TEXT.format('now-epoch')} === '0'")
    assert page.run("document.querySelectorAll('#runs li').length") == 3


@all_engines
def test_a_link_restores_settings_epoch_branch_and_figures(tab, address):
    page = tab("data=circles&layers=6.relu.0~4.tanh.0&optimizer=adam&rate=0.02&batch=16&l2=0.001&seed=3&epochs=9")
    train(page, 9)
    choose(page, "rate", "0.05")
    page.wait("!document.getElementById('pending').hidden")
    click(page, "pending-branch")
    page.wait("document.querySelectorAll('#runs button[aria-pressed]').length === 2")
    click(page, "epoch")
    page.wait(f"{TEXT.format('now-epoch')} === '10'")
    click(page, "share")
    link = page.wait("location.hash.length > 10 && location.href")
    figures = [text(page, name) for name in ("now-epoch", "now-loss", "now-held-loss", "now-score", "command")]
    other = tab(link.split("#")[1], ready=False)
    other.wait(f"{TEXT.format('now-epoch')} === '10' && {TEXT.format('command')} !== ''")
    assert [text(other, name) for name in ("now-epoch", "now-loss", "now-held-loss", "now-score", "command")] == figures
    assert other.run("document.getElementById('seed').value") == "3"


def test_a_link_to_a_file_says_that_its_rows_are_not_in_it_and_waits_for_the_file(tab):
    page = tab()
    drop(page, TABLE)
    page.wait(f"{TEXT.format('table-name')} !== ''")
    train(page, 4)
    click(page, "share")
    link = page.wait("location.hash.includes('file') && location.href")
    assert "The rows of your file are not in it." in text(page, "share-note")
    loss = text(page, "now-loss")
    other = tab(link.split("#")[1])
    assert text(other, "fault") == "This link was made with points.csv. Open that file here to restore the run."
    drop(other, TABLE)
    other.wait(f"{TEXT.format('now-epoch')} === '4'")
    assert text(other, "now-loss") == loss


@pytest.mark.parametrize(
    "fragment",
    [
        "data=nowhere&layers=8.tanh.0",
        "layers=1e9.tanh.0~-5.nothing.7",
        "rate=NaN&batch=-3&seed=1e99&epochs=0",
        "rate=%3Cimg%20src%3Dx%3E&optimizer=%00",
        "held=7&at=-1&l2=Infinity",
        "then=then%3Dthen&at=x",
        "%E0%A4%A",
    ],
)
def test_a_wrong_link_gives_settings_in_range_and_a_page_that_trains(shared, fragment):
    shared.run(f"location.hash = {json.dumps(fragment)}")
    click(shared, "step")
    shared.wait(f"{TEXT.format('now-loss')} !== '–' && {TEXT.format('fault')} === ''")


FILES = {
    "commas in quotes": 'a,"b, c",y\n1,2,"x ""1"""\n2,3,z\n3,4,z\n4,5,"x ""1"""\n',
    "semicolons and decimal commas": "a;b;y\n1,5;2;u\n2,5;3;v\n3,5;4;u\n4;5;v\n",
    "tabs": "a\tb\ty\n1\t2\tu\n2\t3\tv\n3\t4\tu\n4\t5\tv\n",
    "windows line ends and a byte order mark": "\ufeffa,b,y\r\n1,2,u\r\n2,3,v\r\n3,4,u\r\n4,5,v\r\n",
    "no names": "1,2,0\n2,3,1\n3,4,0\n4,5,1\n",
    "twice the same name": "a,a,y\n1,2,u\n2,3,v\n3,4,u\n4,5,v\n",
    "lines that are too short": "a,b,y\n1,2,u\n2\n2,3,v\n3,4,u\n4,5,v\n",
    "empty lines": "a,b,y\n\n1,2,u\n\n2,3,v\n3,4,u\n4,5,v\n\n",
    "a line break in a cell": 'a,b,y\n1,2,"u\nw"\n2,3,v\n3,4,"u\nw"\n4,5,v\n',
}


@pytest.mark.parametrize("kind", FILES)
def test_a_table_is_read_whoever_wrote_it(shared, kind):
    drop(shared, FILES[kind], f"{len(kind)}.csv")
    shared.wait(f"{TEXT.format('table-name')} === '{len(kind)}.csv: 4 rows, 2 columns, 2 classes'")


BAD = {
    "nothing": ("", "points.csv holds 0 rows."),
    "one column": ("a\n1\n2\n3\n4\n", "points.csv has one column."),
    "two rows": ("a,y\n1,2\n2,3\n", "points.csv holds 2 rows."),
    "one class": ("a,y\n1,u\n2,u\n3,u\n4,u\n", "y has one class: nothing to tell apart."),
    "only text": ("a,y\nk,u\nl,v\nm,u\nn,v\n", "No column of numbers is left to predict from."),
    "bytes": ("PK\0\1\2\n", "points.csv is not a text file."),
    "gaps everywhere": ("a,b,y\n1,,u\n,3,v\n3,,u\n,5,v\n", "Only 0 rows without gaps."),
    "a text of each row": (
        "a,y\n" + "\n".join(f"{i},t{i}" for i in range(60)),
        "y has 60 different values, too many for classes.",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_table_that_cannot_be_learned_is_refused_in_a_sentence_and_the_run_stays(shared, kind):
    content, sentence = BAD[kind]
    before = int(text(shared, "now-epoch"))
    drop(shared, content)
    shared.wait(f"{TEXT.format('fault')}.startsWith({json.dumps(sentence)})")
    click(shared, "epoch")
    shared.wait(f"{TEXT.format('now-epoch')} === '{before + 1}' && {TEXT.format('fault')} === ''")


def test_words_of_a_table_never_become_markup(tab):
    bad = "<img src=x onerror=alert(1)>"
    page = tab()
    drop(page, f"{bad},b,{bad}y\n1,2,{bad}\n2,3,v\n3,4,{bad}\n4,5,v\n", f"{bad}.csv")
    page.wait(f"{TEXT.format('table-name')}.startsWith({json.dumps(bad)})")
    click(page, "epoch")
    page.wait(f"{TEXT.format('now-epoch')} === '1'")
    assert page.run("document.images.length + document.querySelectorAll('main script').length") == 0


@all_engines
def test_the_keyboard_alone_chooses_data_trains_rewinds_and_branches(tab):
    page = tab()
    focus = "document.activeElement.id || document.activeElement.value"

    def reach(name):
        for _ in range(120):
            page.press("Tab")
            if page.run(focus) == name:
                outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none" or page.run("document.activeElement.matches('.toy input')"), name
                return
        raise AssertionError(f"{name} cannot be reached")

    page.run("document.body.focus()")
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"
    reach("epoch")
    page.press("Enter")
    page.wait(f"{TEXT.format('now-epoch')} === '1'")
    page.press("Space")
    page.wait(f"{TEXT.format('now-epoch')} === '2'")
    reach("scrub")
    page.press("Home")
    page.wait(f"{TEXT.format('now-epoch')} === '0'")
    page.press("ArrowRight")
    page.wait(f"{TEXT.format('now-epoch')} === '1'")
    reach("branch")
    page.press("Enter")
    page.wait("document.querySelectorAll('#runs button[aria-pressed]').length === 2")
    reach("moons")
    page.press("ArrowRight")
    page.wait("document.querySelector('input[name=toy]:checked').value === 'circles'")
    page.wait(f"{TEXT.format('now-epoch')} === '0'")
    reach("add-layer")
    page.press("Enter")
    page.wait("document.querySelectorAll('.layer').length === 3")
    reach("check")
    page.press("Enter")
    page.wait(f"{TEXT.format('spoken')}.startsWith('The gradient agrees')")


def test_every_control_has_a_name_and_every_picture_says_what_it_shows(tab):
    page = tab()
    train(page, 3)
    nameless = page.run(
        "[...document.querySelectorAll('button, input, select, summary, [role=img]')].filter(each =>"
        " !(each.getAttribute('aria-label') || each.labels?.length || each.textContent.trim())).map(each => each.id)"
    )
    assert nameless == []
    assert "of the held-out rows are right" in page.run("document.getElementById('map').getAttribute('aria-label')")
    assert page.run("document.getElementById('spoken').getAttribute('aria-live')") == "polite"


AXE = os.environ.get("CHAINRULE_AXE", "")


@pytest.mark.skipif(not AXE, reason="CHAINRULE_AXE names no axe.min.js")
@final_pages
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_axe_finds_nothing(tab, width, dark):
    page = tab(width=width, dark=dark)
    train(page, 12)
    page.run("document.querySelectorAll('.why, summary').forEach(each => each.click())")
    choose(page, "rate", "0.1")
    click(page, "check")
    page.wait("!document.getElementById('pending').hidden && document.getElementById('checked').childElementCount > 0")
    page.run(Path(AXE).read_text("utf-8") + "; 0")
    found = page.run("axe.run(document).then(({violations}) => violations.map(v => [v.id, v.nodes.map(n => n.html)]))")
    assert found == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("fragment", ["", "data=iris", "data=sine&layers=128.leaky_relu.0.25"])
def test_nothing_stands_out_at_the_side_of_a_phone(tab, fragment, dark):
    page = tab(fragment.replace("128.leaky_relu.0.25", "128.leaky_relu.0"), width=390, height=844, dark=dark)
    train(page, 2)
    choose(page, "rate", "0.1")
    page.wait("!document.getElementById('pending').hidden")
    page.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
    page.run("document.querySelectorAll('.why').forEach(each => each.click())")
    assert page.run("document.documentElement.scrollWidth") == 390


def test_less_motion_is_none(tab):
    page = tab(reduced=True)
    assert page.run("getComputedStyle(document.getElementById('train')).transitionDuration") in ("", "0s")
    train(page, 5)
    assert text(page, "now-epoch") == "5"


def test_a_symptom_offers_a_remedy_that_runs_beside_the_run(tab):
    page = tab("layers=8.relu.0&optimizer=sgd&rate=0.0005&epochs=12")
    train(page, 12)
    assert "The steps are so small" in page.wait("document.querySelector('#symptoms h3')?.textContent")
    page.run("document.querySelector('#symptoms button').click()")
    page.wait(
        f"{TEXT.format('now-epoch')} === '12' && document.querySelectorAll('#runs button[aria-pressed]').length === 2",
        60,
    )
    page.wait(f"{TEXT.format('train')} === 'Train'")
    assert "learning rate 0.0005 → 0.005" in page.run("document.getElementById('runs').innerText")
    assert page.run("document.getElementById('rate').value") == "0.005"


def test_a_loss_that_is_no_number_stops_the_run_and_says_so(tab):
    page = tab("data=sine&layers=8.relu.0&optimizer=sgd&rate=5000")
    click(page, "train")
    page.wait(f"{TEXT.format('spoken')}.startsWith('Stopped: the loss is not a finite number')")
    page.wait("document.querySelector('#symptoms .critical h3')?.textContent.includes('not a finite number')")


def test_one_row_is_followed_through_the_network_with_its_numbers(tab):
    page = tab("layers=3.tanh.0")
    steps = page.run("[...document.querySelectorAll('#chain h3')].map(each => each.textContent)")
    assert steps == [
        "Inputs, scaled",
        "Layer 1: forward",
        "Output: forward",
        "Loss",
        "Output: backward",
        "Layer 1: backward",
        "Step",
    ]
    shown = page.run("document.getElementById('chain').innerText")
    z, a = map(float, re.search(r"unit 1: tanh\((\S+)\) = (\S+)", shown.replace("−", "-")).groups())
    assert np.tanh(z) == pytest.approx(a, abs=2e-3)
    before = shown
    click(page, "row-after")
    page.wait(f"document.getElementById('chain').innerText !== {json.dumps(before)}")
    assert page.run("document.getElementById('row').value") == "2"


def test_every_control_is_explained_with_an_equation_and_todays_number(tab):
    page = tab()
    page.run("document.querySelectorAll('.why').forEach(each => each.click())")
    helps = page.run("[...document.querySelectorAll('.help')].map(each => each.innerText.split('\\n').filter(Boolean))")
    assert len(helps) == 11
    assert all(len(lines) == 3 for lines in helps), helps
    before = page.run("document.getElementById('help-rate').innerText")
    click(page, "epoch")
    page.wait(f"document.getElementById('help-rate').innerText !== {json.dumps(before)}")
