"""Why: a claim of speed is worth what it takes to repeat it; this room measures, side by side, in one run.

In: workloads, peers. Out: microseconds per step with their spread, ratios, shares of what the machine can do.
"""
