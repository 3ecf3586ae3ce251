"""Why: rules over a training in progress, by what they look at: steps, the flow of signals, norms, convergence.

In: a case and its trace. Out: findings that a trial may confirm.
"""
