"""Why: the estimators' tests share small networks. In: a kind, options. Out: estimators that train in a moment."""

from chainrule import NetClassifier, NetRegressor

KINDS = [NetClassifier, NetRegressor]


def network(make=NetClassifier, **options):
    """One hidden layer of 8 and 20 epochs at most on the reference engine, where the options do not say otherwise."""
    usual = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0, "engine": "reference"}
    return make(**usual | options)
