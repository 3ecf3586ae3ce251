"""A monitor that writes event files, from which TensorBoard draws the curves of many runs side by side.

In: epoch records. Out: event files, one folder for each run below the given one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainrule.callbacks.optional import optional
from chainrule.train import Decision, Epoch, Run, TrainingProblem


@dataclass(frozen=True)
class TensorBoardLogger:
    """A monitor that writes every epoch's losses, scores, learning rate and gradient norm for TensorBoard.

    Each run gets a folder of its own, `run-1`, `run-2`, ..., so that one logger serves repeated fits and several networks
    trained at once. Figures that were not measured are left out. View them with `tensorboard --logdir FOLDER`. Needs
    `pip install 'chainrule[tensorboard]'`.

    Parameters
    ----------
    folder : str or Path
        The folder that holds the runs' folders.

    Raises
    ------
    MissingError
        At the start of a run where the package is not installed.

    Examples
    --------
    >>> TensorBoardLogger("logs").folder
    'logs'
    """

    folder: str | Path

    def start(self, problem: TrainingProblem) -> Any:
        """Open a writer."""
        summary = optional("tensorboard.summary", "tensorboard", "TensorBoardLogger")
        return summary.Writer(str(_next_folder(Path(self.folder))))

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """Write one point of each curve, readable at once."""
        for tag, value in scalars(epoch).items():
            memory.add_scalar(tag, value, epoch.number)
        memory.flush()
        return memory, Decision()

    def end(self, memory: Any, run: Run | None) -> None:
        """Close the file."""
        memory.close()


def scalars(epoch: Epoch) -> dict[str, float]:
    """Return finite figures under TensorBoard's names, which put curves of one kind into one picture."""
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
    """Make and return the first `run-N` that did not exist."""
    number = 1
    while True:
        place = folder / f"run-{number}"
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return place
