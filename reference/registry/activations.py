"""Entries of the rules that act entry by entry or along the last axis."""

import jax.numpy as jnp

from purefw.layers.celu import celu
from purefw.layers.elu import elu
from purefw.layers.geglu import geglu
from purefw.layers.gelu import gelu
from purefw.layers.gelu_tanh import gelu_tanh
from purefw.layers.glu import glu
from purefw.layers.hard_sigmoid import hard_sigmoid
from purefw.layers.hard_swish import hard_swish
from purefw.layers.hard_tanh import hard_tanh
from purefw.layers.leaky_relu import leaky_relu
from purefw.layers.log_sigmoid import log_sigmoid
from purefw.layers.log_softmax import log_softmax
from purefw.layers.logsumexp import logsumexp
from purefw.layers.mish import mish
from purefw.layers.prelu import prelu
from purefw.layers.relu import relu
from purefw.layers.relu6 import relu6
from purefw.layers.selu import selu
from purefw.layers.sigmoid import sigmoid
from purefw.layers.silu import silu
from purefw.layers.softmax import softmax
from purefw.layers.softplus import softplus
from purefw.layers.softsign import softsign
from purefw.layers.sparsemax import sparsemax
from purefw.layers.squared_relu import squared_relu
from purefw.layers.swiglu import swiglu
from purefw.layers.tanh import tanh
from purefw.rule import Rule
from reference.registry.entry import Draw, RuleEntry, normal
from reference.registry.invariants import (
    Invariant,
    blind_to_a_shift_of_dy,
    blind_to_a_shift_of_rows,
    differs_by_x_from_its_mirror,
    dx_sums_to_zero,
    homogeneous,
    linear_in_its_slopes,
    linear_in_its_value,
    odd,
    rows_of_dx_sum_to_dy,
    rows_of_exp_y_sum_to_one,
    rows_of_y_sum_to_one,
    shifts_with_x,
    symmetric_about,
)


def fixed(*values) -> Draw:
    """A draw that is always this array: kinks and ties, which random x never meet."""
    return lambda key: jnp.array(values)


def entrywise(
    rule: Rule, *kinks: float, far: float = 1e4, keeps: tuple[Invariant, ...] = ()
) -> RuleEntry:
    """A rule on x of any shape: both tails up to `far`, and both sides of each kink."""
    inputs = {
        "typical": normal(5, 7),
        "one_row": fixed([-0.7, 0.4, 1.3]),
        "tiny": normal(5, 7, scale=1e-6),
        "saturated": normal(5, 7, scale=30.0),
        "large": normal(5, 7, scale=far),
    }
    if kinks:
        inputs["kinks"] = fixed(*(k + d for k in kinks for d in (-0.5, 0.0, 0.5)))
    else:
        inputs["zero"] = fixed([0.0, -0.0])
    return RuleEntry(rule, inputs, invariants=keeps)


def gated(rule: Rule) -> RuleEntry:
    """A rule on two halves of the last axis: the second half is the gate."""
    return RuleEntry(
        rule,
        {
            "typical": normal(5, 14),
            "one_row": normal(1, 6),
            "leading_axes": normal(2, 3, 10),
            "zero_gate": fixed([2.0, -3.0, 0.0, -0.0]),
            "tiny": normal(5, 14, scale=1e-6),
            "saturated": normal(5, 14, scale=30.0),
            "large_gate": fixed([1.5, -2.5, 0.5, 1e4, -1e4, 100.0]),
        },
        invariants=(linear_in_its_value,),
    )


def rowwise(rule: Rule, *keeps: Invariant, **more: Draw) -> RuleEntry:
    """A rule along the last axis: ties for the largest entry, far ones, near ones."""
    return RuleEntry(
        rule,
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "leading_axes": normal(2, 3, 5),
            "ties": fixed([1.0, 1.0, 0.25, 1.0], [0.0, 0.0, 0.0, 0.0]),
            "tiny": normal(5, 7, scale=1e-6),
            "saturated": normal(5, 7, scale=30.0),
            "large": normal(5, 7, scale=1e4),
            "large_and_near": fixed([9984.0, 9984.5, 9983.25, -9984.0]),
            **more,
        },
        invariants=keeps,
    )


MIRRORED = (differs_by_x_from_its_mirror,)

ACTIVATIONS = {
    "relu": RuleEntry(
        relu(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "kink": lambda key: jnp.array([[-1.0, 0.0, -0.0, 2.0, 1e-30]]),
            "large": normal(5, 7, scale=1e4),
        },
    ),
    "tanh": RuleEntry(
        tanh(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "zero": lambda key: jnp.zeros((2, 3)),
            "saturated": normal(5, 7, scale=30.0),
        },
        invariants=(odd,),
    ),
    "sigmoid": RuleEntry(
        sigmoid(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "zero": lambda key: jnp.zeros((2, 3)),
            "saturated": normal(5, 7, scale=30.0),
        },
        invariants=(symmetric_about(0.0, 1.0),),
    ),
    "softmax": RuleEntry(
        softmax(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "leading_axes": normal(2, 3, 5),
            "tie": lambda key: jnp.array([[2.0, 2.0, -1.0], [0.0, 0.0, 0.0]]),
            "far_apart": normal(3, 5, scale=30.0),
            "shifted": normal(3, 5, shift=1e4),
        },
        invariants=(
            rows_of_y_sum_to_one,
            blind_to_a_shift_of_rows,
            dx_sums_to_zero(-1),
            blind_to_a_shift_of_dy,
        ),
    ),
    "leaky_relu": entrywise(leaky_relu(0.1), 0.0, keeps=(homogeneous(1),)),
    "prelu": entrywise(prelu(), 0.0, keeps=(linear_in_its_slopes,)),
    "prelu_of_each": RuleEntry(
        prelu(5),
        {
            "typical": normal(7, 5),
            "one_row": normal(1, 5),
            "leading_axes": normal(2, 3, 5),
            "kinks": fixed([0.0, -0.0, 1.0, -1.0, 0.0]),
            "large": normal(3, 5, scale=1e4),
        },
        invariants=(linear_in_its_slopes,),
    ),
    "elu": entrywise(elu(0.7), 0.0),
    "selu": entrywise(selu(), 0.0),
    "celu": entrywise(celu(1.3), 0.0),
    "gelu": entrywise(gelu(), keeps=MIRRORED),
    "gelu_tanh": entrywise(gelu_tanh(), keeps=MIRRORED),
    "silu": entrywise(silu(), keeps=MIRRORED),
    "mish": entrywise(mish()),
    "softplus": entrywise(softplus(), keeps=MIRRORED),
    # Beyond 100 autodiff of x / (1 + |x|) subtracts what is equal but for a few digits.
    "softsign": entrywise(softsign(), far=100.0, keeps=(odd,)),
    "log_sigmoid": entrywise(log_sigmoid(), keeps=MIRRORED),
    # Far out the next three are constant: nothing could be seen there.
    "hard_tanh": entrywise(hard_tanh(), -1.0, 1.0, far=3.0, keeps=(odd,)),
    "hard_sigmoid": entrywise(
        hard_sigmoid(), -3.0, 3.0, far=6.0, keeps=(symmetric_about(0.0, 1.0),)
    ),
    "relu6": entrywise(relu6(), 0.0, 6.0, far=9.0, keeps=(symmetric_about(3.0, 6.0),)),
    "hard_swish": entrywise(hard_swish(), -3.0, 3.0, keeps=MIRRORED),
    "squared_relu": entrywise(squared_relu(), 0.0, keeps=(homogeneous(2),)),
    "glu": gated(glu()),
    "swiglu": gated(swiglu()),
    "geglu": gated(geglu()),
    "log_softmax": rowwise(
        log_softmax(),
        rows_of_exp_y_sum_to_one,
        blind_to_a_shift_of_rows,
        dx_sums_to_zero(-1),
    ),
    "logsumexp": rowwise(
        logsumexp(), shifts_with_x, rows_of_dx_sum_to_dy, one_entry=normal(3, 1)
    ),
    "sparsemax": rowwise(
        sparsemax(),
        rows_of_y_sum_to_one,
        blind_to_a_shift_of_rows,
        dx_sums_to_zero(-1),
        support_ends=fixed([1.0, 0.0, -0.5], [0.5, 0.5, -0.5]),
    ),
}
