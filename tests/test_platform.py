"""The forms for other devices than a CPU give what the CPU's give, here on a CPU."""

import jax
import numpy as np
import pytest

from purefw.losses import linear_cross_entropy
from purefw.shared import (
    few_channels,
    normalisation,
    recomputation,
    softmax_attention,
)
from reference.bench.case import loss_case, rule_case
from reference.registry import LOSSES, RULES

CHOOSING = (
    few_channels,
    normalisation,
    recomputation,
    softmax_attention,
    linear_cross_entropy,
)
CHOSEN = [
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "softplus",
    "log_sigmoid",
    "layer_norm",
    "rms_norm",
    "glu",
    "swiglu",
    "convolution",
    "causal_attention",
    "linear_cross_entropy",
]


def forward_and_backward(name):
    """A program of its own, traced when it is called, and what it reads."""
    entry = {**RULES, **LOSSES}[name]
    draw = next(iter(entry.inputs.values()))
    if name in RULES:
        case = rule_case(entry.rule, draw)
    else:
        case = loss_case(entry.loss, draw)
    return lambda *args: case.hand(*args), case.draw(jax.random.key(1))


@pytest.mark.parametrize("name", CHOSEN)
def test_every_form_gives_the_same(name, monkeypatch):
    here, args = forward_and_backward(name)
    expected, program = jax.jit(here)(*args), str(jax.make_jaxpr(here)(*args))
    for module in CHOOSING:
        monkeypatch.setattr(module, "on_cpu", lambda: False)
    there, _ = forward_and_backward(name)
    assert str(jax.make_jaxpr(there)(*args)) != program
    found = jax.jit(there)(*args)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = np.abs(b).max(initial=0)
        # Sums in another order; measured: 1.6 eps of the largest entry.
        np.testing.assert_allclose(
            a, b, rtol=0, atol=64 * np.finfo(b.dtype).eps * scale
        )
