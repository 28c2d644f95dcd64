"""What a report says beside its verdict, and where the check looks on its own."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from reference import Verdict, check_vjp

RIGHT, WRONG = Verdict.RIGHT, Verdict.WRONG


def two_outputs(x):
    return {"a": jnp.sin(x), "b": jnp.cos(x)}, x


@pytest.mark.parametrize("name, index", [("a", (1, 2)), ("b", (0, 0)), ("b", (1, 1))])
def test_a_single_wrong_entry_of_the_jacobian_is_named(name, index):
    def backward(x, dy):
        error = jnp.zeros_like(x).at[0, 1].set(1e-6 * dy[name][index])
        return (dy["a"] * jnp.cos(x) - dy["b"] * jnp.sin(x) + error,)

    report = check_vjp(two_outputs, backward, np.linspace(0.3, 2.0, 6).reshape(2, 3))
    leaf = report.leaves["args[0]"]
    assert (leaf.verdict, leaf.index) == (WRONG, (0, 1))
    assert f"only through y['{name}'][{index[0]}, {index[1]}]" in leaf.sentence


@pytest.mark.parametrize("error", [1e-2, -1e-4, 1e-6])
def test_the_remainder_says_by_how_much_the_hand_is_too_large(error):
    def backward(x, dy):
        return (dy * jnp.exp(x) * (1 + error),)

    report = check_vjp(lambda x: (jnp.exp(x), x), backward, np.array([0.3, -1.2]))
    remainder = report.leaves["args[0]"].taylor
    found, bar = remainder.relative_error, remainder.uncertainty
    assert abs(found - error) <= 8 * bar + 1e-12 < 1e-8  # The claim's own rounding.
    assert f"Taylor's remainder: {error:+.3g}" in str(report)


def halvings(x, each):
    """The sum of each(x / 2^k) until x / 2^k is small: a loop of unknown length."""

    def body(state):
        return state[0] / 2, state[1] / 2, state[2] + each(*state[:2])

    start = x, jnp.ones_like(x), jnp.zeros_like(x)
    return lax.while_loop(lambda s: jnp.max(abs(s[0])) > 1e-3, body, start)[2]


@pytest.mark.parametrize("factor, verdict", [(1, RIGHT), (1 + 1e-9, WRONG)])
def test_forward_mode_judges_where_reverse_mode_cannot_run(factor, verdict):
    def forward(x):
        return halvings(x, lambda v, _: jnp.sin(v)), x

    def backward(x, dy):
        return (factor * dy * halvings(x, lambda v, dv: jnp.cos(v) * dv),)

    report = check_vjp(forward, backward, np.array([0.3, -1.2, 0.7]))
    assert report.verdict is verdict
    assert "judged by forward mode" in " ".join(report.notes)


@pytest.mark.parametrize("floor, verdict", [(0.0, RIGHT), (1e-2, WRONG)])
def test_the_end_of_the_domain_is_learnt(floor, verdict):
    """log(x - 1) from x = 1.5 on; the mistake shows below 1.01 alone."""

    def backward(x, dy):
        return (dy / jnp.maximum(x - 1, floor),)

    def forward(x):
        return jnp.log(x - 1), x

    report = check_vjp(forward, backward, np.array([1.5, 1.7, 2.1]))
    assert report.verdict is verdict
    if verdict is WRONG:
        assert "at the end of the domain" in report.leaves["args[0]"].sentence


@pytest.mark.parametrize("factor, verdict", [(1, Verdict.KINK), (2, WRONG)])
def test_beside_a_kink_the_check_is_made_again(factor, verdict):
    """relu(x - 3), its slope wrong by a factor on (3, 3.01), where no draw falls."""

    def backward(x, dy):
        near = (x > 3) & (x < 3.01)
        return (jnp.where(x >= 3, dy, 0) * jnp.where(near, factor, 1),)

    def forward(x):
        return jnp.where(x > 3, x - 3, 0), x

    report = check_vjp(forward, backward, np.array([3.0, 2.0, 7.0]))
    assert report.verdict is verdict
    if verdict is WRONG:
        assert "beside the kink" in report.leaves["args[0]"].sentence
