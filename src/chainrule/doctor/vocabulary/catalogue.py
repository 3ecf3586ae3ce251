"""Why: what may help against a symptom, and what kind of a finding it makes, is knowledge to read and to extend, not code.

In: nothing. Out: tables of symptoms: the changes that are tried, and how far a finding speaks for itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.doctor.vocabulary.records import SYMPTOMS

REMEDIES: Mapping[str, tuple[str, ...]] = {
    "constant-feature": (),
    "unnormalized-inputs": ("standardize-inputs",),
    "tiny-inputs": ("standardize-inputs",),
    "target-scale": ("standardize-targets",),
    "class-imbalance": ("class-weights",),
    "label-noise": ("drop-bad-rows",),
    "output-loss-mismatch": ("matching-loss", "no-output-activation"),
    "output-range": ("no-output-activation", "matching-loss", "standardize-targets"),
    "wrong-loss": ("matching-loss",),
    "hidden-softmax": ("no-hidden-softmax",),
    "linear-collapse": ("add-nonlinearity",),
    "doubled-activation": ("one-activation",),
    "dropout-before-norm": ("no-dropout",),
    "dropout-too-high": ("no-dropout",),
    "symmetric-weights": ("he-init",),
    "init-scale": ("he-init",),
    "wrong-initial-loss": ("he-init", "standardize-inputs", "standardize-targets"),
    "frozen-layer": ("unfreeze", "library-layers"),
    "learning-rate-too-high": ("rate/10", "rate/100", "rate/1000"),
    "learning-rate-too-low": ("rate*10", "rate*100", "rate*1000", "usual-rate"),
    "optimizer-settings": ("usual-settings", "adam"),
    "oscillating-loss": ("larger-batch", "rate/10"),
    "clipping-too-tight": ("no-clip",),
    "batch-too-small": ("larger-batch",),
    "batch-too-large": ("smaller-batch",),
    "over-regularized": ("no-penalty",),
    "schedule-too-early": ("constant-schedule",),
    "vanishing-gradient": ("relu", "no-hidden-sigmoid", "batch-norm", "fewer-layers"),
    "exploding-gradient": ("clip", "batch-norm", "relu", "tanh"),
    "dead-units": ("leaky-relu", "batch-norm"),
    "saturated-units": ("relu", "batch-norm"),
    "activation-drift": ("batch-norm",),
    "batch-norm-tiny-batch": ("larger-batch", "layer-norm"),
    "batch-norm-statistics": ("fresh-statistics",),
    "train-eval-gap": ("library-layers", "no-dropout"),
    "undertrained": ("longer",),
    "underfitting": ("add-bias", "larger-network"),
    "loss-metric-disagreement": ("matching-loss",),
    "overfitting": ("shorter", "stronger-penalty", "smaller-network"),
}
"""What is tried on a suspicion, in turn."""

UNTRIED: Mapping[str, tuple[str, ...]] = {
    "not-a-descent-direction": ("adam", "library-layers", "matching-loss"),
    "wrong-gradient": ("library-layers", "matching-loss"),
    "sample-mixing": ("library-layers", "matching-loss"),
    "too-little-data": ("smaller-network", "stronger-penalty"),
}
"""Remedies of findings that are their own evidence, so that no trial was needed to name them."""

SAFE = frozenset({
    "standardize-inputs", "standardize-targets", "matching-loss", "no-output-activation", "no-hidden-softmax",
    "one-activation", "add-nonlinearity", "he-init", "library-layers",
})  # fmt: skip
"""Changes that put right what no training needs to be wrong: they need not prove themselves, only not harm."""

SCREEN: Mapping[str, str] = {
    "rate/10": "learning-rate-too-high",
    "rate*10": "learning-rate-too-low",
    "usual-settings": "optimizer-settings",
    "no-clip": "clipping-too-tight",
    "smaller-batch": "batch-too-large",
    "no-penalty": "over-regularized",
    "constant-schedule": "schedule-too-early",
    "relu": "saturated-units",
    "batch-norm": "activation-drift",
    "no-dropout": "dropout-too-high",
    "longer": "undertrained",
    "larger-network": "underfitting",
}
"""What is tried where a training went badly and no suspicion was borne out, and what it is called when it helps."""

DATA = SYMPTOMS[: SYMPTOMS.index("output-loss-mismatch")]
"""Symptoms of the rows."""

FACTS = frozenset({
    "nan-input", "label-conflict", "duplicate-rows-across-split", "statistics-leakage", "label-noise", "misaligned-labels",
    "noisy-inputs", "too-little-data", "constant-output", "wrong-gradient", "not-a-descent-direction", "input-ignored",
    "sample-mixing", "cannot-overfit-batch", "nan-loss", "not-decreasing", "suspicious-validation", "no-validation",
    "stopped-too-early",
})  # fmt: skip
"""Findings that are their own evidence: a measurement or a count, where no remedy could be tried."""

CERTAIN = frozenset({"nan-input", "label-conflict", "constant-output", "wrong-gradient", "sample-mixing"})
"""Facts that no other cause explains."""

EVIDENCE = frozenset({
    "duplicate-rows-across-split", "statistics-leakage", "suspicious-validation", "no-validation", "stopped-too-early",
})  # fmt: skip
"""Findings that spoil what is known of a network, not the network: they explain no other, and no other explains them."""

WEAK = frozenset({"too-little-data", "constant-feature", "duplicate-feature"})
"""Facts about rows that do not keep a network from fitting them."""

ALWAYS = frozenset({"class-imbalance", "symmetric-weights"})
"""Tried even as information, and kept whatever the trial says: weights cannot replace rows, and nobody means units to start
equal, even where dropout tells them apart later.
"""

OUTCOMES = frozenset({"nan-loss", "not-decreasing"})
"""Findings that say how it ended; any cause that a trial confirms comes before them."""
