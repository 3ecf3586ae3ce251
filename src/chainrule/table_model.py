"""A model for tables: it knows the columns it was trained on, and takes rows as people have them.

In: frames, dictionaries, lists of dictionaries, arrays. Out: what a `Predictor` answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from chainrule.arrays import Array, MatrixLike
from chainrule.data import Standardizer
from chainrule.data.row_sketch import RowSketch
from chainrule.data.table import TableSchema
from chainrule.model import Model
from chainrule.nn.losses import Loss
from chainrule.pack import Pack
from chainrule.prediction import Classes, Predictor


@dataclass(frozen=True, eq=False)
class TableModel(Predictor):
    """A trained network or pack, together with the description of the table it was trained on.

    Columns are found by name, in any order; other columns are ignored. Gaps and categories that training did not see have
    a place of their own.

    Parameters
    ----------
    schema : TableSchema
        The columns, and how each becomes numbers.
    core : Model or Pack
        What predicts from those numbers: a `Model` takes the plain matrix (gaps filled, categories one-hot), a `Pack` the
        features.
    """

    schema: TableSchema = field(repr=False)
    core: Model | Pack

    @property
    def loss(self) -> Loss:  # type: ignore[override]
        """The loss it was trained with."""
        return self.core.loss

    @property
    def targets(self) -> Standardizer | None:  # type: ignore[override]
        """The scaling of a regression's outputs."""
        return self.core.targets

    @property
    def classes(self) -> Classes:  # type: ignore[override]
        """The classes in order; None for a regression."""
        return self.core.classes

    @property
    def target_name(self) -> str:  # type: ignore[override]
        """The name of what is predicted."""
        return self.core.target_name

    @property
    def temperature(self) -> float:  # type: ignore[override]
        """What the logits are divided by before they become probabilities."""
        return self.core.temperature

    @property
    def limits(self) -> tuple[float, float] | None:  # type: ignore[override]
        """Lowest and highest value that a regression predicts."""
        return self.core.limits

    @property
    def trained_on(self) -> RowSketch | None:
        """Hashes of the rows it was trained on."""
        return self.core.trained_on

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns that it needs."""
        return tuple(column.name for column in self.schema.columns if column.used)

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return self.core.outputs

    def as_matrix(self, X: MatrixLike, notes: list[str] | None = None) -> Array:
        """Return rows as the matrix that the network or the pack takes.

        Parameters
        ----------
        X : frame, dictionary, list of dictionaries, array or sequence of rows
            n rows in the user's units; a dictionary is one row.
        notes : list of str, default=None
            Receives a sentence for everything unusual about the rows: categories that training did not see, values far
            outside of the training range, columns that are ignored.

        Returns
        -------
        array of shape (n, d)

        Raises
        ------
        InvalidValueError
            In one line, for missing columns and cells that cannot be read.
        """
        return self.read("Model", X, notes)

    def read(self, owner: str, rows: MatrixLike, notes: list[str] | None = None) -> Array:
        """Return rows as `as_matrix` does; messages begin with the name of the rows' owner.

        Parameters
        ----------
        owner : str
            What messages name, such as a file.
        rows : frame, dictionary, list of dictionaries, array or sequence of rows
            n rows in the user's units.
        notes : list of str, default=None
            Receives a sentence for everything unusual about the rows.

        Returns
        -------
        array of shape (n, d)

        Raises
        ------
        InvalidValueError
            In one line, for missing columns and cells that cannot be read.
        """
        read = self.schema.encode if isinstance(self.core, Pack) else self.schema.design
        return read(owner, rows, notes)

    def matrix_logits(self, X: Array) -> Array:
        """Return the outputs of the last layer, before the link.

        Parameters
        ----------
        X : array of shape (n, d)
            What `as_matrix` returned.

        Returns
        -------
        array of shape (n, k)
        """
        return self.core.matrix_logits(X)

    def _predict(self, X: Array) -> Array:
        """Predict as the pack does, which reaches its parts without going through the table's model."""
        return self.core._predict(X) if isinstance(self.core, Pack) else super()._predict(X)

    def _probabilities(self, X: Array) -> Array:
        """Return the pack's probabilities in the same way."""
        return self.core._probabilities(X) if isinstance(self.core, Pack) else super()._probabilities(X)

    def _value_type(self, Z: Array, X: Array) -> Any:
        """Return float64: features are float32 inside, but the user's values need not be."""
        return np.float64

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
