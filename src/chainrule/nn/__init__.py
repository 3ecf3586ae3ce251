"""The mathematics of dense networks: pure functions, each equation written once, for NumPy and JAX alike.

In: plain arrays and frozen settings. Out: values and hand-derived gradients. Nothing here reads files, writes files or
keeps state.
"""
