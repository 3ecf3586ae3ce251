"""Rules: suspect causes from the configuration, the data, checks before training, and the training itself.

In: a training problem and its trace. Out: `RULES`, each a pure function that returns a finding or None.
"""

from chainrule.doctor.rules import configuration, data, preflight, training
from chainrule.doctor.vocabulary.records import Rule

RULES: tuple[Rule, ...] = (*configuration.RULES, *data.RULES, *preflight.RULES, *training.RULES)
"""Every rule, by what it reads."""
