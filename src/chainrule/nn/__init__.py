"""Why: the whole mathematics of dense networks, pure, each equation written once, over any array namespace.

In: plain arrays and frozen descriptions. Out: values and hand-derived gradients; nothing here reads, writes or
keeps state.
"""
