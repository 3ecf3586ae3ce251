"""First weights that fit the data: each unit of a dense layer starts with a standard deviation of 1 over the rows.

In: a network, its drawn parameters, rows. Out: the same parameters with every W rescaled column by column.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.nn.layers import Context, Dense
from chainrule.nn.net import Net

_ROUNDING = 1e-6
"""A unit that varies by less than this share of its largest value is taken as constant."""


def standardized_init(net: Net, w: Array, buffers: Array, X: Array) -> Array:
    """Return w with each column of each W divided by the standard deviation of that unit's Z over the rows of X.

    Goes from layer to layer, so that each layer is measured on what the rescaled layers before it give. A unit with the
    same value for all rows keeps its weights. Layers inside the branches of a `Parallel` are left as they are.

    Forward    (1) Z = A W, of a dense layer    (2) sⱼ² = Σᵢ (Zᵢⱼ - Σᵢ Zᵢⱼ / n)² / n    (3) Wⱼ ← Wⱼ / sⱼ
    Shapes     A (n, d)   W (d, k)   Z (n, k)   s (k)
    Reference  [holzmuller2024]

    Parameters
    ----------
    net : Net
        The network.
    w : array (P)
        Parameters, such as `net.init` draws.
    buffers : array (B)
        Running statistics; the pass runs in inference mode.
    X : array (n, d)
        Rows as the network takes them; a few hundred suffice.

    Returns
    -------
    array (P)
        The parameters, in the dtype of `w`; the array given is unchanged.

    Examples
    --------
    >>> net = Net(1, [Dense(2)])
    >>> standardized_init(net, np.array([3.0, -0.5, 0.0, 0.0]), np.zeros(0), np.array([[1.0], [-1.0]]))
    array([ 1., -1.,  0.,  0.])
    """
    ctx = Context(np)
    named = net.parameters.views(np.array(w))
    running = net.buffers.views(buffers)
    A = X
    for i, layer in enumerate(net.layers):
        p = _of_layer(named, i)
        if isinstance(layer, Dense):
            Z = A @ p["W"]  # (1)
            s = Z.std(axis=0)  # (2)
            p["W"] = p["W"] / np.where(s > _ROUNDING * np.abs(Z).max(axis=0), s, 1.0)  # (3)
            named[f"{i}.W"] = p["W"]
        A = layer.forward(p, _of_layer(running, i), A, ctx)[0]
    return net.parameters.pack(np, named, w)


def _of_layer(named: Named, i: int) -> dict[str, Array]:
    """Return the arrays of one layer by letter."""
    prefix = f"{i}."
    return {name.removeprefix(prefix): array for name, array in named.items() if name.startswith(prefix)}
