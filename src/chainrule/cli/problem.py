"""From a source and options to a training problem, for every command that trains.

In: a source, what the user typed. Out: a `LoadedProblem`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from chainrule.cli import options as o
from chainrule.cli.unused import refuse, source_facts
from chainrule.data import Dataset, Parts, load, three_way
from chainrule.errors import must_be, raise_all
from chainrule.pipeline import Settings, Situation, build_problem, unused
from chainrule.pipeline.option_names import COMMAND_LINE, option_name
from chainrule.train import TrainingProblem, find_learning_rate


@dataclass(frozen=True, eq=False)
class LoadedProblem:
    """A training problem with the settings and the parts of the data that it was made of."""

    settings: Settings
    parts: Parts = field(repr=False)
    problem: TrainingProblem


def load_problem(source: str, options: o.TrainOptions, command: str, quiet: bool) -> LoadedProblem:
    """Load and split the data, make the problem, and find the learning rate where that is wanted."""
    settings = options.settings(command)
    dataset = load(source, options.target, task=options.task, seed=settings.seed, read=options.reading(command))
    refuse(command, source_facts(source, own_test=dataset.test is not None))
    raise_all(
        [*_option_faults(command, options, dataset), *unused(command, settings, Situation(dataset.task), option_name)]
    )
    parts = three_way(dataset, options.test_fraction, options.validation_fraction, settings.seed)
    raise_all(_batch_faults(command, settings, len(parts.train.y)))
    if options.scaling is None and dataset.shared_unit:
        settings = replace(settings, scaling="shared")
    problem = build_problem(settings, parts, class_weight=options.class_weight)
    problem = replace(problem, interface=COMMAND_LINE)
    if not quiet:
        _show_reading(dataset)
    if options.lr != "find":
        return LoadedProblem(settings, parts, problem)
    rate = find_learning_rate(problem).suggestion
    if not quiet:
        o.console(stderr=True).print(f"learning rate {rate:.2g} (range test)")
    return LoadedProblem(replace(settings, learning_rate_init=rate), parts, problem.with_learning_rate(rate))


def _show_reading(dataset: Dataset) -> None:
    """Print how a table was read, its task, and what the user should know about its columns."""
    out = o.console(stderr=True)
    how = "; ".join(dataset.facts)
    warnings = dataset.schema.warnings if dataset.schema is not None else ()
    for sentence in (f"read {dataset.name}: {how}" if how else "", dataset.target_sentence, *warnings):
        if sentence:
            out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _option_faults(command: str, options: o.TrainOptions, dataset: Dataset) -> Iterator[str]:
    """Yield a sentence for every option that this task has no use for."""
    if options.class_weight is not None and dataset.task == "regression":
        yield must_be(command, "--class-weight", "left out for a regression", options.class_weight)


def _batch_faults(command: str, settings: Settings, n: int) -> Iterator[str]:
    size = settings.batch_size
    if isinstance(size, int) and size > n:
        hint = "Use fewer, or 'full' for all rows."
        yield must_be(command, "--batch-size", f"at most the number of training rows ({n})", size, hint)
