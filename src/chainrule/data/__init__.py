"""Why: everything between a file and the arrays a network sees: loading, checking, splitting, scaling.

In: a source by name or path. Out: `Dataset`, `Parts`, `Standardizer`. Importing this costs no more than
numpy: polars and scikit-learn come in with the first table or toy set.
"""

from chainrule.data.dataset import Dataset as Dataset
from chainrule.data.idx import load_idx as load_idx
from chainrule.data.idx import mnist as mnist
from chainrule.data.idx import read_idx as read_idx
from chainrule.data.scaling import Standardizer as Standardizer
from chainrule.data.sources import BUILTIN as BUILTIN
from chainrule.data.sources import features_of as features_of
from chainrule.data.sources import load as load
from chainrule.data.splits import Parts as Parts
from chainrule.data.splits import split as split
from chainrule.data.splits import three_way as three_way
from chainrule.data.targets import Task as Task
from chainrule.data.targets import check_classes as check_classes
from chainrule.data.targets import infer_task as infer_task
from chainrule.data.targets import settle_target as settle_target
