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


def fixed(*values) -> Draw:
    """A draw that is always this array: kinks and ties, which random x never meet."""
    return lambda key: jnp.array(values)


def entrywise(rule: Rule, *kinks: float, far: float = 1e4) -> RuleEntry:
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
    return RuleEntry(rule, inputs)


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
    )


def rowwise(rule: Rule, **more: Draw) -> RuleEntry:
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
    )


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
    ),
    "sigmoid": RuleEntry(
        sigmoid(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "zero": lambda key: jnp.zeros((2, 3)),
            "saturated": normal(5, 7, scale=30.0),
        },
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
    ),
    "leaky_relu": entrywise(leaky_relu(0.1), 0.0),
    "prelu": entrywise(prelu(), 0.0),
    "prelu_of_each": RuleEntry(
        prelu(5),
        {
            "typical": normal(7, 5),
            "one_row": normal(1, 5),
            "leading_axes": normal(2, 3, 5),
            "kinks": fixed([0.0, -0.0, 1.0, -1.0, 0.0]),
            "large": normal(3, 5, scale=1e4),
        },
    ),
    "elu": entrywise(elu(0.7), 0.0),
    "selu": entrywise(selu(), 0.0),
    "celu": entrywise(celu(1.3), 0.0),
    "gelu": entrywise(gelu()),
    "gelu_tanh": entrywise(gelu_tanh()),
    "silu": entrywise(silu()),
    "mish": entrywise(mish()),
    "softplus": entrywise(softplus()),
    # Beyond 100 autodiff of x / (1 + |x|) subtracts what is equal but for a few digits.
    "softsign": entrywise(softsign(), far=100.0),
    "log_sigmoid": entrywise(log_sigmoid()),
    # Far out the next three are constant: nothing could be seen there.
    "hard_tanh": entrywise(hard_tanh(), -1.0, 1.0, far=3.0),
    "hard_sigmoid": entrywise(hard_sigmoid(), -3.0, 3.0, far=6.0),
    "relu6": entrywise(relu6(), 0.0, 6.0, far=9.0),
    "hard_swish": entrywise(hard_swish(), -3.0, 3.0),
    "squared_relu": entrywise(squared_relu(), 0.0),
    "glu": gated(glu()),
    "swiglu": gated(swiglu()),
    "geglu": gated(geglu()),
    "log_softmax": rowwise(log_softmax()),
    "logsumexp": rowwise(logsumexp(), one_entry=normal(3, 1)),
    "sparsemax": rowwise(
        sparsemax(), support_ends=fixed([1.0, 0.0, -0.5], [0.5, 0.5, -0.5])
    ),
}
