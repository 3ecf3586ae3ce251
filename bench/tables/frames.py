"""The polars frame of a table as the peers want it: pandas columns of numbers and of the category dtype.

In: features for training and for the test. Out: two pandas frames with the same columns and categories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import pandas as pd

MISSING = "(missing)"
"""The category that stands for a gap where a peer knows no gaps in categories."""


def with_date_parts(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace each date by its days since 1970, month, and weekday; a moment also by its hour."""
    for name, dtype in frame.schema.items():
        if not dtype.is_temporal():
            continue
        date = pl.col(name)
        days = date.cast(pl.Datetime("us")).dt.epoch("us") / 86_400e6
        parts = {"days": days, "month": date.dt.month(), "weekday": date.dt.weekday()}
        if dtype == pl.Datetime:
            parts["hour"] = date.dt.hour()
        frame = frame.with_columns(part.alias(f"{name}_{key}") for key, part in parts.items()).drop(name)
    return frame


def pandas_frames(
    train: pl.DataFrame, test: pl.DataFrame, most: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return pandas frames whose categories are those of the training rows, the `most` frequent ones if given."""
    import pandas as pd

    train, test = with_date_parts(train), with_date_parts(test)
    columns: tuple[dict[str, object], dict[str, object]] = ({}, {})
    for name, dtype in train.schema.items():
        if dtype == pl.String:
            counts = train[name].drop_nulls().value_counts().sort(["count", name], descending=[True, False])
            kept = sorted(counts[name][:most].to_list())
            known = pd.CategoricalDtype(kept)
            members = set(kept)
            for part, made in zip((train, test), columns, strict=True):
                texts = [text if text in members else None for text in part[name].to_list()]
                made[name] = pd.Categorical(texts, dtype=known)
        else:
            for part, made in zip((train, test), columns, strict=True):
                made[name] = part[name].cast(pl.Float64).to_numpy()
    return pd.DataFrame(columns[0]), pd.DataFrame(columns[1])


def as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its categories as texts, a gap or an unknown category as a text of its own."""
    frame = frame.copy()
    for name in category_names(frame):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), MISSING).astype(str)
    return frame


def category_names(frame: pd.DataFrame) -> list[str]:
    """Return the names of the columns of the category dtype."""
    return [name for name in frame.columns if frame[name].dtype == "category"]


def median_filled(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both frames with the gaps of numbers filled by the training rows' medians, or 0 if all are missing."""
    numbers = train.select_dtypes("number").columns
    medians = train[numbers].median().fillna(0.0)
    return tuple(part.assign(**part[numbers].fillna(medians)) for part in (train, test))  # type: ignore[return-value]
