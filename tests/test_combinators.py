"""Combinators are the plain composition of their parts, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.compose import (
    chain,
    over_axis,
    parallel,
    recompute,
    repeat,
    residual,
    sequence_only,
    tied,
    time_distributed,
)
from purefw.compose.tied import TiedParams
from purefw.layers.embedding import embedding
from purefw.layers.linear import linear
from purefw.layers.lstm import lstm
from purefw.layers.tanh import tanh
from purefw.layers.unembedding import unembedding
from purefw.models import gpt
from purefw.rule import Rule
from purefw.shared.recurrence import RecurrentInput
from reference import chance
from reference.registry.compositions import block
from tests.refute import pull, random_params, refuted, ulps_apart


def noisy_forward(params, x, key):
    noise = 1 + jax.random.normal(key, x.shape, x.dtype)
    return x * noise, noise


NOISY = Rule(
    "noisy",
    lambda key: (),
    noisy_forward,
    lambda noise, dy: ((), dy * noise),
    random=True,
    inference=lambda params, x: x,
)
LAYER = chain(linear(3, 3), tanh(), NOISY)
RANDOM = {
    "residual": residual(LAYER),
    "parallel": parallel(LAYER, tanh(), LAYER),
    "repeat": repeat(LAYER, 3),
    "recompute": recompute(LAYER),
    "tied": tied(LAYER, NOISY, LAYER),
    "over_axis": over_axis(LAYER, -1),
    "time_distributed": time_distributed(LAYER),
    "sequence_only": sequence_only(
        Rule(
            "noisy lstm",
            lstm(3, 2).init,
            lambda p, x, key: lstm(3, 2).forward(
                p, x._replace(sequence=noisy_forward((), x.sequence, key)[0])
            ),
            lstm(3, 2).backward,
            random=True,
            inference=lstm(3, 2).apply,
        )
    ),
}


def equal(ours, theirs):
    """Leaf by leaf; the same products in another order, measured below 2e-15."""
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=1e-13)


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_part_needs_a_key_in_training_and_none_at_inference(name, keys):
    rule = RANDOM[name]
    params, x = (
        random_params(rule, next(keys)),
        chance.normal(next(keys), (2, 5, 3)),
    )
    assert rule.random
    with pytest.raises(ValueError, match="noisy.*: key must be given"):
        rule.forward(params, x)
    first, second = (rule.forward(params, x, next(keys))[0] for _ in range(2))
    assert jnp.any(first != second)
    assert rule.apply(params, x).shape == first.shape


def test_residual_adds_the_direct_path(keys):
    inner, rule = linear(3, 3), residual(linear(3, 3))
    params, x = random_params(inner, next(keys)), chance.normal(next(keys), (5, 3))
    dy = chance.normal(next(keys), (5, 3))
    dparams, dx = pull(inner, params, x, dy)
    equal(rule.apply(params, x), x + inner.apply(params, x))
    equal(pull(rule, params, x, dy), (dparams, dx + dy))
    terms = rule.terms(rule.forward(params, x)[1], dy)["dx"]
    equal(sum(terms.values()), dx + dy)


def test_residual_without_the_direct_path_is_refuted(keys):
    inner, rule = linear(3, 3), residual(linear(3, 3))
    x = chance.normal(next(keys), (5, 3))
    assert refuted(rule, x, inner.backward) == {"dx"}


def test_parallel_sums_or_joins_and_adds_the_cotangents_of_x(keys):
    parts = (linear(3, 2), tanh(), linear(3, 5))
    rule = parallel(*parts, combine="concatenate")
    params, x = random_params(rule, next(keys)), chance.normal(next(keys), (7, 3))
    dy = chance.normal(next(keys), (7, 10))
    alone = [
        pull(r, p, x, d)
        for r, p, d in zip(parts, params, jnp.split(dy, [2, 5], axis=1), strict=True)
    ]
    outputs = [r.apply(p, x) for r, p in zip(parts, params)]
    equal(rule.apply(params, x), jnp.concatenate(outputs, axis=1))
    equal(
        pull(rule, params, x, dy),
        (tuple(d for d, _ in alone), sum(d for _, d in alone)),
    )
    two = parallel(tanh(), tanh())
    equal(two.apply(((), ()), x), 2 * jnp.tanh(x))


def test_parallel_that_keeps_one_path_is_refuted(keys):
    rule = parallel(tanh(), linear(3, 3))

    def last_only(residuals, dy):
        dparams, _ = rule.backward(residuals, dy)
        return dparams, linear(3, 3).backward(residuals.parts[1], dy)[1]

    assert refuted(rule, chance.normal(next(keys), (5, 3)), last_only) == {"dx"}


def test_repeat_is_a_chain_of_its_block_keys_included(keys):
    rule, plain = repeat(LAYER, 5), chain(*[LAYER] * 5)
    init_key, forward_key = next(keys), next(keys)
    params, params_of_chain = (
        rule.init(jax.random.clone(init_key)),
        plain.init(init_key),
    )
    equal(params, jax.tree.map(lambda *v: jnp.stack(v), *params_of_chain))
    x, dy = chance.normal(next(keys), (2, 7, 3))
    y, residuals = rule.forward(params, x, jax.random.clone(forward_key))
    y_of_chain, residuals_of_chain = plain.forward(params_of_chain, x, forward_key)
    equal(y, y_of_chain)
    dparams, dx = plain.backward(residuals_of_chain, dy)
    stacked = jax.tree.map(lambda *v: jnp.stack(v), *dparams)
    equal(rule.backward(residuals, dy), (stacked, dx))


def test_repeat_in_the_wrong_order_is_refuted(keys):
    rule = repeat(linear(3, 3), 5)

    def forwards(residuals, dy):
        turned = jax.tree.map(lambda v: v[::-1], residuals)
        dparams, dx = rule.backward(turned, dy)
        return jax.tree.map(lambda v: v[::-1], dparams), dx

    wrong = refuted(rule, chance.normal(next(keys), (5, 3)), forwards)
    assert wrong == {"dparams.weight", "dparams.bias", "dx"}


def program(rule, x):
    """The jaxpr of forward and backward, its params and x by shape alone."""
    params = jax.eval_shape(rule.init, jax.random.key(0))

    def both(params, x, dy):
        return rule.backward(rule.forward(params, x)[1], dy)

    return jax.make_jaxpr(both)(params, x, x)


def test_repeat_gives_the_compiler_one_program_whatever_the_depth():
    x = jax.ShapeDtypeStruct((2, 5, 6), jnp.float64)

    def lines(n):
        return str(program(repeat(block(6, 3), n), x)).count("\n")

    assert lines(2) == lines(48)


def test_recompute_lowers_the_memory_of_a_gpt_of_twelve_blocks(keys):
    plain, lean = (gpt(11, 24, 3, 12, recompute=again) for again in (False, True))
    params = random_params(plain, next(keys))
    ids = chance.randint(next(keys), (2, 64), 0, 11)
    dy = chance.normal(next(keys), (2, 64, 11))
    programs = [pull.lower(rule, params, ids, dy).compile() for rule in (plain, lean)]
    memory = [p.memory_analysis().temp_size_in_bytes for p in programs]
    assert memory[1] <= 0.4 * memory[0]  # The bound is the project's; measured 0.22.
    (dparams, _), (again, _) = (p(params, ids, dy) for p in programs)
    assert ulps_apart(again, dparams) <= 64


def test_recompute_gives_the_same_gradient_and_keeps_the_input_alone(keys):
    rule, lean = LAYER, recompute(LAYER)
    params, x = random_params(rule, next(keys)), chance.normal(next(keys), (5, 3))
    key, dy = next(keys), chance.normal(next(keys), (5, 3))
    y, residuals = rule.forward(params, x, jax.random.clone(key))
    y_lean, kept = lean.forward(params, x, key)
    equal(y_lean, y)
    equal(lean.backward(kept, dy), rule.backward(residuals, dy))
    assert (
        kept.x is x and len(jax.tree.leaves(kept)) == len(jax.tree.leaves(params)) + 2
    )


def test_recompute_with_another_key_is_refuted(keys):
    rule, other = recompute(LAYER), next(keys)

    def redrawn(residuals, dy):
        return rule.backward(residuals._replace(key=other), dy)

    x = chance.normal(next(keys), (5, 3))
    assert "dx" in refuted(rule, x, redrawn, key=next(keys))


def test_tied_adds_the_cotangents_of_both_ends(keys):
    ends = embedding(7, 3), unembedding(7, 3)
    rule, plain = tied(ends[0], tanh(), ends[1]), chain(ends[0], tanh(), ends[1])
    table, ids = chance.normal(next(keys), (7, 3)), jnp.array([2, 5, 2])
    dy = chance.normal(next(keys), (3, 7))
    (dfirst, _, dlast), _ = pull(plain, (table, (), table), ids, dy)
    dparams, dx = pull(rule, TiedParams(table, ()), ids, dy)
    equal(dparams.shared, dfirst + dlast)
    assert dx.dtype == jax.dtypes.float0

    def last_only(residuals, dy):
        dlast, _ = ends[1].backward(residuals.last, dy)
        return rule.backward(residuals, dy)[0]._replace(shared=dlast), dx

    assert refuted(rule, ids, last_only) == {"dparams.shared"}


def test_over_axis_is_the_rule_on_the_moved_axis(keys):
    rule = over_axis(linear(5, 2), 1)
    params, x = (
        random_params(rule, next(keys)),
        chance.normal(next(keys), (3, 5, 7)),
    )
    dy = chance.normal(next(keys), (3, 2, 7))
    expected = jnp.einsum("aib,io->aob", x, params.weight) + params.bias[None, :, None]
    equal(rule.apply(params, x), expected)
    equal(pull(rule, params, x, dy)[1], jnp.einsum("aob,io->aib", dy, params.weight))
    last = over_axis(linear(7, 2), -1)
    params = random_params(last, next(keys))
    equal(last.apply(params, x), linear(7, 2).apply(params, x))


def test_time_distributed_is_the_rule_at_every_step(keys):
    inner, rule = linear(3, 2), time_distributed(linear(3, 2))
    params, x = (
        random_params(inner, next(keys)),
        chance.normal(next(keys), (5, 7, 3)),
    )
    dy = chance.normal(next(keys), (5, 7, 2))
    steps = [pull(inner, params, x[:, t], dy[:, t]) for t in range(7)]
    dparams = jax.tree.map(lambda *v: sum(v), *[d for d, _ in steps])
    equal(rule.apply(params, x)[:, 4], inner.apply(params, x[:, 4]))
    equal(pull(rule, params, x, dy), (dparams, jnp.stack([d for _, d in steps], 1)))


def test_sequence_only_starts_at_rest_and_drops_the_state(keys):
    inner, rule = lstm(3, 2), sequence_only(lstm(3, 2))
    params, x = (
        random_params(inner, next(keys)),
        chance.normal(next(keys), (5, 7, 3)),
    )
    y = inner.apply(params, RecurrentInput(x, None, None))
    equal(rule.apply(params, x), y.sequence)
    nothing = y._replace(state=jax.tree.map(jnp.zeros_like, y.state))
    dparams, dx = pull(inner, params, RecurrentInput(x, None, None), nothing)
    equal(pull(rule, params, x, y.sequence), (dparams, dx.sequence))


BAD = {
    "residual(linear): y must have x's shape": lambda: residual(linear(3, 2)).forward(
        linear(3, 2).init(jax.random.key(0)), jnp.ones((5, 3))
    ),
    "parallel: rules must be at least one": lambda: parallel(),
    "parallel: combine must be 'sum' or 'concatenate', got 'mean'": lambda: parallel(
        tanh(), combine="mean"
    ),
    "parallel: outputs must have shapes that fit to sum": lambda: forward_from_init(
        parallel(tanh(), linear(3, 2))
    ),
    "repeat: n must be at least 1, got 0": lambda: repeat(tanh(), 0),
    "repeat(linear): y must have the shape and dtype of x": lambda: forward_from_init(
        repeat(linear(3, 2), 2)
    ),
    "repeat: params must have 2 rows in every leaf, got shape (5,": lambda: repeat(
        linear(3, 3), 2
    ).forward(repeat(linear(3, 3), 5).init(jax.random.key(0)), jnp.ones((5, 3))),
    "tied: last must have the parameters of first": lambda: forward_from_init(
        tied(linear(3, 2), tanh(), linear(2, 3))
    ),
    "over_axis: x must have an axis 2, got (5, 3)": lambda: forward_from_init(
        over_axis(tanh(), 2)
    ),
    "time_distributed: x must have shape (batch, time, ...)": lambda: time_distributed(
        tanh()
    ).forward((), jnp.ones(3)),
    "time_distributed: the rule must keep the 15 rows": lambda: forward_from_init(
        time_distributed(over_axis(linear(15, 2), 0)), jnp.ones((5, 3, 1))
    ),
}


def forward_from_init(rule, x=None):
    x = jnp.ones((5, 3)) if x is None else x
    return rule.forward(rule.init(jax.random.key(0)), x)


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_by_name(message):
    with pytest.raises(ValueError) as error:
        BAD[message]()
    assert str(error.value).startswith(message)
