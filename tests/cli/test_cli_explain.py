"""Why: who studies or teaches asks for derivations, gradient checks and learning rates from the command line.

In: `explain`, `gradcheck`, `lr-find`, `info`. Out: text, Markdown, JSON, pictures, an exit code that a check can rest on.
"""

import json

import numpy as np
import pytest
from pack_cases import table_model

from chainrule import cli
from chainrule.engines import ENGINES
from chainrule.io import save_model
from chainrule.nn.layers import Dense


@pytest.fixture
def chainrule(capsys):
    """Runs the command line in this process; gives exit code, standard output, standard error."""

    def call(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert cli.run(["train", "iris", "--epochs", "2", "--engine", "reference", "--out", str(folder), "--json"]) == 0
    return folder


def test_explain_an_architecture_as_text(chainrule):
    code, out, err = chainrule("explain", "5-4-3", "--batch-norm", "--rows", 8)
    assert code == 0
    assert err == ""
    lines = [line.strip() for line in out.splitlines()]
    # W 5x4 without b, γ and β of 4, W 4x3 with b
    assert lines[0] == "5-4-3: 43 parameters, a batch of n = 8 rows"
    forward, backward = lines.index("Forward"), lines.index("Backward, from the loss to the first weight")
    assert forward < lines.index("(6) N^[1] = γ^[1] ⊙ Ẑ^[1] + β^[1]") < backward
    assert lines.index("dW^[2] = A^[1]ᵀ dZ^[2]   (4, 3)") > backward
    assert "shapes  X (8, 5)   W^[1] (5, 4)   Z^[1] (8, 4)" in lines
    assert any(line.startswith("4. Dense(units=3, initializer=xavier)  4 → 3") for line in lines)
    assert any(line.startswith("5. SoftmaxCrossEntropy(label_smoothing=0.0)  3 → 1") for line in lines)


def test_explain_as_markdown_and_as_json(chainrule):
    markdown = chainrule("explain", "5-4-1", "--markdown")[1]
    assert markdown.startswith("# 5-4-1\n")
    assert r"$$dW^{[1]} = X^{\top} dZ^{[1]} \tag{12}$$" in markdown
    derivation = json.loads(chainrule("explain", "5-4-1", "--json")[1])
    assert derivation["parameters"] == 5 * 4 + 4 + 4 + 1
    assert [stage["number"] for stage in derivation["stages"]] == [1, 2, 3, 4]
    assert derivation["stages"][0]["equations"][0] == {"number": 1, "direction": "forward", "text": "Z = A W + b"}


def test_explain_a_source_is_what_train_would_build(chainrule, run_folder):
    source = json.loads(chainrule("explain", "iris", "--json")[1])
    model = json.loads(chainrule("explain", run_folder, "--json")[1])
    file = json.loads(chainrule("explain", run_folder / "model.safetensors", "--json")[1])
    assert source == model == file
    assert source["architecture"] == "4-100-3"


@pytest.mark.parametrize("more", [(), ("--batch-norm",), ("--dropout", 0.3), ("--activation", "tanh")])
def test_explain_a_row_of_a_source(chainrule, more):
    code, out, err = chainrule("explain", "iris", "--hidden", "5", "--row", 7, *more)
    assert (code, err) == (0, "")
    assert "Row 7: loss" in out
    numbers = json.loads(chainrule("explain", "iris", "--hidden", "5", "--row", 7, "--json", *more)[1])["numbers"]
    assert numbers["row"] == 7
    assert numbers["max_relative_difference"] < 1e-6
    assert np.shape(numbers["gradients"]["dW^[1]"]) == (4, 5)


@pytest.mark.parametrize("preset", ["plain", "small.json"])
def test_explain_a_row_of_a_model_of_a_table(chainrule, tmp_path, monkeypatch, preset):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i % 7},{'ab'[i % 2]},{i * 0.1:.1f}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("size,kind,y\n" + rows)
    (tmp_path / "small.json").write_text(json.dumps({"members": 2, "folds": 2, "epochs": [3, 3], "width": [8, 8]}))
    short = ["--epochs", 2] if preset == "plain" else []
    assert chainrule("train", "t.csv", "--target", "y", "--preset", preset, *short, "--out", "m", "--json")[0] == 0
    code, out, err = chainrule("explain", "m", "--row", 7, "--json")
    assert (code, err) == (0, "")
    numbers = json.loads(out)["numbers"]
    assert numbers["max_relative_difference"] < 1e-6
    assert chainrule("explain", "m/model.safetensors", "--row", 7, "--data", "t.csv", "--json")[1] == out
    assert chainrule("explain", "m", "--row", 60)[0] == 2


def test_explain_a_row_of_a_model(chainrule, run_folder, tmp_path):
    recorded = json.loads(chainrule("explain", run_folder, "--row", 140, "--json")[1])["numbers"]
    file = run_folder / "model.safetensors"
    given = json.loads(chainrule("explain", file, "--row", 140, "--data", "iris", "--json")[1])["numbers"]
    assert recorded == given
    predicted = json.loads(chainrule("predict", file, "iris", "--probabilities", "--json")[1])
    np.testing.assert_allclose(recorded["prediction"], list(predicted["probabilities"][140]), rtol=1e-5)
    save_model(table_model(), tmp_path / "m.safetensors")
    assert chainrule("explain", tmp_path / "m.safetensors", "--row", 1)[0] == 2


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (("iris", "--row", 150), "--row must be a whole number from 0 to 149"),
        (("iris", "--row", 1, "--plan"), "--row must be left out with --plan"),
        (("table", "--row", 1), "--row must be left out for a preset"),
        (("iris", "--data", "iris", "--row", 1), "--data must be left out for this subject"),
        (("5-4-3", "--data", "iris"), "--data must be left out"),
    ],
)
def test_a_row_that_cannot_be_explained_is_refused(chainrule, line, fault):
    code, _, err = chainrule("explain", *line)
    assert code == 2
    assert fault in " ".join(err.split())


def test_explain_takes_a_head(chainrule):
    stages = json.loads(chainrule("explain", "3-2", "--head", "MeanSquaredError", "--json")[1])["stages"]
    assert stages[-1]["name"] == "MeanSquaredError(link=identity)"


@pytest.mark.parametrize("options", [(), ("--batch-norm", "--dropout", 0.3), ("--layer-norm", "--activation", "gelu")])
def test_gradcheck_passes(chainrule, options):
    code, out, _ = chainrule("gradcheck", "5-4-3-1", *options)
    assert code == 0
    assert "passed" in out
    assert "worst" in out


def test_gradcheck_of_sources_and_models_as_json(chainrule, run_folder):
    for subject in ("iris", run_folder):
        code, out, _ = chainrule("gradcheck", subject, "--rows", 4, "--entries", 20, "--json")
        result = json.loads(out)
        assert code == 0
        assert result["passed"] is True
        assert set(result["errors"]) == {"0.W", "0.b", "2.W", "2.b", "X"}


def test_gradcheck_fails_on_a_wrong_backward_and_names_it(chainrule, monkeypatch):
    right = Dense.backward

    def without_rows(self, p, saved, dZ, ctx):
        dA, grads = right(self, p, saved, dZ, ctx)
        return dA, grads | {"W": grads["W"] / len(dZ)}

    monkeypatch.setattr(Dense, "backward", without_rows)
    code, out, _ = chainrule("gradcheck", "5-4-3")
    assert code == 1
    assert "FAILED" in out
    assert next(line for line in out.splitlines() if line.startswith("worst")).split()[1].startswith(("0.W", "2.W"))
    code, out, _ = chainrule("gradcheck", "5-4-3", "--json")
    errors = json.loads(out)["errors"]
    assert code == 1
    # by hand g / n against g: ‖g - g/n‖ / (‖g‖ + ‖g/n‖) = (n - 1) / (n + 1), with n = 8
    assert errors["0.W"] == pytest.approx(7 / 9, abs=1e-6)
    assert errors["0.b"] < 1e-6


def test_lr_find_suggests_a_rate_and_draws_it(chainrule, tmp_path):
    picture = tmp_path / "rates.png"
    code, out, _ = chainrule("lr-find", "iris", "--engine", "reference", "--picture", picture)
    assert code == 0
    assert out.startswith("suggested learning rate: ")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    result = json.loads(chainrule("lr-find", "iris", "--engine", "reference", "--json")[1])
    assert f"{result['suggestion']:.2g}" == out.splitlines()[0].split()[-1]
    assert result["rates"][0] < result["suggestion"] < result["rates"][-1]
    assert len(result["rates"]) == len(result["losses"]) <= 100
    np.testing.assert_allclose(np.diff(np.log(result["rates"])), np.log(1e8) / 99, rtol=1e-6)


def test_info_names_versions_and_engines(chainrule):
    code, out, _ = chainrule("info")
    assert code == 0
    assert "numpy" in out
    facts = json.loads(chainrule("info", "--json")[1])
    assert {"chainrule", "python", "engines", "packages", "blas"} <= set(facts)
    assert facts["packages"]["numpy"] == np.__version__
    assert all(name in str(facts["engines"]) for name in ENGINES)


def test_explain_a_preset_and_train_with_it_after_editing(chainrule, tmp_path):
    folder = tmp_path
    code, out, _ = chainrule("explain", "table")
    assert code == 0
    assert "learning_rate" in out
    assert "--preset mine.json" in out
    plain = json.loads(chainrule("explain", "table", "--json")[1])
    plain |= {"members": 2, "epochs": [3, 3]}
    (folder / "mine.json").write_text(json.dumps(plain))
    assert json.loads(chainrule("explain", folder / "mine.json", "--json")[1])["members"] == 2
    rows = "".join(f"{i % 7},{'ab'[i % 2]},{i % 2}\n" for i in range(60))
    (folder / "t.csv").write_text("size,kind,y\n" + rows)
    trained = chainrule(
        "train", folder / "t.csv", "--target", "y", "--preset", folder / "mine.json", "--out", folder / "m", "--json"
    )
    assert json.loads(trained[1])["networks"] == 2
    assert "Parallel" in chainrule("explain", folder / "m")[1]


@pytest.mark.parametrize("form", [(), ("--markdown",)])
def test_a_preset_shows_the_equations_of_its_networks(chainrule, form):
    code, out, _ = chainrule("explain", "table", *form)
    assert code == 0
    for part in ("members ", "Network 1 with seed 0", "Network 2 with seed 0"):
        assert part in out
    for branch in (
        "1.1. PiecewiseLinearEmbedding(",
        "1.1. CosineEmbedding(",
        "1.2. Activation(",
        "1.3. CategoryEmbedding(",
    ):
        assert branch in out
    for layer in ("Dense(units=128", "SoftmaxCrossEntropy("):
        assert out.count(layer) >= 4


@pytest.mark.parametrize("embedding", ["cosine", "pbld", "piecewise_linear", "none"])
def test_a_preset_of_a_file_shows_its_own_embeddings(chainrule, tmp_path, embedding):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"embeddings": [embedding], "dropout": 0.0, "width": [32, 32], "layers": [1, 1]}))
    code, out, _ = chainrule("explain", file)
    assert code == 0
    names = {"cosine": "Cosine", "pbld": "PBLD", "piecewise_linear": "PiecewiseLinear", "none": "Activation"}
    assert f"1.1. {names[embedding]}" in out
    assert "Network 2" not in out
    plain = json.loads(chainrule("explain", file, "--json")[1])
    assert plain["embeddings"] == [embedding]


def test_the_json_of_a_network_has_its_branches(chainrule, tmp_path):
    save_model(table_model(), tmp_path / "m.safetensors")
    stages = json.loads(chainrule("explain", tmp_path / "m.safetensors", "--json")[1])["stages"]
    assert [branch["number"] for branch in stages[0]["branches"]] == list(range(1, len(stages[0]["branches"]) + 1))
    assert all(stage["branches"] == [] for stage in stages[1:])
