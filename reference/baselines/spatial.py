"""The spatial rules and the norms in the usual JAX forms, on purefw's parameters.

`SPATIAL_FORMS` maps names of the registry to `form(params, x) -> y`; the derivative is
autodiff's. 16-bit norms compute in float32 and round once, as Flax's do.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def form_convolution(params, x, *, groups: int = 1, **options) -> Any:
    """lax.conv_general_dilated, on (batch, *spatial, channels)."""
    axes = "DHW"[-(x.ndim - 2) :]
    y = lax.conv_general_dilated(
        x,
        params.weight,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
        **options,
    )
    return y if params.bias is None else y + jnp.broadcast_to(params.bias, y.shape)


def form_transposed_convolution(params, x, *, strides, padding: str) -> Any:
    """lax.conv_transpose with the kernel flipped."""
    axes = "DHW"[-(x.ndim - 2) :]
    y = lax.conv_transpose(
        x,
        jnp.flip(params.weight, range(x.ndim - 2)),
        strides,
        padding,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )
    return y if params.bias is None else y + jnp.broadcast_to(params.bias, y.shape)


def form_max_pool(params, x, *, window, stride, padding) -> Any:
    """lax.reduce_window, whose derivative is a select-and-scatter."""
    return reduce_window(x, -jnp.inf, lax.max, window, stride, padding)


def form_average_pool(params, x, *, window, stride, padding, inside=False) -> Any:
    """The sum by lax.reduce_window, over the number of entries."""
    wide = up(x)
    total = reduce_window(wide, 0.0, lax.add, window, stride, padding)
    if not inside:
        return (total / math.prod(window)).astype(x.dtype)
    ones = jnp.ones_like(wide)
    counts = reduce_window(ones, 0.0, lax.add, window, stride, padding)
    return (total / counts).astype(x.dtype)


def reduce_window(x, start, combine, window, stride, padding) -> Any:
    """Over the spatial axes."""
    if not isinstance(padding, str):
        padding = ((0, 0), *padding, (0, 0))
    start = x.dtype.type(start)  # concrete: lax recognises the monoid, and derives it
    return lax.reduce_window(
        x, start, combine, (1, *window, 1), (1, *stride, 1), padding
    )


def form_global_max_pool(params, x) -> Any:
    """The entry that argmax names; jnp.max is shorter and shares ties."""
    places = x.reshape(x.shape[0], -1, x.shape[-1])
    winner = jnp.argmax(places, axis=1, keepdims=True)
    return jnp.take_along_axis(places, winner, axis=1)[:, 0]


def form_norm(params, x, *, axes, eps: float, groups: int = 0, centre=True) -> Any:
    """Mean, variance and affine map, in at least float32."""
    wide = up(x)
    v = wide.reshape(*x.shape[:-1], groups, -1) if groups else wide
    mean = jnp.mean(v, axes, keepdims=True) if centre else jnp.zeros((), v.dtype)
    v = v - jnp.broadcast_to(mean, v.shape)
    v = v / jnp.sqrt(jnp.mean(v**2, axes, keepdims=True) + eps)
    y = v.reshape(x.shape) * jnp.broadcast_to(up(params.scale), x.shape)
    if hasattr(params, "bias"):
        y = y + jnp.broadcast_to(up(params.bias), x.shape)
    return y.astype(x.dtype)


def form_weight_norm(params, x) -> Any:
    """A linear layer of normalised columns, in at least float32."""
    direction, gain, bias = map(up, params)
    norm = jnp.sqrt(jnp.sum(direction**2, axis=0, keepdims=True))
    y = up(x) @ (gain[None, :] * direction / norm)
    return (y + jnp.broadcast_to(bias, y.shape)).astype(x.dtype)


def form_bilinear(params, x) -> Any:
    """One einsum."""
    y = jnp.einsum("...i,ijo,...j->...o", x[0], params.weight, x[1])
    return y if params.bias is None else y + jnp.broadcast_to(params.bias, y.shape)


def form_resize(params, x, *, factor, method: str) -> Any:
    """jax.image.resize, in at least float32."""
    lengths = (f * n for f, n in zip(factor, x.shape[1:-1]))
    y = jax.image.resize(up(x), (x.shape[0], *lengths, x.shape[-1]), method)
    return y.astype(x.dtype)


def up(v) -> Any:
    """float32 for 16 bits."""
    return v.astype(jnp.float32) if jnp.finfo(v.dtype).bits < 32 else v


SPATIAL_FORMS: dict[str, Callable] = {
    "convolution": partial(form_convolution, window_strides=(2, 1), padding="SAME"),
    "convolution_1d": partial(form_convolution, window_strides=(1,), padding=((4, 1),)),
    "convolution_valid_without_bias": partial(
        form_convolution, window_strides=(1, 1), padding="VALID"
    ),
    "convolution_dilated": partial(
        form_convolution,
        window_strides=(2, 2),
        padding=((3, 3), (3, 3)),
        rhs_dilation=(2, 3),
    ),
    "convolution_groups": partial(
        form_convolution, window_strides=(1, 2), padding=((1, 1), (1, 1)), groups=2
    ),
    "convolution_depthwise": partial(
        form_convolution, window_strides=(1,), padding="SAME", groups=3
    ),
    "transposed_convolution": partial(
        form_transposed_convolution, strides=(2, 3), padding="SAME"
    ),
    "transposed_convolution_valid_without_bias": partial(
        form_transposed_convolution, strides=(1, 1), padding="VALID"
    ),
    "transposed_convolution_stride_beyond_window": partial(
        form_transposed_convolution, strides=(3,), padding="SAME"
    ),
    "max_pool": partial(form_max_pool, window=(2, 2), stride=(2, 2), padding="VALID"),
    "max_pool_overlapping": partial(
        form_max_pool, window=(3, 3), stride=(2, 1), padding=((1, 2), (0, 1))
    ),
    "max_pool_same": partial(
        form_max_pool, window=(3, 2), stride=(2, 2), padding="SAME"
    ),
    "average_pool": partial(
        form_average_pool, window=(2, 2), stride=(2, 2), padding="VALID"
    ),
    "average_pool_overlapping": partial(
        form_average_pool, window=(3, 3), stride=(2, 1), padding=((1, 2), (0, 1))
    ),
    "average_pool_of_inside": partial(
        form_average_pool, window=(3, 2), stride=(2, 2), padding="SAME", inside=True
    ),
    "global_max_pool": form_global_max_pool,
    "global_average_pool": lambda params, x: jnp.mean(
        up(x), range(1, x.ndim - 1)
    ).astype(x.dtype),
    "upsample_nearest": partial(form_resize, factor=(2, 3), method="nearest"),
    "upsample_bilinear": partial(form_resize, factor=(2, 3), method="bilinear"),
    "layer_norm": partial(form_norm, axes=-1, eps=1e-5),
    "layer_norm_large_eps": partial(form_norm, axes=-1, eps=0.5),
    "rms_norm": partial(form_norm, axes=-1, eps=1e-6, centre=False),
    "batch_norm": partial(form_norm, axes=(0, 1, 2), eps=1e-5),
    "batch_norm_of_rows": partial(form_norm, axes=(0,), eps=0.5),
    "group_norm_of_one": partial(form_norm, axes=(1, 3), eps=0.5, groups=1),
    "instance_norm": partial(form_norm, axes=(1, 2), eps=1e-5),
    "weight_norm": form_weight_norm,
    "bilinear": form_bilinear,
}
