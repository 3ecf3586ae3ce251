"""Several processes that train one network together: who takes part, whether all agree, and what happens if one is gone."""

from chainrule.world.membership import World, check_agreement, current, fingerprint, joined, tree_parts
from chainrule.world.watchdog import EXIT_BROKEN, Watchdog, give_up

__all__ = [
    "EXIT_BROKEN",
    "Watchdog",
    "World",
    "check_agreement",
    "current",
    "fingerprint",
    "give_up",
    "joined",
    "tree_parts",
]
