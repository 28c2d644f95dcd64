"""The pools against torch, Flax and lax; ties, borders and overlapping windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from purefw.layers.average_pool import average_pool
from purefw.layers.global_average_pool import global_average_pool
from purefw.layers.global_max_pool import global_max_pool
from purefw.layers.max_pool import max_pool
from reference import chance
from tests.layers.others import (
    channels_first,
    channels_last,
    cotangents_agree,
    drawn,
    lenient,
    same,
    torch,
    torch_dx,
)
from tests.refute import refuted

GEOMETRIES = {
    "apart": dict(stride=2, padding=0),
    "overlapping": dict(stride=1, padding=0),
    "padded": dict(stride=(2, 1), padding=1),
    "beyond": dict(stride=3, padding=0),
}


def tied(keys, *shape):
    """Small integers: most windows hold their maximum several times."""
    return chance.randint(next(keys), shape, -1, 2).astype(float)


@pytest.mark.parametrize("options", GEOMETRIES.values(), ids=GEOMETRIES)
def test_max_pool_and_its_ties_agree_with_torch(options, keys):
    rule, x = max_pool((2, 2), **options), tied(keys, 2, 5, 7, 3)
    y, residuals = rule.forward((), x)
    dy = chance.normal(next(keys), y.shape)

    def theirs(v):
        return torch().nn.functional.max_pool2d(v, (2, 2), **options)

    same(y, channels_last(theirs(channels_first(x))), 0)
    same(rule.backward(residuals, dy)[1], torch_dx(theirs, x, dy))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("options", GEOMETRIES.values(), ids=GEOMETRIES)
def test_average_pool_agrees_with_torch(options, inside, keys):
    rule = average_pool((2, 2), **options, count_include_pad=not inside)
    _, x, dy = drawn(rule, keys, 2, 5, 7, 3)
    y, residuals = rule.forward((), x)

    def theirs(v):
        return torch().nn.functional.avg_pool2d(
            v, (2, 2), **options, count_include_pad=not inside
        )

    same(y, channels_last(theirs(channels_first(x))))
    same(rule.backward(residuals, dy)[1], torch_dx(theirs, x, dy))


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 1), (0, 1))])
def test_pools_and_ties_agree_with_flax(padding, keys):
    x, window, stride = tied(keys, 2, 7, 5, 3), (3, 2), (2, 1)
    theirs = dict(strides=stride, padding=padding)
    rule = max_pool(window, stride=stride, padding=padding)
    form = lambda params, x: linen.max_pool(x, window, **theirs)  # noqa: E731
    same(rule.apply((), x), form((), x), 0)
    cotangents_agree(rule, (), x, keys, form)
    for inside in (False, True):
        rule = average_pool(
            window, stride=stride, padding=padding, count_include_pad=not inside
        )
        with lenient():
            y = linen.avg_pool(x, window, **theirs, count_include_pad=not inside)
        same(rule.apply((), x), y)


@pytest.mark.parametrize("rule", [max_pool((4,)), average_pool((4,))])
def test_a_pool_along_one_axis_agrees_with_torch(rule, keys):
    x = chance.normal(next(keys), (2, 13, 3))
    name = {"max_pool": "max_pool1d", "average_pool": "avg_pool1d"}[rule.name]
    theirs = getattr(torch().nn.functional, name)(channels_first(x), 4)
    same(rule.apply((), x), channels_last(theirs))


def test_global_pools_agree_with_torch(keys):
    x = chance.normal(next(keys), (2, 5, 3, 4))
    functional = torch().nn.functional
    for rule, theirs in (
        (global_average_pool(), functional.adaptive_avg_pool2d),
        (global_max_pool(), functional.adaptive_max_pool2d),
    ):
        y = channels_last(theirs(channels_first(x), 1))
        same(rule.apply((), x), y.reshape(2, 4))


def test_the_first_of_equal_entries_of_a_channel_gets_dy(keys):
    x = jnp.array([[[1.0, 5.0], [2.0, 5.0], [2.0, 5.0]]])
    dy = chance.normal(next(keys), (1, 2))
    dx = global_max_pool().backward(global_max_pool().forward((), x)[1], dy)[1]
    expected = jnp.zeros((1, 3, 2)).at[0, 1, 0].set(dy[0, 0]).at[0, 0, 1].set(dy[0, 1])
    assert (dx == expected).all()


def test_an_entry_that_wins_several_windows_gets_the_sum_of_their_dy(keys):
    rule, x = max_pool((3,), stride=1), jnp.array([0.0, 1.0, 9.0, 2.0, 3.0])
    dy = chance.normal(next(keys), (1, 3, 1))
    dx = rule.backward(rule.forward((), x[None, :, None])[1], dy)[1]
    same(dx.ravel(), jnp.zeros(5).at[2].set(dy.sum()))


@pytest.mark.parametrize("padding", [0, 1, "SAME"])
def test_max_pool_hands_on_all_of_dy(padding, keys):
    rule = max_pool((3, 2), stride=(2, 1), padding=padding)
    _, x, dy = drawn(rule, keys, 2, 7, 5, 3)
    dx = rule.backward(rule.forward((), x)[1], dy)[1]
    same(dx.sum(), dy.sum())


def test_the_mean_of_what_is_inside_keeps_a_constant(keys):
    rule = average_pool((3, 2), stride=2, padding=1, count_include_pad=False)
    x = jnp.full((1, 5, 6, 1), 0.3)
    y, residuals = rule.forward((), x)
    same(y, jnp.full(y.shape, 0.3))
    dy = chance.normal(next(keys), y.shape)
    same(rule.backward(residuals, dy)[1].sum(), dy.sum())


@pytest.mark.parametrize("rule", [max_pool((2,)), global_max_pool()])
def test_nan_is_the_largest_entry(rule):
    x = jnp.array([1.0, jnp.nan])[None, :, None]
    y, residuals = rule.forward((), x)
    assert jnp.isnan(y).all()
    dx = rule.backward(residuals, 2 * jnp.ones_like(y))[1]
    assert dx.ravel().tolist() == [0.0, 2.0]


def test_a_window_of_minus_infinity_beside_padding_loses_its_dy():
    rule, x = max_pool((2,), stride=2, padding=1), jnp.full((1, 2, 1), -jnp.inf)
    y, residuals = rule.forward((), x)
    assert (y == -jnp.inf).all()
    dx = rule.backward(residuals, jnp.ones((1, 2, 1)))[1]
    assert dx.ravel().tolist() == [0.0, 1.0]


OVERLAPPING = max_pool((3,), stride=1)
MEANS = average_pool((3,), stride=2, padding=1, count_include_pad=False)


def overwrites(residuals, dy):
    winner, lengths = residuals
    places = jnp.arange(dy.shape[1])[None, :, None] + winner.astype(int)
    b, c = jnp.arange(dy.shape[0])[:, None, None], jnp.arange(dy.shape[2])[None, None]
    dx = jnp.zeros((dy.shape[0], *lengths.value, dy.shape[2]))
    index = jnp.broadcast_arrays(b, places, c)
    return (), dx.at[tuple(index)].set(dy)


def counts_padding(residuals, dy):
    wrong = average_pool((3,), stride=2, padding=1)
    return wrong.backward(residuals, dy)


def forgets_the_mean(residuals, dy):
    n = residuals.value[0]
    return (), n * global_average_pool().backward(residuals, dy)[1]


def moves_the_winner(residuals, dy):
    _, dx = global_max_pool().backward(residuals, dy)
    return (), jnp.roll(dx, 1, axis=1)


@pytest.mark.parametrize(
    "rule,mutant",
    [
        (OVERLAPPING, overwrites),
        (MEANS, counts_padding),
        (global_average_pool(), forgets_the_mean),
        (global_max_pool(), moves_the_winner),
    ],
)
def test_a_mistake_is_refuted(rule, mutant, keys):
    x = chance.normal(next(keys), (2, 7, 2))
    assert refuted(rule, x, mutant) == {"dx"}


@pytest.mark.parametrize("pool", [max_pool, average_pool])
@pytest.mark.parametrize(
    "options,shape,message",
    [
        (dict(window=(0,)), None, r"window must be positive, .* got \(0,\)"),
        (dict(stride=0), None, "stride must be positive, .* got 0"),
        (dict(padding="FULL"), None, "padding must be 'SAME', 'VALID', .* got 'FULL'"),
        ({}, (2, 5), r"x must have shape \(batch, 1 spatial axes, .* got \(2, 5\)"),
        ({}, (2, 2, 1), r"x, padded, must be at least as long .*\(3,\), got \(2,\)"),
        (dict(padding=3), (2, 5, 1), r"padding must be smaller .* got \(\(3, 3\),\)"),
    ],
)
def test_bad_input_is_refused(pool, options, shape, message):
    with pytest.raises(ValueError, match=f"^{pool.__name__}: {message}"):
        rule = pool(**{"window": (3,), **options})
        rule.forward((), jnp.ones(shape))


@pytest.mark.parametrize("pool", [global_max_pool, global_average_pool])
@pytest.mark.parametrize("shape", [(2, 3), (2, 0, 3)])
def test_nothing_to_pool_is_refused(pool, shape):
    message = rf"^{pool.__name__}: x must .* one place, got \({str(shape)[1:-1]}\)"
    with pytest.raises(ValueError, match=message):
        pool().forward((), jnp.ones(shape))


def test_sixteen_bits_are_averaged_in_thirty_two():
    # Summed in bfloat16, entries of 3 no longer count from a total of 512 on.
    x = jnp.full((1, 512, 1), 3.0, jnp.bfloat16)
    assert (global_average_pool().apply((), x) == 3).all()
    images = x.reshape(1, 16, 32, 1)
    assert (average_pool((16, 4)).apply((), images) == 3).all()


def test_residuals_of_a_max_pool_do_not_hold_x(keys):
    _, residuals = max_pool((2, 2)).forward((), jnp.ones((1, 4, 6, 3)))
    (winner,) = jax.tree.leaves(residuals)
    assert (winner.shape, winner.dtype) == ((1, 2, 3, 3), np.dtype("int32"))


@pytest.mark.parametrize("pool", [global_max_pool, global_average_pool])
def test_a_channel_hands_on_all_of_dy_and_has_no_order(pool, keys):
    rule = pool()
    _, x, dy = drawn(rule, keys, 2, 5, 7, 3)
    y, residuals = rule.forward((), x)
    same(rule.backward(residuals, dy)[1].sum((1, 2)), dy)
    order = jax.random.permutation(next(keys), 35)
    mixed = x.reshape(2, 35, 3)[:, order].reshape(x.shape)
    same(rule.apply((), mixed), y)
