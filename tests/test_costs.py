"""What the compiled programs cost: operations, bytes, temporary memory; never times.

These numbers repeat exactly. By default the cases whose gain is the point of their
derivation; every case of the benchmark with -m slow.
"""

import jax
import pytest

from reference.bench.measure import compiled
from reference.bench.result import FLOOR
from reference.bench.shapes import CASES
from tests.test_rounding import usual_session

# Of each case, bytes moved and temporary memory: at most this part of autodiff's.
PROMISED = {
    "gelu": (0.5, 0.04),
    "mish": (0.5, 0.07),
    "softmax": (0.95, 0.07),
    "softmax_cross_entropy": (1.25, 0.04),  # Two scatters, each counted as an array.
    "softmax_cross_entropy_soft": (1.25, 0.07),
    "jensen_shannon": (0.5, 0.04),
    "logistic_loss_on_logits": (0.4, 0.03),
    "layer_norm": (0.95, 0.02),
    "gpt": (0.6, 0.4),
    "linear_cross_entropy": (1.0, 0.12),
    "max_pool": (0.4, 0.05),
    "causal_attention": (1.0, 0.10),
}


def costs(name):
    """Of the program by hand and of autodiff's."""
    case = CASES[name]
    with usual_session(x64=False):
        args = case.draw(jax.random.key(0))
        return compiled(case.hand, args)[1], compiled(case.auto, args)[1]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name == "gpt"))
        for name in PROMISED
    ],
)
def test_what_the_derivation_saves(name):
    moved, temporary = PROMISED[name]
    hand, auto = costs(name)
    assert hand["bytes"] <= moved * auto["bytes"]
    assert hand["temporary"] <= max(temporary * auto["temporary"], FLOOR)


def test_causal_blocks_leave_out_the_keys_that_come_after():
    hand, auto = costs("causal_attention")
    # 7 products of 4.5 blocks in 8, where autodiff has 6 of all.
    assert hand["flops"] <= 0.7 * auto["flops"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_no_case_needs_more_memory_than_autodiff(name):
    hand, auto = costs(name)
    assert hand["temporary"] <= max(1.05 * auto["temporary"], FLOOR)
