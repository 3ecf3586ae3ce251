"""Benchmarks of speed, side by side in one run, so that anyone can repeat every published figure.

In: workloads, peers. Out: microseconds per step with their spread, ratios, shares of what the machine can do.
"""
