"""attention agrees with torch and jax.nn, and hidden pairs have no influence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.attention import attention
from purefw.shared import softmax_attention
from purefw.shared.softmax_attention import AttentionInput, padding_mask
from reference import chance
from tests.refute import compiled, pull, refuted

PLAIN, CAUSAL = compiled(attention()), compiled(attention(causal=True))
SLOW = pytest.mark.slow


def drawn(keys, heads=3, key_heads=3, mask=None, steps=(5, 7)):
    t, s = steps
    return AttentionInput(
        chance.normal(next(keys), (2, t, heads, 4)),
        chance.normal(next(keys), (2, s, key_heads, 4)),
        chance.normal(next(keys), (2, s, key_heads, 4)),
        mask,
    )


def half_hidden(keys, shape=(2, 3, 5, 7)):
    """A random mask in which query 2 may read nothing and the others key 0 at least."""
    mask = chance.bernoulli(next(keys), 0.5, shape).at[..., 0].set(True)
    return mask.at[:, :, 2].set(False)


@pytest.mark.parametrize("heads", [(3, 3), (6, 2)], ids=["multi_head", "grouped"])
@pytest.mark.parametrize("causal", [False, True], ids=["plain", "causal"])
def test_forward_agrees_with_jax_nn(causal, heads, keys):
    x = drawn(keys, *heads, mask=padding_mask(jnp.array([7, 3]), 7))
    rule = CAUSAL if causal else PLAIN
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.nn.dot_product_attention(*x[:3], mask=x.mask, is_causal=causal)
    # Theirs takes its softmax in float32 whatever the inputs: 8 units of 6e-8.
    np.testing.assert_allclose(rule.apply((), x), expected, atol=5e-7)


@pytest.mark.parametrize("causal", [False, True], ids=["plain", "causal"])
@pytest.mark.parametrize("heads", [(3, 3), (6, 2)], ids=["multi_head", "grouped"])
def test_forward_and_gradients_agree_with_torch(heads, causal, keys):
    rule = CAUSAL if causal else PLAIN
    torch = pytest.importorskip("torch", reason="torch is the independent judge")
    mask = half_hidden(keys, (2, heads[0], 5, 7)).at[:, :, 2, 0].set(True)
    x = drawn(keys, *heads, mask=mask)
    seen = mask & jnp.tri(5, 7, dtype=bool)[None, None] if causal else mask
    inputs = [
        torch.tensor(np.array(v.swapaxes(1, 2)), requires_grad=True) for v in x[:3]
    ]
    out = torch.nn.functional.scaled_dot_product_attention(
        *inputs, attn_mask=torch.tensor(np.array(seen)), enable_gqa=True
    ).transpose(1, 2)
    y, residuals = rule.forward((), x)
    dy = chance.normal(next(keys), y.shape)
    out.backward(torch.tensor(np.array(dy)))
    # Sums of 7 products in float64; measured 9e-16.
    np.testing.assert_allclose(y, out.detach().numpy(), atol=1e-14)
    _, dx = rule.backward(residuals, dy)
    for ours, theirs in zip(dx[:3], inputs):
        expected = theirs.grad.numpy().swapaxes(1, 2)
        np.testing.assert_allclose(ours, expected, atol=1e-14)
    assert dx.mask.dtype == jax.dtypes.float0 and dx.mask.shape == mask.shape


def test_a_query_that_may_read_nothing_gives_zeros_and_takes_no_gradient(keys):
    x = drawn(keys, mask=half_hidden(keys))
    y = PLAIN.apply((), x)
    dy = jnp.zeros_like(y).at[:, 2].set(chance.normal(next(keys), y[:, 2].shape))
    _, dx = PLAIN.backward(PLAIN.forward((), x)[1], dy)
    assert jnp.all(y[:, 2] == 0) and jnp.all(y[:, 0] != 0)
    assert all(jnp.all(v == 0) for v in dx[:3])


def test_hidden_keys_have_no_influence_and_no_gradient(keys):
    mask = padding_mask(jnp.array([7, 3]), 7)
    x = drawn(keys, mask=mask)
    y, dy = PLAIN.apply((), x), chance.normal(next(keys), (2, 5, 3, 4))
    other = x._replace(keys=x.keys.at[1, 3:].set(9), values=x.values.at[1, 3:].set(9))
    assert jnp.all(PLAIN.apply((), other) == y)
    _, dx = pull(PLAIN, (), x, dy)
    assert jnp.all(dx.keys[1, 3:] == 0) and jnp.all(dx.values[1, 3:] == 0)


def test_causal_output_does_not_depend_on_the_future(keys):
    x = drawn(keys, steps=(5, 5))
    late = x._replace(keys=x.keys.at[:, 3:].set(9), values=x.values.at[:, 3:].set(9))
    assert jnp.all(CAUSAL.apply((), x)[:, :3] == CAUSAL.apply((), late)[:, :3])
    assert jnp.any(CAUSAL.apply((), x)[:, 3] != CAUSAL.apply((), late)[:, 3])


def test_a_shift_of_all_keys_changes_nothing(keys):
    x = drawn(keys, mask=half_hidden(keys))
    shift = chance.normal(next(keys), (2, 1, 3, 4))
    moved = x._replace(keys=x.keys + jnp.broadcast_to(shift, x.keys.shape))
    # Logits of size 10 before the maximum is taken off: measured 2e-15.
    np.testing.assert_allclose(PLAIN.apply((), moved), PLAIN.apply((), x), atol=1e-13)
    _, dx = pull(PLAIN, (), x, chance.normal(next(keys), (2, 5, 3, 4)))
    assert jnp.abs(dx.keys.sum(axis=1)).max() < 1e-14 < jnp.abs(dx.keys).max()


def test_logits_of_ten_thousand_stay_finite(keys):
    x = drawn(keys)
    x = x._replace(queries=100 * x.queries, keys=100 * x.keys)
    y, residuals = PLAIN.forward((), x)
    _, dx = PLAIN.backward(residuals, y)
    assert all(jnp.isfinite(v).all() for v in (y, *dx[:3]))


def test_a_missing_scale_a_lost_mask_and_lost_groups_are_refuted(keys):
    x = drawn(keys, steps=(5, 5))

    def unscaled(residuals, dy):
        _, dx = CAUSAL.backward(residuals, dy)
        return (), dx._replace(queries=2 * dx.queries, keys=2 * dx.keys)

    def all_seeing(residuals, dy):
        return PLAIN.backward(PLAIN.forward((), x)[1], dy)

    def one_group(residuals, dy):
        _, dx = PLAIN.backward(residuals, dy)
        return (), dx._replace(keys=dx.keys / 3)

    def centreless(residuals, dy):
        weights = weights_of(CAUSAL, x)
        dw = jnp.einsum("btnv,bsnv->btns", dy, x.values)
        dz = weights * dw / 2
        _, dx = CAUSAL.backward(residuals, dy)
        return (), dx._replace(queries=jnp.einsum("btns,bsnh->btnh", dz, x.keys))

    assert refuted(CAUSAL, x, unscaled) == {"dx.queries", "dx.keys"}
    assert refuted(CAUSAL, x, all_seeing) == {"dx.queries", "dx.keys", "dx.values"}
    assert refuted(PLAIN, drawn(keys, 6, 2), one_group) == {"dx.keys"}
    assert refuted(CAUSAL, x, centreless) == {"dx.queries"}


def test_shapes_that_do_not_fit_are_refused(keys):
    x = drawn(keys)
    with pytest.raises(ValueError, match="attention: x must hold arrays"):
        PLAIN.forward((), x._replace(keys=jnp.ones((2, 7, 12))))
    with pytest.raises(ValueError, match="attention: keys and values must share"):
        PLAIN.forward((), x._replace(values=jnp.ones((2, 6, 3, 4))))
    with pytest.raises(ValueError, match="must divide the 4 query heads, got 3"):
        PLAIN.forward((), x._replace(queries=jnp.ones((2, 5, 4, 4))))
    for mask in (jnp.ones((2, 3, 5, 6), bool), jnp.ones((5, 7), bool)):
        with pytest.raises(ValueError, match=r"mask must be .* \(2, 3, 5, 7\)"):
            PLAIN.forward((), x._replace(mask=mask))
    with pytest.raises(ValueError, match="mask must be boolean .* got float64"):
        PLAIN.forward((), x._replace(mask=jnp.ones((2, 3, 5, 7))))


def test_weights_sum_to_one_or_zero_and_y_is_linear_in_the_values(keys):
    x = drawn(keys, mask=half_hidden(keys))
    y = PLAIN.apply((), x)
    totals = weights_of(PLAIN, x).sum(-1)
    expected = jnp.ones_like(totals).at[:, 2].set(0)
    np.testing.assert_allclose(totals, expected, rtol=1e-15)
    other = chance.normal(next(keys), x.values.shape)
    both = PLAIN.apply((), x._replace(values=3 * x.values + other))
    # Sums of 7 products: measured 1e-15.
    expected = 3 * y + PLAIN.apply((), x._replace(values=other))
    np.testing.assert_allclose(both, expected, atol=1e-14)


def test_a_length_outside_the_array_hides_all_keys_or_none():
    mask = padding_mask(jnp.array([-1, 0, 7, 8]), 7)
    assert mask.sum(axis=(1, 2, 3)).tolist() == [0, 0, 7, 7]


@pytest.mark.parametrize("in_turn, weights", [(True, 0), (False, 0), (False, 1000)])
@pytest.mark.parametrize(
    "steps", [(5, 11), *(pytest.param(s, marks=SLOW) for s in [(7, 7), (11, 5)])]
)
def test_blocks_of_queries_and_all_heads_at_once_change_nothing(
    keys, steps, in_turn, weights, monkeypatch
):
    x = drawn(keys, 6, 3, steps=steps)
    mask = chance.bernoulli(next(keys), 0.7, (2, 1, *steps))
    causal, plain = attention(causal=True), attention()
    for rule, m in ((causal, None), (causal, mask), (plain, mask[:, :, :1])):
        whole = both_ways(rule, x._replace(mask=m))
        with monkeypatch.context() as patch:
            patch.setattr(softmax_attention, "QUERIES", 2)
            patch.setattr(softmax_attention, "BLOCKS", 3)
            patch.setattr(softmax_attention, "WEIGHTS", weights)
            patch.setattr(softmax_attention, "on_cpu", lambda: in_turn)
            parts = both_ways(rule, x._replace(mask=m))
        for a, b in zip(whole, parts, strict=True):  # Measured: 9e-16.
            np.testing.assert_allclose(a, b, atol=1e-14)


def both_ways(rule, x):
    """y and dx, traced anew: the choice of blocks is made while a program is traced."""

    @jax.jit
    def program(x):
        y, residuals = rule.forward((), x)
        _, dx = rule.backward(residuals, jnp.cos(y))
        return y, dx.queries, dx.keys, dx.values

    return program(x)


def weights_of(rule, x):
    """What each query makes of each key: y for values that are unit vectors."""
    n = x.keys.shape[1]
    units = jnp.broadcast_to(jnp.eye(n)[None, :, None], (*x.keys.shape[:3], n))
    return rule.apply((), x._replace(values=units))
