"""Contents of trainings on tables with known numbers, for the tests of the terminal and of the page.

In: a task, numbers of rows, classes and columns. Out: a `TableRunContent`.
"""

from dataclasses import replace

import numpy as np

from chainrule.pipeline.evaluation import class_scores, confusion_matrix, value_scores
from chainrule.report.table_run import NetworkLine, TableRunContent

HOSTILE = "<b>$x$[red]a[/red]"
"""What a column, a class or a file may be called: markup of HTML, of formulas and of the terminal."""

COLUMNS = (
    ("age", "number", "numbers"),
    ("fnlwgt", "number", "numbers"),
    ("education", "category", "16 distinct texts"),
    ("sex", "boolean", "true or false"),
    ("since", "date", "dates written %Y-%m-%d"),
    ("row", "id", "counts the rows"),
    (HOSTILE, "constant", "always 3"),
    ("zip", "category", "asked for (--columns zip=category)"),
)


def networks(count=4):
    return tuple(
        NetworkLine(
            k,
            f"128 x {2 + k % 2}, cosine 16 (2.1), dropout 0.14, lr 0.0018",
            k / 6,
            0.3 + 0.0101 * k,
            40 + k,
            30 + k,
            2.5,
        )
        for k in range(count)
    )


def many_columns(count=300):
    kinds = (("number", "numbers"), ("category", "12 distinct texts"), ("text", "texts of several words"))
    columns = [(f"measurement {j}", *kinds[j % 3]) for j in range(count - 9)]
    left = [(f"empty {j}", "constant", "empty") for j in range(8)]
    return (*columns, *left, ("wide", "number", "asked for (--columns wide=number)"))


def classification(n=400, classes=("no", "yes"), seed=0):
    rng = np.random.default_rng(seed)
    K = len(classes)
    y = np.arange(n) % K
    Z = rng.normal(size=(n, K)) + 2.5 * (y[:, None] == np.arange(K))
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    predicted = P.argmax(axis=1)
    scores = class_scores(y, P, range(K)).summary()
    worse = {name: 0.9 * value for name, value in scores.items()} | {"loss": 2.0 * scores["loss"]}
    constant = {"loss": 0.6931, "accuracy": 0.5121, "f1": 0.3404, "roc_auc": 0.5}
    counts = confusion_matrix(y, predicted, range(K))
    models = (
        ("chainrule", scores, 19.4),
        ("constant", constant, 0.01),
        ("linear", worse, 0.62),
        ("boosted trees", {}, None),
    )
    return TableRunContent(
        "income from census.csv",
        "census.csv",
        "income",
        "classification",
        "classification: 'income' has 2 distinct texts. Use --task regression to overrule.",
        ("separated by ';'", "decimal comma"),
        COLUMNS,
        ("column 'row' is left out as an id: counts the rows.",),
        {"training": 4 * n, "test": n},
        models,
        "test",
        (("age", 0.1234, 0.0061), ("education", 0.0512, 0.002), ("sex", 0.0004, 0.0009), ("zip", -0.0002, 0.0003)),
        networks(),
        tuple(classes),
        counts,
        y,
        predicted,
        P,
        19.4,
        "the time was up",
        7,
        {"members": 16, "learning_rate": (0.001, 0.004), "embeddings": ("cosine",)},
        ("boosted trees: left out: ValueError: no trees",),
    )


def regression(n=400, seed=0, unit=100_000.0):
    rng = np.random.default_rng(seed)
    y = unit * rng.gamma(3.0, 1.0, size=n)
    predicted = y + 0.2 * unit * rng.normal(size=n) * np.sqrt(y / unit)
    scores = value_scores(y, predicted).summary()
    models = (
        ("chainrule", scores, 12.0),
        ("constant", value_scores(y, np.full(n, y.mean())).summary(), 0.01),
        ("linear", {"rmse": 2 * scores["rmse"], "mae": 2 * scores["mae"], "r2": 0.61}, 0.2),
        ("boosted trees", {"rmse": 0.9 * scores["rmse"], "mae": 1.1 * scores["mae"], "r2": 0.9}, 1.2),
    )
    sentence = "regression: 'price' has 380 distinct numbers. Use --task classification to overrule."
    return replace(
        classification(n),
        title="price from houses.csv",
        source="houses.csv",
        target="price",
        task="regression",
        target_sentence=sentence,
        scores=models,
        scored_on="held-out",
        classes=None,
        confusion=None,
        y=y,
        predicted=predicted,
        probabilities=None,
        rows={"training": n},
        notes=(),
    )
