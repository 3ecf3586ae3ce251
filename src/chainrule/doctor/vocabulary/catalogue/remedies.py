"""List the remedies, each once with all its properties.

In: nothing. Out: `ENTRIES`, in the order of the causes that they correct; a screening tests them in this order.
"""

from chainrule.doctor.vocabulary.catalogue.records import FROM_PROBLEM, Remedy
from chainrule.doctor.vocabulary.thresholds import USUAL

DATA = (
    Remedy("drop-bad-rows", "Train without the rows whose target contradicts those of their neighbors."),
    Remedy(
        "fill-strange-cells",
        "Replace values far from all others of their column by its median.",
        problem_specific=True,
        safe=True,
    ),
    Remedy(
        "drop-wild-targets",
        "Train without the rows whose target is far from all others.",
        problem_specific=True,
        safe=True,
        changes_units=True,
    ),
    Remedy(
        "align-validation",
        "Give the validation columns the order, means and standard deviations of the training columns.",
        problem_specific=True,
    ),
    Remedy(
        "standardize-inputs",
        "Scale every input column to mean 0 and standard deviation 1.",
        settings={"scaling": "columns"},
        problem_specific=True,
        safe=True,
    ),
    Remedy(
        "standardize-targets",
        "Scale every target column of a regression to mean 0 and standard deviation 1.",
        problem_specific=True,
        safe=True,
        changes_units=True,
    ),
    Remedy(
        "class-weights",
        "Weight the rows so that every class counts the same.",
        settings={"class_weight": "balanced"},
        problem_specific=True,
        changes_units=True,
        reweights_classes=True,
    ),
    Remedy(
        "label-smoothing",
        "Spread a tenth of each label over all classes.",
        settings={"label_smoothing": USUAL.label_smoothing},
        changes_units=True,
    ),
)

NETWORK = (
    Remedy(
        "matching-loss",
        "Use the loss that the targets require, on the bare output of the last affine layer.",
        settings={"loss": FROM_PROBLEM},
        problem_specific=True,
        safe=True,
        changes_units=True,
    ),
    Remedy(
        "no-output-activation",
        "Remove the activation between the last affine layer and the loss.",
        problem_specific=True,
        safe=True,
        changes_units=True,
    ),
    Remedy(
        "no-hidden-softmax",
        "Replace every softmax between layers with relu.",
        settings={"activation": "relu"},
        problem_specific=True,
        safe=True,
    ),
    Remedy(
        "no-hidden-sigmoid",
        "Replace every sigmoid between layers with tanh.",
        settings={"activation": "tanh"},
        problem_specific=True,
    ),
    Remedy(
        "one-activation", "Keep only the first of several consecutive activations.", problem_specific=True, safe=True
    ),
    Remedy(
        "add-nonlinearity",
        "Add relu after every hidden affine layer that has no activation.",
        settings={"activation": "relu"},
        problem_specific=True,
        safe=True,
        may_be_intended=True,
    ),
    Remedy(
        "add-hidden-layer",
        "Add a hidden layer of 32 units with relu.",
        settings={"hidden_layer_sizes": FROM_PROBLEM, "activation": "relu"},
        problem_specific=True,
    ),
    Remedy("add-bias", "Add a bias to every dense layer that no norm layer follows.", problem_specific=True),
    Remedy(
        "he-init",
        "Draw the initial weights by the rule that suits each activation.",
        settings={"initializer": None},
        problem_specific=True,
        safe=True,
    ),
    Remedy("library-layers", "Replace custom layers with the library's layers.", problem_specific=True, safe=True),
    Remedy(
        "unfreeze",
        "Train every parameter at the full learning rate.",
        settings={"learning_rate_multipliers": {}},
        problem_specific=True,
    ),
)

_RATE = {"learning_rate_init": FROM_PROBLEM}

SETTINGS = (
    Remedy("rate/1000", "Divide the learning rate by 1000.", settings=_RATE, lowers_rate=True),
    Remedy("rate/100", "Divide the learning rate by 100.", settings=_RATE, lowers_rate=True),
    Remedy(
        "rate/10",
        "Divide the learning rate by 10.",
        settings=_RATE,
        lowers_rate=True,
        learning_only=True,
        screens_for="learning-rate-too-high",
    ),
    Remedy(
        "rate*10",
        "Multiply the learning rate by 10.",
        settings=_RATE,
        helps_any=True,
        screens_for="learning-rate-too-low",
    ),
    Remedy("rate*100", "Multiply the learning rate by 100.", settings=_RATE, helps_any=True),
    Remedy("rate*1000", "Multiply the learning rate by 1000.", settings=_RATE, helps_any=True),
    Remedy("usual-rate", "Use the usual learning rate of this optimizer.", settings=_RATE, helps_any=True),
    Remedy(
        "usual-settings",
        "Use the default settings of this optimizer.",
        settings={"optimizer": FROM_PROBLEM},
        problem_specific=True,
        learning_only=True,
        screens_for="optimizer-settings",
    ),
    Remedy("adam", "Use Adam with its default settings.", settings={"optimizer": "adam", **_RATE}),
    Remedy("clip", "Limit the norm of the gradient.", settings={"max_grad_norm": USUAL.clip_norm}),
    Remedy(
        "no-clip",
        "Turn gradient clipping off.",
        settings={"max_grad_norm": None},
        problem_specific=True,
        learning_only=True,
        screens_for="clipping-too-tight",
    ),
    Remedy(
        "larger-batch",
        "Use at least 32 rows per batch, and at least four times as many as now.",
        settings={"batch_size": FROM_PROBLEM},
        fixes_tiny_norm_batch=True,
        joins_others=True,
        helps_any=True,
    ),
    Remedy(
        "smaller-batch",
        "Use at most 32 rows per batch.",
        settings={"batch_size": FROM_PROBLEM},
        problem_specific=True,
        learning_only=True,
        screens_for="batch-too-large",
    ),
    Remedy(
        "no-penalty",
        "Turn the penalty and the weight decay off.",
        settings={"alpha": 0.0},
        problem_specific=True,
        screens_for="over-regularized",
    ),
    Remedy("penalty/10", "Divide the penalty and the weight decay by 10.", settings={"alpha": FROM_PROBLEM}),
    Remedy(
        "constant-schedule",
        "Keep the learning rate constant.",
        settings={"schedule": "constant"},
        problem_specific=True,
        learning_only=True,
        screens_for="schedule-too-early",
    ),
)

ARCHITECTURE = (
    Remedy(
        "relu",
        "Use relu in every hidden layer.",
        settings={"activation": "relu"},
        problem_specific=True,
        learning_only=True,
        screens_for="saturated-units",
    ),
    Remedy("tanh", "Use tanh in every hidden layer.", settings={"activation": "tanh"}, helps_any=True),
    Remedy("leaky-relu", "Use leaky relu in every hidden layer.", settings={"activation": "leaky_relu"}),
    Remedy(
        "batch-norm",
        "Add batch norm before every hidden activation.",
        settings={"batch_norm": True, "layer_norm": False},
        screens_for="activation-drift",
        helps_any=True,
    ),
    Remedy(
        "layer-norm",
        "Replace batch norm with layer norm.",
        settings={"batch_norm": False, "layer_norm": True},
        fixes_tiny_norm_batch=True,
    ),
    Remedy("fresh-statistics", "Use batch norm with its default momentum.", problem_specific=True),
    Remedy(
        "no-dropout",
        "Remove dropout.",
        settings={"dropout": 0.0},
        problem_specific=True,
        screens_for="dropout-too-high",
    ),
    Remedy(
        "longer",
        "Train for three times the epochs, and for at least 1,500 steps.",
        settings={"max_iter": FROM_PROBLEM},
        lengthens=True,
        joins_others=True,
        screens_for="undertrained",
        helps_any=True,
    ),
    Remedy("shorter", "Train for half the epochs.", settings={"max_iter": FROM_PROBLEM}, helps_any=True),
    Remedy(
        "stronger-penalty",
        "Use ten times the penalty, or an L2 penalty of 0.01 if there is none.",
        settings={"alpha": FROM_PROBLEM},
        helps_any=True,
    ),
    Remedy(
        "larger-network",
        "Make the hidden layers four times as wide.",
        settings={"hidden_layer_sizes": FROM_PROBLEM},
        screens_for="underfitting",
        helps_any=True,
    ),
    Remedy(
        "smaller-network",
        "Make the hidden layers a quarter as wide.",
        settings={"hidden_layer_sizes": FROM_PROBLEM},
        helps_any=True,
    ),
    Remedy("fewer-layers", "Keep two hidden layers.", settings={"hidden_layer_sizes": FROM_PROBLEM}),
)

ENTRIES = (*DATA, *NETWORK, *SETTINGS, *ARCHITECTURE)
"""Every remedy."""
