"""The preset for tables: a pack of networks with drawn settings, trained within a given time.

In: rows as people have them and a target. Out: a `TableFit`.
"""

from chainrule.tabular import presets
from chainrule.tabular.fitting import TableFit, fit_encoded, fit_table, time_for, time_left
from chainrule.tabular.members import TrainedMember
from chainrule.tabular.packing import PackRun, train_pack
from chainrule.tabular.preset import MemberSettings, Preset

__all__ = [
    "MemberSettings",
    "PackRun",
    "Preset",
    "TableFit",
    "TrainedMember",
    "fit_encoded",
    "fit_table",
    "presets",
    "time_for",
    "time_left",
    "train_pack",
]
