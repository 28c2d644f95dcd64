"""In each dtype the rules are as near to the truth as autodiff of the usual forms."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.baselines.spatial import SPATIAL_FORMS
from reference.registry.spatial import SPATIAL

NAMES = [
    "convolution",
    "convolution_groups",
    "transposed_convolution",
    "max_pool_overlapping",
    "average_pool_overlapping",
    "average_pool_of_inside",
    "global_average_pool",
    "upsample_nearest",
    "upsample_bilinear",
    "layer_norm",
    "rms_norm",
    "batch_norm",
    "group_norm_of_one",
    "instance_norm",
    "weight_norm",
    "bilinear",
]
DTYPES = ["float32", "bfloat16", "float16"]


def samples(name, situation, count=16):
    """Params, x and dy, several times."""
    entry = SPATIAL[name]
    for i in range(count):
        key = jax.random.key(zlib.crc32(f"{name} {situation} {i}".encode()))
        params_key, x_key, dy_key = jax.random.split(key, 3)
        params, x = entry.draw_params(params_key), entry.inputs[situation](x_key)
        y = jax.eval_shape(entry.rule.apply, params, x)
        yield params, x, jax.random.normal(dy_key, y.shape)


def cast(tree, dtype):
    return jax.tree.map(lambda v: v.astype(dtype), tree)


def roundings(value, truth, dtype):
    """Largest error over the largest entry of the truth, in roundings of the dtype."""
    assert value.shape == truth.shape and value.dtype == dtype
    value, truth = (np.asarray(v, np.float64) for v in (value, truth))
    if not truth.any():
        return np.inf if value.any() else 0.0
    unit = float(jnp.finfo(dtype).eps) / 2
    return np.abs(value - truth).max() / np.abs(truth).max() / unit


def worst_ratio(name, situation, dtype):
    """Over y and the cotangents: our error by autodiff's, or by half a rounding."""
    rule, form = SPATIAL[name].rule, SPATIAL_FORMS[name]

    @jax.jit
    def auto(params, x, dy):
        y, pullback = jax.vjp(form, params, x)
        return [y, *jax.tree.leaves(pullback(dy))]

    @jax.jit
    def hand(params, x, dy):
        y, residuals = rule.forward(params, x)
        return [y, *jax.tree.leaves(rule.backward(residuals, dy))]

    errors = []
    for sample in samples(name, situation):
        sample = cast(sample, dtype)
        truth = auto(*cast(sample, jnp.float64))
        pairs = zip(hand(*sample), auto(*sample), truth, strict=True)
        errors.append(
            [(roundings(h, t, dtype), roundings(a, t, dtype)) for h, a, t in pairs]
        )
    # The mean over the draws: the largest of a few is a matter of luck.
    ours, theirs = np.array(errors).mean(0).T
    return (ours / np.maximum(theirs, 0.5)).max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_no_further_from_the_truth_than_autodiff(name, dtype):
    assert worst_ratio(name, "typical", dtype) <= 1.5  # worst: 1.17


@pytest.mark.parametrize("name", ["layer_norm", "batch_norm", "instance_norm"])
def test_nor_at_a_large_mean(name):
    assert worst_ratio(name, "large_mean", "float32") <= 1.5  # worst: 1.31
