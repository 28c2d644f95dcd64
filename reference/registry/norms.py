"""Entries of the norms: layer, RMS, batch, group, instance, weight."""

import jax.numpy as jnp

from purefw.layers.batch_norm import BatchNormParams, batch_norm
from purefw.layers.group_norm import group_norm
from purefw.layers.instance_norm import instance_norm
from purefw.layers.layer_norm import layer_norm
from purefw.layers.rms_norm import rms_norm
from purefw.layers.weight_norm import weight_norm
from reference import chance
from reference.registry.entry import Draw, RuleEntry, normal
from reference.registry.invariants import (
    blind_to_a_shift_of_rows,
    blind_to_the_length_of_its_direction,
    dx_sums_to_zero,
    odd,
    running_statistics_have_no_gradient,
)


def half_constant(*shape: int, axes: tuple[int, ...]) -> Draw:
    """Normal, but for the first index of the first kept axis: constant over `axes`."""

    def draw(key):
        x = chance.normal(key, shape)
        kept = next(i for i in range(len(shape)) if i not in axes)
        flat = jnp.broadcast_to(jnp.max(x, axis=axes, keepdims=True), shape)
        index = jnp.arange(shape[kept]).reshape(
            [-1 if i == kept else 1 for i in range(len(shape))]
        )
        return jnp.where(jnp.broadcast_to(index == 0, shape), flat, x)

    return draw


def norm_inputs(*shape: int, axes: tuple[int, ...], **more: Draw) -> dict[str, Draw]:
    """Inputs at which a normalisation over `axes` is hard."""
    return {
        "typical": normal(*shape),
        **more,
        "constant_sets": half_constant(*shape, axes=axes),
        "large_mean": normal(*shape, shift=1e4),
        "large": normal(*shape, scale=1e4),
        "small": normal(*shape, scale=1e-4),
    }


def running_params(features: int) -> Draw:
    """Batch norm's parameters: the running variance is positive."""

    def draw(key):
        scale, bias, mean, var = chance.normal(key, (4, features))
        return BatchNormParams(scale, bias, mean, jnp.exp(var))

    return draw


NORMS = {
    "layer_norm": RuleEntry(
        layer_norm(7),
        norm_inputs(
            5,
            7,
            axes=(1,),
            one_row=normal(1, 7),
            leading_axes=normal(2, 3, 7),
            vector=normal(7),
        ),
        invariants=(
            blind_to_a_shift_of_rows,
            dx_sums_to_zero(-1),
        ),
    ),
    "layer_norm_large_eps": RuleEntry(
        layer_norm(3, eps=0.5), {"typical": normal(5, 3), "one_row": normal(1, 3)}
    ),
    "rms_norm": RuleEntry(
        rms_norm(7),
        norm_inputs(
            5,
            7,
            axes=(1,),
            one_row=normal(1, 7),
            leading_axes=normal(2, 3, 7),
            zero_row=lambda key: jnp.array([[0.0] * 7, [1.0, -2.0, 3.0, 0, 0, 1, 5]]),
        ),
        invariants=(odd,),
    ),
    "rms_norm_large_eps": RuleEntry(rms_norm(3, eps=0.5), {"typical": normal(5, 3)}),
    "batch_norm": RuleEntry(
        batch_norm(3),
        norm_inputs(
            2,
            5,
            7,
            3,
            axes=(0, 1, 2),
            one_example=normal(1, 3, 2, 3),
        ),
        running_params(3),
        invariants=(
            blind_to_a_shift_of_rows,
            dx_sums_to_zero(0, 1, 2),
            running_statistics_have_no_gradient,
        ),
    ),
    "batch_norm_of_rows": RuleEntry(
        batch_norm(5, eps=0.5),
        norm_inputs(7, 5, axes=(0,), two_rows=normal(2, 5)),
        running_params(5),
        invariants=(
            blind_to_a_shift_of_rows,
            dx_sums_to_zero(0),
            running_statistics_have_no_gradient,
        ),
    ),
    "group_norm": RuleEntry(
        group_norm(6, 2),
        norm_inputs(
            2,
            3,
            5,
            6,
            axes=(1, 2, 3),
            one_example=normal(1, 2, 3, 6),
            no_space=normal(5, 6),
        ),
        invariants=(
            blind_to_a_shift_of_rows,
            dx_sums_to_zero(1, 2, 3),
        ),
    ),
    "group_norm_of_one": RuleEntry(
        group_norm(5, 1, eps=0.5), {"typical": normal(2, 3, 5)}
    ),
    "instance_norm": RuleEntry(
        instance_norm(3),
        norm_inputs(
            2,
            5,
            7,
            3,
            axes=(1, 2),
            one_example=normal(1, 5, 2, 3),
            one_axis=normal(2, 7, 3),
        ),
        invariants=(
            blind_to_a_shift_of_rows,
            dx_sums_to_zero(1, 2),
        ),
    ),
    "weight_norm": RuleEntry(
        weight_norm(5, 3),
        {
            "typical": normal(7, 5),
            "one_row": normal(1, 5),
            "leading_axes": normal(2, 3, 5),
            "vector": normal(5),
            "large": normal(7, 5, scale=1e4),
        },
        invariants=(blind_to_the_length_of_its_direction,),
    ),
}
