"""Everything between a file and the arrays a network sees: loading, checking, splitting, scaling.

In: a source by name or path. Out: `Dataset`, `Parts`, `Standardizer`. Importing this costs no more than NumPy: polars
and scikit-learn are imported with the first table or toy set.
"""

from chainrule.data.dataset import Dataset
from chainrule.data.folds import folds
from chainrule.data.idx import load_idx, mnist, read_idx
from chainrule.data.scaling import Standardizer
from chainrule.data.sources import BUILTIN, features_of, load
from chainrule.data.splits import Parts, split, split_by_group, split_by_time, three_way
from chainrule.data.targets import Task, check_classes, infer_task, settle_target

__all__ = [
    "BUILTIN",
    "Dataset",
    "Parts",
    "Standardizer",
    "Task",
    "check_classes",
    "features_of",
    "folds",
    "infer_task",
    "load",
    "load_idx",
    "mnist",
    "read_idx",
    "settle_target",
    "split",
    "split_by_group",
    "split_by_time",
    "three_way",
]
