"""The methods that are compared, each at its defaults: a small function from a Problem to a Prediction.

Where a method's own documentation or its interface asks for a choice, the function's docstring states it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.tables import own
from bench.tables.frames import as_texts, category_names, median_filled, pandas_frames
from bench.tables.problem import Prediction, Problem
from bench.tables.splits import Array

Peer = Callable[[Problem], Prediction]


@dataclass(frozen=True)
class Entry:
    """A peer and the packages that it needs."""

    run: Peer
    packages: tuple[str, ...]


def timed(model: Any, problem: Problem, train: Any, test: Any, y: Array | None = None, **fit: Any) -> Prediction:
    """Fit a model of scikit-learn's kind and predict the test rows."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train, problem.y if y is None else y, **fit)
        fitted = time.perf_counter()
        if problem.task == "regression":
            values = np.asarray(model.predict(test), float).reshape(-1)
        else:
            values = of_all_classes(np.asarray(model.predict_proba(test)), model.classes_, problem.n_classes)
    return Prediction(values, fitted - began, time.perf_counter() - fitted)


def of_all_classes(probabilities: Array, classes: Array, n_classes: int) -> Array:
    """Return one column per class, 0 for a class that the model did not see."""
    full = np.zeros((len(probabilities), n_classes))
    full[:, np.asarray(classes, int)] = probabilities
    return full


def chosen(problem: Problem, classifier: Any, regressor: Any) -> Any:
    """Return the class for the problem's task."""
    return regressor if problem.task == "regression" else classifier


def sklearn_mlp(problem: Problem) -> Prediction:
    """Run scikit-learn's MLP: median fill, standard scale, one-hot; a regression target is standardized too."""
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train, test = pandas_frames(problem.train, problem.test)
    categories = category_names(train)
    columns = ColumnTransformer(
        [
            (
                "number",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                train.columns.drop(categories),
            ),
            ("category", OneHotEncoder(handle_unknown="ignore"), categories),
        ]
    )
    model = make_pipeline(columns, chosen(problem, MLPClassifier, MLPRegressor)(random_state=problem.seed))
    if problem.task == "regression":
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    return timed(model, problem, as_texts(train), as_texts(test))


def hist_boosting(problem: Problem) -> Prediction:
    """Run scikit-learn's HistGradientBoosting.

    It takes at most 255 categories in a column: the 254 most frequent are kept, the others become gaps. Its own early
    stopping needs two rows of each class, so it is off where a class has fewer.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train, test = pandas_frames(problem.train, problem.test, most=254)
    options: dict[str, Any] = {"random_state": problem.seed}
    if problem.n_classes and np.bincount(problem.y).min() < 2:
        options["early_stopping"] = False
    model = chosen(problem, HistGradientBoostingClassifier, HistGradientBoostingRegressor)(**options)
    return timed(model, problem, train, test)


def lightgbm(problem: Problem) -> Prediction:
    """Run LightGBM with categories as pandas categories."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    train, test = pandas_frames(problem.train, problem.test)
    train.columns = test.columns = [f"x{j}" for j in range(train.shape[1])]  # it refuses some characters
    model = chosen(problem, LGBMClassifier, LGBMRegressor)
    return timed(model(random_state=problem.seed, n_jobs=problem.threads, verbose=-1), problem, train, test)


def catboost(problem: Problem) -> Prediction:
    """Run CatBoost with categories as cat_features; a gap in a category is a category."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    train, test = pandas_frames(problem.train, problem.test)
    model = chosen(problem, CatBoostClassifier, CatBoostRegressor)(
        cat_features=category_names(train),
        random_seed=problem.seed,
        thread_count=problem.threads,
        verbose=False,
        allow_writing_files=False,
    )
    return timed(model, problem, as_texts(train), as_texts(test))


def pytabkit(problem: Problem, classifier: str, regressor: str, **options: Any) -> Prediction:
    """Run an estimator of pytabkit with our validation rows; gaps in numbers are filled by the median."""
    import pytabkit as package

    model = getattr(package, chosen(problem, classifier, regressor))
    train, test = median_filled(*pandas_frames(problem.train, problem.test))
    estimator = model(device="cpu", random_state=problem.seed, n_threads=problem.threads, **options)
    fit = {"val_idxs": problem.validation, "cat_col_names": category_names(train)}
    return timed(estimator, problem, as_texts(train), as_texts(test), **fit)


def realmlp(problem: Problem) -> Prediction:
    """Run RealMLP-TD."""
    return pytabkit(problem, "RealMLP_TD_Classifier", "RealMLP_TD_Regressor")


def realmlp_log_loss(problem: Problem) -> Prediction:
    """Run RealMLP-TD as its documentation asks where the log loss counts: no label smoothing, stopped by the log loss.

    For a regression it is realmlp.
    """
    options: dict[str, Any] = {}
    if problem.task == "classification":
        options = {"use_ls": False, "val_metric_name": "cross_entropy"}
    return pytabkit(problem, "RealMLP_TD_Classifier", "RealMLP_TD_Regressor", **options)


TABM = {
    "arch_type": "tabm-mini",
    "tabm_k": 32,
    "num_emb_type": "pwl",
    "num_emb_n_bins": 48,
    "d_embedding": 16,
    "n_blocks": 2,
    "d_block": 512,
    "dropout": 0.1,
    "lr": 2e-3,
    "weight_decay": 3e-4,
    "gradient_clipping_norm": 1.0,
    "batch_size": "auto",
    "patience": 16,
    "share_training_batches": False,
}
"""TabM in the form that TabArena uses, which is stronger than the defaults of pytabkit's TabM_D."""


def tabm(problem: Problem) -> Prediction:
    """Run TabM in TabArena's form; a classification is stopped by the log loss."""
    options: dict[str, Any] = dict(TABM)
    if problem.task == "classification":
        options["val_metric_name"] = "cross_entropy"
    return pytabkit(problem, "TabM_D_Classifier", "TabM_D_Regressor", **options)


PEERS: dict[str, Entry] = {
    "sklearn_mlp": Entry(sklearn_mlp, ("scikit-learn",)),
    "hist_boosting": Entry(hist_boosting, ("scikit-learn",)),
    "lightgbm": Entry(lightgbm, ("lightgbm",)),
    "catboost": Entry(catboost, ("catboost",)),
    "realmlp": Entry(realmlp, ("pytabkit", "torch")),
    "realmlp_log_loss": Entry(realmlp_log_loss, ("pytabkit", "torch")),
    "tabm": Entry(tabm, ("pytabkit", "torch")),
    "chainrule": Entry(own.estimator, ("chainrule",)),
    "chainrule_cli": Entry(own.command_line, ("chainrule",)),
}


def variant_of(name: str) -> tuple[str, str]:
    """Return the peer and the variant of a name such as "chainrule[no_embedding]"."""
    peer, _, variant = name.partition("[")
    return peer, variant.removesuffix("]")
