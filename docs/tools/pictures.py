"""The chapters' pictures: computed by the package, drawn by its own charts, kept as SVG in `docs/drawings/charts`.

In: nothing; every picture is a function of fixed seeds. Out: a file for each picture; pages with the pictures inside.

    python docs/tools/pictures.py           # draw all pictures again
    python docs/tools/pictures.py moons     # those whose name begins so
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from chainrule import Activation, Dense, Net, fit, mlp
from chainrule.data import Standardizer, load
from chainrule.nn.activations import activation
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import SGD, Adam, SGDMomentum, StepContext
from chainrule.nn.penalties import Penalty
from chainrule.nn.schedules import Cosine, Exponential, OneCycle, Step, WarmUp
from chainrule.report.contours import boundary, decision_line
from chainrule.report.plots import HELD_OUT, NEUTRAL, TRAINING, Curve, Level, LinePlot
from chainrule.report.svg.charts import document, stylesheet
from chainrule.studies.drawing import bowl

FOLDER = Path(__file__).resolve().parent.parent / "drawings" / "charts"
_IMAGE = re.compile(r'<img alt="([^"]*)" src="[^"]*drawings/charts/([\w-]+)\.svg"[^>]*/?>')
_COLORS = re.compile(r":root \{(.*?)\}", re.DOTALL)

CHARTS: dict[str, Callable[[], LinePlot]] = {}
"""Every picture by the name of its file."""


def _chart(function: Callable[[], LinePlot]) -> Callable[[], LinePlot]:
    CHARTS[function.__name__.strip("_").replace("_", "-")] = function
    return function


# 1. One neuron


@_chart
def _one_neuron() -> LinePlot:
    draw = np.random.default_rng(1)
    y = np.arange(60) % 2
    X = draw.normal(0.0, 0.8, (60, 2)) + np.where(y[:, None] == 1, (1.2, 0.8), (-1.0, -0.8))
    w = np.array([0.2, -1.0, 0.5])
    lines = []
    for step in range(101):
        if step in (0, 10, 100):
            across = np.array([-3.5, 3.5])
            up = -(w[0] * across + w[2]) / w[1]
            inside = np.clip(up, -3, 3)
            lines.append(Curve(f"after {step} steps", (inside * w[1] + w[2]) / -w[0], inside, len(lines) + 2))
        dz = 1 / (1 + np.exp(-(X @ w[:2] + w[2]))) - y
        w = w - 0.5 * np.append(X.T @ dz, dz.sum()) / len(y)
    return boundary("Where one neuron answers ½", X, y, lines, (-3.5, 3.5), (-3.0, 3.0))


# 2. A layer


def _moons(layers: list[Dense | Activation], title: str) -> LinePlot:
    moons = load("moons")
    net = Net(2, layers)
    *_, last = fit(net, moons.X, moons.y, loss=BinaryCrossEntropy(), epochs=150, learning_rate=0.01, batch_size=50)
    state = last.state()
    x, up = (-2.0, 3.0), (-1.6, 2.0)
    line = decision_line(lambda X: net(state, X)[:, 0], x, up)
    return boundary(title, moons.X, moons.y, [Curve("a = ½", *line, NEUTRAL)], x, up)


@_chart
def _moons_linear() -> LinePlot:
    return _moons([Dense(16), Dense(16), Dense(1)], "Three layers, nothing between them")


@_chart
def _moons_relu() -> LinePlot:
    layers = [Dense(16), Activation("relu"), Dense(16), Activation("relu"), Dense(1)]
    return _moons(layers, "Three layers with relu between them")


# 3. The whole network


@lru_cache(maxsize=1)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    digits = load("digits")
    return Standardizer.fit(digits.X[:1200], shared=True).apply(digits.X), digits.y


def _losses(title: str, net: Net, n: int, epochs: int) -> LinePlot:
    X, y = _digits()
    held_out = (X[1200:], y[1200:])
    run = list(
        fit(net, X[:n], y[:n], loss=SoftmaxCrossEntropy(), epochs=epochs, learning_rate=3e-3, validation=held_out)
    )
    at = np.arange(1, epochs + 1)
    curves = [
        Curve("training rows", at, [epoch.train_loss for epoch in run], TRAINING),
        Curve("held-out rows", at, [epoch.validation_loss for epoch in run], HELD_OUT),
    ]
    return LinePlot(title, curves, y_name="loss", y_log=True)


@_chart
def _digits_loss() -> LinePlot:
    return _losses("Loss on 1,200 digits and on 597 others", mlp(64, [32], 10, dropout=0.2), 1200, 20)


# 4. Loss and link


def _pairs(title: str, y_name: str, by_loss: Callable[[object, np.ndarray, np.ndarray], np.ndarray]) -> LinePlot:
    z = np.linspace(-6.0, 6.0, 121)
    Z, Y = z[:, None], np.ones((121, 1))
    losses = {"its own loss": BinaryCrossEntropy(), "squared error": MeanSquaredError(link="sigmoid")}
    curves = [Curve(name, z, by_loss(loss, Z, Y)) for name, loss in losses.items()]
    return LinePlot(title, curves, "logit z (truth: yes)", y_name)


@_chart
def _pair_loss() -> LinePlot:
    return _pairs("The logistic link with two losses", "loss", lambda loss, Z, Y: loss.rows(np, Z, Y))


@_chart
def _pair_slope() -> LinePlot:
    return _pairs("Slopes of both losses", "dL/dz", lambda loss, Z, Y: loss.gradient(np, Z, Y)[:, 0])


# 5. Checking a gradient


@_chart
def _difference_error() -> LinePlot:
    h = np.logspace(-14, 0, 57)
    both = np.abs((np.exp(1 + h) - np.exp(1 - h)) / (2 * h) - np.e)
    one = np.abs((np.exp(1 + h) - np.e) / h - np.e)
    curves = [Curve("one side", h, one, 1), Curve("both sides", h, both, 0)]
    return LinePlot("Error of a slope taken by differences", curves, "h", "error", x_log=True, y_log=True)


# 6. Initial weights and activations


def _activations(title: str, y_name: str, limits: tuple[float, float], slope: bool) -> LinePlot:
    z = np.linspace(-6.0, 6.0, 121)
    curves = []
    for i, name in enumerate(("sigmoid", "tanh", "relu", "gelu")):
        g = activation(name)
        A = g.value(np, z)
        shown = np.broadcast_to(g.derivative(np, z, A), z.shape) if slope else A
        curves.append(Curve(name, z, np.where(shown <= limits[1], shown, np.nan), i, dashed=name == "gelu"))
    return LinePlot(title, curves, "z", y_name, y_limits=limits)


@_chart
def _activation_values() -> LinePlot:
    return _activations("Four activations", "a", (-1.1, 2.5), False)


@_chart
def _activation_slopes() -> LinePlot:
    return _activations("Slopes of four activations", "da/dz", (-0.2, 1.2), True)


# 7. Optimizers and schedules


def _path(title: str, rule: SGD | SGDMomentum | Adam, rate: float, steps: int, color: int) -> LinePlot:
    curvature = np.array([1.0, 20.0])
    w = np.array([-2.2, 1.5])
    path = [w]
    state = {name: np.zeros(2) for name in rule.state_names}
    for t in range(1, steps + 1):
        ctx = StepContext(np, np.float64(t), rate, decay_mask=np.ones(2))
        w, state = rule.update(w, curvature * w, state, ctx)
        path.append(w)
    name = f"{title}, {steps} steps"
    return bowl(name, np.diag(curvature), np.array(path), 2.0, names=("w₁", "w₂"), color=color)


@_chart
def _path_descent() -> LinePlot:
    return _path("Plain descent", SGD(), 0.095, 30, 1)


@_chart
def _path_momentum() -> LinePlot:
    return _path("Momentum", SGDMomentum(mu=0.8), 0.03, 30, 0)


@_chart
def _path_adam() -> LinePlot:
    return _path("Adam", Adam(), 0.25, 30, 2)


@_chart
def _schedules() -> LinePlot:
    epochs = np.arange(0, 40, 0.5)
    chosen = (Step(every=10, drop=0.5), Exponential(k=0.05), Cosine(), OneCycle(), WarmUp(epochs=5, after=Cosine()))
    curves = [Curve(type(s).__name__, epochs, [s.factor(float(e), 40) for e in epochs]) for s in chosen]
    return LinePlot("Five schedules over 40 epochs", curves, y_name="factor of the rate", y_limits=(0.0, 1.05))


# 8. Batch norm


@_chart
def _deep_sigmoid() -> LinePlot:
    X, y = _digits()
    curves = []
    for name, norm in (("plain", None), ("batch norm", "batch")):
        net = mlp(64, [32] * 10, 10, activation="sigmoid", norm=norm)
        run = fit(net, X[:1200], y[:1200], loss=SoftmaxCrossEntropy(), epochs=30, learning_rate=3e-3)
        losses = [epoch.train_loss for epoch in run]
        curves.append(Curve(name, np.arange(1, 31), losses, HELD_OUT if norm is None else TRAINING))
    level = [Level(float(np.log(10)), "guessing")]
    return LinePlot("Ten sigmoid layers on digits", curves, y_name="training loss", y_log=True, levels=level)


# 9. When it does not work


def _noisy(title: str, penalty: float) -> LinePlot:
    moons = load("moons")
    X, y = moons.X[:60], moons.y[:60].copy()
    y[:6] = 1 - y[:6]
    net = mlp(2, [64, 64], 1)
    run = fit(
        net, X, y, loss=BinaryCrossEntropy(), epochs=800, learning_rate=0.01, batch_size=20, penalty=Penalty(l2=penalty)
    )
    *_, last = run
    state = last.state()
    x, up = (-2.0, 3.0), (-1.6, 2.0)
    line = decision_line(lambda X: net(state, X)[:, 0], x, up, n=80)
    return boundary(title, X, y, [Curve("a = ½", *line, NEUTRAL)], x, up)


@_chart
def _moons_memorized() -> LinePlot:
    return _noisy("No penalty", 0.0)


@_chart
def _moons_penalized() -> LinePlot:
    return _noisy("An L2 penalty of 0.02", 0.02)


@_chart
def _sixty_digits() -> LinePlot:
    return _losses("Loss on 60 digits and on 597 others", mlp(64, [128], 10), 60, 60)


# Files and pages


def drawn(name: str) -> str:
    """Return a picture as an SVG file whose style touches nothing outside it, with both color schemes."""
    source = document(CHARTS[name]()).replace("<svg ", '<svg class="chart" ', 1)
    start, end = source.index("<style>") + 7, source.index("</style>")
    return source[:start] + _scoped(source[start:end]) + source[end:] + "\n"


def _scoped(css: str) -> str:
    css = re.sub(r"/\*.*?\*/\s*|(?<!-)\bcolor-scheme:[^;]*;", "", css, flags=re.DOTALL).replace(":root", ".chart")
    css = re.sub(r"(?m)(^|(?<=\} ))(?=\.s\d \{)", ".chart ", css)
    return re.sub(r"\bsvg (?=[.t])", ".chart ", css).replace("svg {", ".chart {")


def inside(html: str) -> str:
    """Return a page's HTML with its pictures inside, in the colors of the page's scheme."""
    if not _IMAGE.search(html):
        return html
    light, dark = (re.sub(r"color-scheme:[^;]*;", "", block) for block in _COLORS.findall(stylesheet()))
    rules = f".md-typeset .chart {{ {light} background: none; }} [data-md-color-scheme=slate] .chart {{ {dark} }}"
    return f"<style>{rules}</style>" + _IMAGE.sub(lambda image: _figure(image[2], image[1]), html)


def _figure(name: str, label: str) -> str:
    source = (FOLDER / f"{name}.svg").read_text("utf-8").strip()
    labeled = re.sub(r'role="img"', f'role="img" aria-label="{label}"', source, count=1)
    return f'<span class="figure chart-of">{labeled}</span>'


def main(beginning: str = "") -> None:
    """Draw the pictures whose name begins so."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in CHARTS:
        if name.startswith(beginning):
            (FOLDER / f"{name}.svg").write_text(drawn(name), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
