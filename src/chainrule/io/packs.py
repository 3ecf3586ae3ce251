"""A pack in a model file: the JSON and the tensors of a `Pack`.

In: a `Pack`, or the parts of a file. Out: the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.transform_plain import transform_from_plain, transform_to_plain
from chainrule.data.transforms import FeatureTransform
from chainrule.errors import FormatError
from chainrule.io import networks
from chainrule.io.labels import classes_to_plain, target_classes
from chainrule.nn import spec
from chainrule.nn.net import Net
from chainrule.pack import Member, Pack

FIELDS = frozenset({"members", "transforms", "loss", "classes", "feature_names", "target_name"})
"""Keys that every pack has."""

EXTRA = frozenset({"temperature", "limits"})
"""Keys that only some have."""

_MOST = 10_000


def to_parts(pack: Pack) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the keys of the header and the tensors of a pack."""
    header = {
        "members": [
            {"net": spec.encode(member.net), "transform": member.transform, "weight": float(member.weight)}
            for member in pack.members
        ],
        "transforms": [transform_to_plain(transform) for transform in pack.transforms],
        "loss": spec.encode(pack.loss),
        "classes": classes_to_plain(pack.classes),
        "feature_names": list(pack.feature_names),
        "target_name": pack.target_name,
        **({} if pack.temperature == 1.0 else {"temperature": float(pack.temperature)}),
        **({} if pack.limits is None else {"limits": [float(limit) for limit in pack.limits]}),
    }
    tensors = networks.target_tensors(pack.targets) | networks.row_tensors(pack.trained_on)
    for i, member in enumerate(pack.members):
        tensors |= {f"w.{i}": member.w, f"buffers.{i}": member.buffers}
    for i, transform in enumerate(pack.transforms):
        tensors[f"nodes.{i}"] = transform.nodes
    return header, tensors


def tensor_names(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> set[str]:
    """Return the names of the tensors that the file of this header must hold."""
    own = {f"{part}.{i}" for i in range(_count(header, "members")) for part in ("w", "buffers")}
    return own | networks.optional_tensors(tensors) | {f"nodes.{i}" for i in range(_count(header, "transforms"))}


def from_parts(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> Pack:
    """Return the pack of a header and tensors, everything checked."""
    features = len(header["feature_names"]) if isinstance(header["feature_names"], list) else 0
    transforms = tuple(_transform(plain, tensors, i, features) for i, plain in enumerate(header["transforms"]))
    members = tuple(_member(plain, tensors, i, transforms) for i, plain in enumerate(header["members"]))
    outputs = members[0].net.outputs
    loss = networks.checked_loss(header, outputs)
    if any(member.net.outputs != outputs for member in members):
        raise FormatError("members must have the same number of outputs.")
    if not math.isclose(sum(member.weight for member in members), 1.0, rel_tol=1e-6):
        raise FormatError("the weights of members must sum to 1.")
    networks.check_same_type(
        tensors, tuple(f"{part}.{i}" for i in range(len(members)) for part in ("w", "buffers")), "w.0"
    )
    classes = target_classes(header["classes"], loss, outputs)
    networks.check_classes_fit(classes, loss)
    return Pack(
        members,
        transforms,
        loss,
        networks.target_scaling(tensors, outputs),
        classes,
        networks.names(header, features),
        networks.target_name(header),
        networks.temperature(header),
        _limits(header, classes),
        networks.row_sketch(tensors),
    )


def _count(header: Mapping[str, Any], key: str) -> int:
    """Return the number of members or transforms."""
    given = header.get(key)
    if not isinstance(given, list) or not 1 <= len(given) <= _MOST:
        raise FormatError(f"{key} must be a list of 1 to {_MOST} entries.")
    return len(given)


def _transform(plain: Any, tensors: Mapping[str, Array], i: int, features: int) -> FeatureTransform:
    nodes = tensors[f"nodes.{i}"]
    if not isinstance(plain, dict) or nodes.dtype != np.float64:
        raise FormatError("transforms must be objects with float64 nodes.")
    return transform_from_plain(plain, nodes, features)


def _member(plain: Any, tensors: Mapping[str, Array], i: int, transforms: tuple[FeatureTransform, ...]) -> Member:
    if not isinstance(plain, dict) or set(plain) != {"net", "transform", "weight"}:
        raise FormatError("members must have a net, a transform and a weight.")
    net = networks.piece(plain, "net", Net, where=f"members[{i}].")
    which, weight = plain["transform"], plain["weight"]
    if type(which) is not int or not 0 <= which < len(transforms):
        raise FormatError(f"the transform of a member must be from 0 to {len(transforms) - 1}, got {which!r}.")
    if type(weight) is not float or not 0.0 < weight <= 1.0:
        raise FormatError(f"the weight of a member must be in (0, 1], got {weight!r}.")
    if net.inputs != sum(transforms[which].widths):
        raise FormatError(f"member {i} must take the {sum(transforms[which].widths)} columns of its transform.")
    networks.check_tensor(tensors, f"w.{i}", (net.size,))
    networks.check_tensor(tensors, f"buffers.{i}", (net.buffers.size,))
    return Member(net, tensors[f"w.{i}"], tensors[f"buffers.{i}"], which, weight)


def _limits(header: Mapping[str, Any], classes: Any) -> tuple[float, float] | None:
    if "limits" not in header:
        return None
    given = header["limits"]
    if classes is not None:
        raise FormatError("limits must be left out with classes.")
    if not isinstance(given, list) or len(given) != 2 or not all(type(limit) is float for limit in given):
        raise FormatError(f"limits must be two numbers, got {given!r}.")
    if given[0] > given[1]:
        raise FormatError(f"limits must be in order, got {given!r}.")
    return given[0], given[1]
