"""Many devices: which of them holds which rows and which numbers; XLA moves the rest.

A mesh is a grid of devices with named axes. Arrays are placed on it, and jit compiles
one program for all of them, in which XLA puts the collectives. The hand-derived
backward is unchanged: it is a function of arrays, wherever they lie. b counts rows, d
the devices along an axis.

data: each device has some of the rows, and all parameters.

    (1)  dparams = Σ_d Σ_{b on d} dparams_b                    one all-reduce a step

fsdp: each device has some of the rows, and a part of every parameter.

    (2)  params = parts joined                 one all-gather a leaf, where it is used
    (3)  the own part of (1)                   one all-reduce, of which a part is kept

model: of two affine maps in a row, z = x W and y = h V, each device has some columns of
W and the same rows of V. i counts inputs, o what lies between, j outputs.

    (4)  z_bo  = Σ_i x_bi W_io                 o on d: nothing moves
    (5)  y_bj  = Σ_d Σ_{o on d} h_bo V_oj      one all-reduce forward
    (6)  dh_bo = Σ_j dy_bj V_oj                o on d: nothing moves
    (7)  dx_bi = Σ_d Σ_{o on d} dz_bo W_io     one all-reduce backward

(1): the loss is a sum over rows, up to a constant. (7) is (5) with W transposed, and is
not needed where x is the data. The axes may be combined. On a backend whose compiler
knows a reduce-scatter, (3) is one.

Reference: Shoeybi et al., "Megatron-LM", 2019, arXiv:1909.08053, for (4) to (7);
Rajbhandari et al., "ZeRO", 2020, arXiv:1910.02054, for (2) and (3).
"""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Shaped

from purefw.layers.linear import LinearParams
from purefw.layers.multi_head_attention import MultiHeadParams
from purefw.leaves import is_key
from purefw.shared.affine import Affine

AXES = ("data", "fsdp", "model")
ROWS = PartitionSpec(("data", "fsdp"))  # Of the first axis of a minibatch.
COLUMNS, INPUTS = -1, -2  # Axes of a weight, counted from the end; 0 is none.


def make_mesh(sizes: Mapping[str, int]) -> Mesh:
    """A mesh over all devices of all processes.

    Args:
        sizes: Devices along each of AXES; 1 where left out. Their product is the number
            of devices.

    Raises:
        ValueError: an axis of another name, or sizes that do not multiply to the number
            of devices.

    Example:
        >>> dict(make_mesh({"data": jax.device_count()}).shape)["model"]
        1
    """
    for name, n in sizes.items():
        if name not in AXES:
            raise ValueError(f"mesh: axes must be among {', '.join(AXES)}, got {name}")
        if n < 1:
            raise ValueError(f"mesh: {name} must be at least 1, got {n}")
    shape = tuple(sizes.get(name, 1) for name in AXES)
    devices = jax.device_count()
    if np.prod(shape) != devices:
        raise ValueError(
            f"mesh: sizes must multiply to the number of devices, {devices}, "
            f"got {' x '.join(map(str, shape))}"
        )
    return jax.make_mesh(shape, AXES, (AxisType.Auto,) * len(AXES))


def read_sizes(text: str) -> dict[str, int]:
    """Sizes from "data=8,model=2".

    Raises:
        ValueError: another form.

    Example:
        >>> read_sizes("data=8,model=2")
        {'data': 8, 'model': 2}
    """
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): int(n) for name, n in pairs}
    except ValueError:
        raise ValueError(
            f"mesh: sizes must read like data=8,model=2, got {text!r}"
        ) from None


def parameter_specs(params: Any, mesh: Mesh | AbstractMesh) -> Any:
    """How each leaf of the parameters is split.

    Over "model", the columns and the rows of affine maps in turn, in the order of the
    network, and the heads of attention. Over "fsdp", the axis before the last: the
    inputs of an affine map, the ids of a table. Split in their last axis, parameters
    would draw the rows of the network after them, and those are larger. What does not
    divide, and vectors, are on every device.

    Args:
        params: A network's, or their shapes; leaves with leading axes, as of repeat,
            are split in their last ones.
        mesh: Where they are to lie.

    Returns:
        A tree like `params` of PartitionSpecs.
    """
    turns = cycle(("columns", "rows"))

    def of_node(node: Any) -> Any:
        if isinstance(node, LinearParams):
            return _affine_axes(node, next(turns))
        if isinstance(node, MultiHeadParams):
            kinds = ("columns", "columns", "columns", "rows")
            return MultiHeadParams(*map(_affine_axes, node, kinds))
        return 0  # On every device, or split over fsdp alone.

    axes = jax.tree.map(of_node, params, is_leaf=_is_split)
    return jax.tree.map(lambda v, axis: _spec(v.shape, axis, mesh), params, axes)


def place(tree: Any, specs: Any, mesh: Mesh) -> Any:
    """The arrays of a tree, each process giving its devices their parts.

    Args:
        tree: Arrays of the same values in every process.
        specs: A tree like it of PartitionSpecs, or one for all.
        mesh: Where they are to lie.
    """
    if isinstance(specs, PartitionSpec):
        specs = jax.tree.map(lambda v: specs, tree)
    return jax.tree.map(lambda v, s: _placed(v, NamedSharding(mesh, s)), tree, specs)


def optimiser_specs(
    optimiser: optax.GradientTransformation, state: Any, specs: Any
) -> Any:
    """How an optimiser's state is split: each moment like its parameter, counts not."""
    return optax.tree.map_params(
        optimiser,
        lambda v, spec: spec,
        state,
        specs,
        transform_non_params=lambda v: PartitionSpec(),
    )


def shardings(specs: Any, mesh: Mesh) -> Any:
    """The shardings of a tree of PartitionSpecs, as jit takes them."""
    return jax.tree.map(lambda s: NamedSharding(mesh, s), specs)


def check_batch_size(batch_size: int, mesh: Mesh | AbstractMesh) -> None:
    """Raise ValueError unless the devices' shares of a minibatch are equal."""
    parts = row_parts(mesh)
    if batch_size % parts:
        raise ValueError(
            f"mesh: batch_size must be a multiple of data x fsdp, {parts}, "
            f"got {batch_size}"
        )


def row_parts(mesh: Mesh | AbstractMesh) -> int:
    """In how many parts a mesh splits the rows."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def batches(
    rows: Shaped[np.ndarray, "n *features"],
    order: Shaped[np.ndarray, "steps batch"],
    mesh: Mesh,
) -> Shaped[jax.Array, "steps batch *features"]:
    """The minibatches of an epoch, each device holding its share of every one.

    A process reads only the rows of its own devices.

    Args:
        rows: All rows, in the host's memory or mapped from a file.
        order: Row numbers, a minibatch a line.
        mesh: Where they are to lie.
    """
    sharding = NamedSharding(mesh, PartitionSpec(None, *ROWS))
    return jax.make_array_from_callback(
        (*order.shape, *rows.shape[1:]),
        sharding,
        lambda index: rows[order[index[:2]]],
    )


def _is_split(node: Any) -> bool:
    return isinstance(node, (LinearParams, MultiHeadParams))


def _affine_axes(params: LinearParams | Affine, kind: str) -> Any:
    """Which axis "model" splits in weight and bias."""
    weight, bias = (COLUMNS, COLUMNS) if kind == "columns" else (INPUTS, 0)
    return type(params)(weight, None if params.bias is None else bias)


def _spec(
    shape: tuple[int, ...], axis: int, mesh: Mesh | AbstractMesh
) -> PartitionSpec:
    names: list[str | None] = [None] * len(shape)
    for name, k in (("model", axis), ("fsdp", INPUTS)):
        n = mesh.shape[name]
        if n > 1 and k and len(shape) >= -k and names[k] is None and not shape[k] % n:
            names[k] = name
    return PartitionSpec(*names)


def _placed(v: Any, sharding: NamedSharding) -> jax.Array:
    if is_key(v):
        data = _placed(jax.random.key_data(v), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(v))
    value = np.asarray(v)
    return jax.make_array_from_callback(value.shape, sharding, lambda i: value[i])
