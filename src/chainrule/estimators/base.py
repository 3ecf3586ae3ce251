"""Why: what a fitted network can tell is the same whether it tells classes or amounts.

In: `model_`, `run_` and what else a fit leaves. Out: predictions' raw material, inner views, attributes with
scikit-learn's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from chainrule import inspection
from chainrule.arrays import Array
from chainrule.callbacks.scikit_learn import CallbackSupportMixin, with_callbacks
from chainrule.errors import InvalidValueError, must_be
from chainrule.estimators.fitting import examine, fit
from chainrule.estimators.rows import chunks, rows
from chainrule.model import Model
from chainrule.nn.losses import TargetKind

if TYPE_CHECKING:
    from chainrule.doctor import Report


def store(estimator: Any, arguments: Mapping[str, Any]) -> None:
    """Keep a constructor's arguments, its local names, under their names, untouched."""
    for name, value in arguments.items():
        if name not in {"self", "__class__"}:
            setattr(estimator, name, value)


def fitted_model(estimator: Any) -> Model:
    """The model; raises scikit-learn's `NotFittedError` where there is none yet."""
    if not hasattr(estimator, "model_"):
        check_is_fitted(estimator)
    model: Model = estimator.model_
    return model


class Network(CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What both estimators have in common; not for use by itself."""

    _class_weight: Any = None
    _checks: ClassVar[dict[str, Any]] = {}
    _looked_at: Any
    """Rows and weights that importances are to be measured on, then the importances; None after `partial_fit`."""

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        checkpoint: str | Path | None = None,
    ) -> Any:
        """Train from new weights, or with `warm_start` from where the last call ended; returns the estimator.

        X (n, d): an array, a pandas or polars frame, or a sparse matrix (csr or csc), which is made dense; y (n) or (n, k);
        `sample_weight` (n) >= 0, where 2 is a row twice and 0 a row less. `X_val`, `y_val`, `sample_weight_val` are rows to
        choose the epoch by, in place of those that `early_stopping` holds out; whenever there are such rows, the best
        epoch's weights are kept. With a folder `checkpoint` the run is kept there, and the same call goes on where an
        earlier one was ended. Ctrl-C ends the training and keeps what was learned, of several networks by those that began;
        `run_.stopped` tells. Callbacks of scikit-learn that `set_callbacks` was given are told of every epoch.

        Raises `InvalidValueError` naming every argument outside what it may be, and for data that cannot be learned from.
        Warns with `ConvergenceWarning` when the loss is no longer a number; the weights of the epoch before are kept.
        """
        return fit(self, X, y, sample_weight, (X_val, y_val, sample_weight_val), checkpoint)

    def examine(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        fix: bool = False,
    ) -> Report:
        """What `chainrule.doctor` says of the training that `fit` would be with these rows: "healthy" or "ill", and why.

        It trains the network (of several the first), looks at it on the way, and tries remedies on what it suspects; the
        estimator stays as it is. Rows to judge by are those that `fit` would choose the epoch by, else a fifth is held out
        and a note says so. `fix=True` keeps the remedies that prove themselves from three seeds, and reports on the
        training that is mended so; `notes` tells what was tried.

        Raises `InvalidValueError` as `fit` does.

        >>> import numpy as np
        >>> from chainrule import NetClassifier
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> report = NetClassifier((8,), learning_rate_init=1e-6, random_state=0).examine(X, X.sum(axis=1) > 0)
        >>> report.verdict, report.primary.symptom
        ('ill', 'learning-rate-too-low')
        """
        return examine(self, X, y, sample_weight, (X_val, y_val, sample_weight_val), fix)

    def transform(self, X: Any, layer: int = -1) -> Array:
        """What a hidden layer makes of rows X (n, d): (n, units), of several networks side by side.

        `layer` counts hidden layers from 0, or with a negative number from the last.

        Raises `InvalidValueError` for a layer that there is not, and beside `set_output` for any but the last, whose
        columns alone have names.
        """
        model = fitted_model(self)
        frames = getattr(self, "_sklearn_output_config", {}).get("transform", "default") != "default"
        if layer != -1 and frames:
            raise InvalidValueError(must_be(type(self).__name__, "layer", "-1 beside set_output", layer))
        return self._each(X, lambda part: inspection.hidden(model, part, layer))

    def input_gradients(self, X: Any, output: int | None = None) -> Array:
        """Slope of an answer in each input, for each row: (n, d), per unit of the input as it is given.

        For amounts the answer is output number `output` in the targets' unit, for classes the logarithm of the odds of
        class number `output`; None takes what is predicted. `chainrule.inspection.input_gradients` has the equations.

        Raises `InvalidValueError` for an output that there is not, and for None where there are several targets.
        """
        model = fitted_model(self)
        return self._each(X, lambda part: inspection.input_gradients(model, part, output))

    def _each(self, X: Any, answer: Callable[[Array], Array]) -> Array:
        """An answer for rows of any kind: in one call for an array, a chunk at a time for a sparse matrix."""
        checked = rows(self, X)
        if type(checked) is np.ndarray:
            return answer(checked)
        return np.concatenate([answer(part) for part in chunks(checked)])

    @property
    def _n_features_out(self) -> int:
        model = fitted_model(self)
        return int(inspection.hidden(model, np.zeros((1, model.net.inputs))).shape[1])

    @property
    def n_iter_(self) -> int:
        """Epochs of the last call of `fit` (1 after `partial_fit`)."""
        return len(self.run_.epochs)

    @property
    def best_iteration_(self) -> int:
        """Number of the epoch whose weights are kept, from 1 and through all calls; the last without validation rows."""
        epochs = self.run_.epochs
        return int(self.run_.best_epoch or (epochs[-1].number if epochs else 0))

    @property
    def loss_(self) -> float:
        """Training loss of the last epoch: the mean over rows, without penalties, of scaled targets."""
        return float(self.loss_curve_[-1])

    @property
    def loss_curve_(self) -> list[float]:
        """Training loss of each epoch, through all calls since the weights were new; taken while the weights move."""
        return [epoch.train_loss for epoch in self.epochs_]

    @property
    def best_loss_(self) -> float | None:
        """Smallest training loss; None where validation rows chose the epoch, as in scikit-learn."""
        return min(self.loss_curve_) if self.validation_scores_ is None else None

    @property
    def validation_loss_curve_(self) -> list[float] | None:
        """Validation loss after each epoch of the last call, in the unit of `loss_curve_`; None without such rows."""
        if self.validation_scores_ is None:
            return None
        return [epoch.validation_loss for epoch in self.run_.epochs]

    @property
    def train_scores_(self) -> list[float]:
        """Training score of each epoch, through all calls: accuracy, or root mean squared error of scaled targets."""
        return [epoch.train_score for epoch in self.epochs_]

    @property
    def engine_(self) -> str:
        """Name of the engine that trained."""
        return str(self.run_.engine)

    @property
    def n_layers_(self) -> int:
        """Layers with units, inputs and outputs counted, as scikit-learn counts them."""
        return 1 + len(self.coefs_)

    @property
    def n_outputs_(self) -> int:
        """Outputs of the network: one for two classes, one for each of several classes, labels, targets, levels."""
        return int(self.model_.net.outputs)

    @property
    def out_activation_(self) -> str:
        """Scikit-learn's name of the output activation."""
        loss = self.model_.loss
        return "logistic" if loss.targets is TargetKind.LABELS else loss.link

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices (inputs, units) of the dense layers, of the first network."""
        return [W for W, _ in _dense_layers(self.model_)]

    @property
    def intercepts_(self) -> list[Array]:
        """Intercepts (units) of the dense layers, of the first network; zeros where batch norm takes their place."""
        return [b for _, b in _dense_layers(self.model_)]

    @property
    def feature_importances_(self) -> Array:
        """How much each column moves the answer, (d), of sum 1, from up to 256 of the rows that `fit` trained on.

        `chainrule.inspection.importances` has the equations; after `partial_fit`, call it with rows of your own. They are
        worked out when they are first asked for, or when the estimator is pickled: no pickle holds rows.
        """
        shares = self._importances() if fitted_model(self) is not None else None
        if shares is None:
            raise AttributeError("feature_importances_ come with fit. Call chainrule.inspection.importances with rows.")
        return shares

    def _importances(self) -> Array | None:
        """The importances, in the rows' place; None after `partial_fit`, or for a loss that does not name its link."""
        if type(self._looked_at) is tuple:
            (X, c), self._looked_at = self._looked_at, None
            rows = self.model_.inputs.undo(X.astype(np.float64))
            with suppress(InvalidValueError):
                self._looked_at = inspection.importances(self.model_, rows, c if c.any() else None)
        return self._looked_at

    def __getstate__(self) -> Any:
        if hasattr(self, "_looked_at"):
            self._importances()
        return super().__getstate__()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_clone__(self) -> Any:
        twin = super().__sklearn_clone__()
        twin.start = self.start
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _dense_layers(model: Model) -> list[tuple[Array, Array]]:
    """W and b of each dense layer, as copies."""
    views = model.net.parameters.views(model.w.copy())
    kernels = {name.removesuffix(".W"): W for name, W in views.items() if name.endswith(".W")}
    return [(W, views.get(f"{name}.b", np.zeros(W.shape[1], W.dtype))) for name, W in kernels.items()]
