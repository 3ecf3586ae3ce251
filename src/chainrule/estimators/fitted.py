"""What a fitted network can tell, whether it predicts classes or continuous values.

In: `model_`, `run_` and what else a fit leaves. Out: hidden outputs, gradients, attributes with scikit-learn's names.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from chainrule import inspection
from chainrule.arrays import Array
from chainrule.callbacks.scikit_learn import CallbackSupportMixin
from chainrule.errors import InvalidValueError, must_be
from chainrule.estimators.rows import chunks, rows, validated
from chainrule.model import Model
from chainrule.nn.losses import TargetKind


class FittedNetwork(CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What an estimator can tell once it is fitted; not for use by itself."""

    _importance_rows: Any
    """Rows and weights to measure importances on, then the importances; None after `partial_fit`."""

    def _fitted_model(self) -> Model:
        """Return the model; raise scikit-learn's `NotFittedError` where there is none yet."""
        if not hasattr(self, "model_"):
            check_is_fitted(self)
        model: Model = self.model_
        return model

    def transform(self, X: Any, layer: int = -1) -> Array:
        """Return the outputs of a hidden layer.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows in the user's units.
        layer : int, default=-1
            Number of the hidden layer from 0, or with a negative number from the last.

        Returns
        -------
        ndarray of shape (n, units)
            Of several networks side by side.

        Raises
        ------
        InvalidValueError
            For a layer that does not exist, and with `set_output` for any but the last, whose columns alone have names.

        Examples
        --------
        >>> import numpy as np
        >>> from chainrule import NetRegressor
        >>> X = np.linspace(-1, 1, 20)[:, None]
        >>> NetRegressor((4,), max_iter=5, random_state=0).fit(X, X[:, 0]).transform(X).shape
        (20, 4)
        """
        model = self._fitted_model()
        frames = getattr(self, "_sklearn_output_config", {}).get("transform", "default") != "default"
        if layer != -1 and frames:
            raise InvalidValueError(must_be(type(self).__name__, "layer", "-1 beside set_output", layer))
        return self._each(X, lambda part: inspection.hidden(model, part, layer))

    def input_gradients(self, X: Any, output: int | None = None) -> Array:
        """Return the derivative of an output with respect to each input, for each row.

        `chainrule.inspection.input_gradients` has the equations.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows in the user's units.
        output : int or None, default=None
            Number of the value, in the targets' unit, or of the class, by the logarithm of its odds; None takes what is
            predicted.

        Returns
        -------
        ndarray of shape (n, d)
            Per unit of the input as it is given.

        Raises
        ------
        InvalidValueError
            For an output that does not exist, and for None where there are several targets.

        Examples
        --------
        >>> import numpy as np
        >>> from chainrule import NetRegressor
        >>> X = np.linspace(-1, 1, 20)[:, None]
        >>> NetRegressor((), max_iter=5, random_state=0).fit(X, X[:, 0]).input_gradients(X).shape
        (20, 1)
        """
        model = self._fitted_model()
        return self._each(X, lambda part: inspection.input_gradients(model, part, output))

    def _each(self, X: Any, answer: Callable[[Array], Array]) -> Array:
        """Return an answer for rows of any kind: in one call for an array, a chunk at a time for a sparse matrix."""
        checked = rows(self, X)
        if type(checked) is np.ndarray:
            try:
                return answer(checked)
            except InvalidValueError:
                validated(self, checked)  # scikit-learn's own words, where it refuses the rows too
                raise
        return np.concatenate([answer(part) for part in chunks(checked)])

    @property
    def _n_features_out(self) -> int:
        model = self._fitted_model()
        return int(inspection.hidden(model, np.zeros((1, model.net.inputs))).shape[1])

    @property
    def n_iter_(self) -> int:
        """Epochs of the last call of `fit` (1 after `partial_fit`)."""
        return len(self.run_.epochs)

    @property
    def best_iteration_(self) -> int:
        """Number of the epoch whose weights are kept, from 1 and over all calls; the last without validation rows."""
        epochs = self.run_.epochs
        return int(self.run_.best_epoch or (epochs[-1].number if epochs else 0))

    @property
    def loss_(self) -> float:
        """Training loss of the last epoch: the mean over rows, without penalties, of scaled targets."""
        return float(self.loss_curve_[-1])

    @property
    def loss_curve_(self) -> list[float]:
        """Training loss of each epoch, over all calls since the weights were new; measured while the weights move."""
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
        """Training score of each epoch, over all calls: accuracy, or root mean squared error of scaled targets."""
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
        """How much each column moves the prediction, (d), of sum 1, from up to 256 of the rows that `fit` trained on.

        `chainrule.inspection.importances` has the equations; after `partial_fit`, call that with rows of your own. They are
        computed on first access, or when the estimator is pickled: no pickle holds rows.
        """
        shares = self._importances() if self._fitted_model() is not None else None
        if shares is None:
            raise AttributeError("feature_importances_ come with fit. Call chainrule.inspection.importances with rows.")
        return shares

    def _importances(self) -> Array | None:
        """Return the importances; None after `partial_fit`, or for a loss that does not name its link."""
        if type(self._importance_rows) is tuple:
            X, c = self._importance_rows
            self._importance_rows = None
            rows = self.model_.inputs.undo(X.astype(np.float64))
            with suppress(InvalidValueError):
                self._importance_rows = inspection.importances(self.model_, rows, c if c.any() else None)
        return self._importance_rows

    def __getstate__(self) -> Any:
        if hasattr(self, "_importance_rows"):
            self._importances()
        return super().__getstate__()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_clone__(self) -> Any:
        clone = super().__sklearn_clone__()
        clone.init_from = self.init_from
        return clone

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _dense_layers(model: Model) -> list[tuple[Array, Array]]:
    """Return W and b of each dense layer, as copies."""
    views = model.net.parameters.views(model.w.copy())
    kernels = {name.removesuffix(".W"): W for name, W in views.items() if name.endswith(".W")}
    return [(W, views.get(f"{name}.b", np.zeros(W.shape[1], W.dtype))) for name, W in kernels.items()]
