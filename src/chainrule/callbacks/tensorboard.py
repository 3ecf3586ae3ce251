"""Why: curves of many runs side by side are what TensorBoard draws; it reads event files from a folder.

In: epoch records. Out: event files, one folder below the given one for each run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainrule.callbacks.optional import optional
from chainrule.train import Decision, Epoch


@dataclass(frozen=True)
class TensorBoardLogger:
    """Writes every epoch's losses, scores, learning rate and gradient norm; look at them with `tensorboard --logdir FOLDER`.

    Each run gets a folder of its own, `run-1`, `run-2`, ..., so that one logger serves repeated fits and several networks
    trained at once. Figures that were not measured are left out. Needs `pip install chainrule[tensorboard]`.

    Raises `MissingError` at the start of a run where the package is not installed.
    """

    folder: str | Path

    def start(self, epochs: int) -> Any:
        """An open writer."""
        summary = optional("tensorboard.summary", "tensorboard", "TensorBoardLogger")
        return summary.Writer(str(_next_folder(Path(self.folder))))

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """Write one point of each curve, readable at once."""
        for tag, value in scalars(epoch).items():
            memory.add_scalar(tag, value, epoch.number)
        memory.flush()
        return memory, Decision()

    def end(self, memory: Any) -> None:
        """Close the file."""
        memory.close()


def scalars(epoch: Epoch) -> dict[str, float]:
    """Finite figures under TensorBoard's names, which put curves of one kind into one picture."""
    figures = {
        "loss/train": epoch.train_loss,
        "loss/validation": epoch.validation_loss,
        f"{epoch.metric}/train": epoch.train_score,
        f"{epoch.metric}/validation": epoch.validation_score,
        "steps/learning_rate": epoch.learning_rate,
        "steps/gradient_norm": epoch.gradient_norm,
        "steps/seconds": epoch.seconds,
    }
    return {tag: value for tag, value in figures.items() if math.isfinite(value)}


def _next_folder(folder: Path) -> Path:
    """The first `run-N` that did not exist; making it is what claims it."""
    number = 1
    while True:
        place = folder / f"run-{number}"
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return place
