"""The lecture's claims as experiments that anyone can run, and whose answer may be no.

In: a study's name and a configuration. Out: records, a conclusion made from them, pictures, a page.
"""

from collections.abc import Mapping

from chainrule.studies import (
    activations,
    adam_betas,
    annealing,
    basic_advanced,
    batch_norm,
    batch_of_one,
    batch_size,
    caching,
    clipping,
    cost_curves,
    depth,
    descent_paths,
    dropout,
    equal_rates,
    initialization,
    input_scaling,
    lecture_network,
    linear_collapse,
    momentum,
    noisy_labels,
    optimizers,
    pretraining,
    random_search,
    rate_decades,
    rate_test,
    saturation,
    schedules,
    softmax,
    symmetry,
    ten_layers,
    transfer,
    unequal_widths,
)
from chainrule.studies.papers import PAPERS
from chainrule.studies.runner import run
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_MODULES = (
    batch_norm,
    optimizers,
    dropout,
    rate_test,
    depth,
    transfer,
    schedules,
    clipping,
    softmax,
    random_search,
    initialization,
    activations,
    input_scaling,
    batch_size,
    momentum,
    basic_advanced,
    linear_collapse,
    symmetry,
    caching,
    saturation,
    ten_layers,
    cost_curves,
    descent_paths,
    adam_betas,
    lecture_network,
    noisy_labels,
    rate_decades,
    pretraining,
    annealing,
    batch_of_one,
    equal_rates,
    unequal_widths,
)

STUDIES: Mapping[str, Study] = {module.STUDY.name: module.STUDY for module in _MODULES}
"""Every study by name: the lecture's ten exercises in its order, its other claims, its pictures, four exercises in a
setting in which the effect shows, and three claims beside the first setting in which they fail."""

__all__ = ["PAPERS", "STUDIES", "Cell", "Conclusion", "Results", "Study", "StudyConfig", "run"]
