"""One mistake in one step of a network: every depth and every role."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from purefw.compose import chain, residual, tied
from purefw.layers.embedding import embedding
from purefw.layers.gelu import gelu
from purefw.layers.layer_norm import layer_norm
from purefw.layers.linear import linear
from purefw.layers.multi_head_attention import multi_head_attention
from purefw.layers.queries_keys_values import queries_keys_values
from purefw.layers.unembedding import unembedding
from purefw.rule import Rule
from reference.locate.parts import parts, places, with_parts
from reference.locate.trace import Role
from reference.locate.walk import Walk, show, step_by_step

FACTOR = 1.5


def scaled(tree, factor=FACTOR):
    """The float leaves times a factor."""

    def times(v):
        dtype = getattr(v, "dtype", None)
        floats = dtype is not None and dtype != jax.dtypes.float0
        floats = floats and jnp.issubdtype(dtype, jnp.floating)
        return v * jnp.asarray(factor, dtype) if floats else v

    return jax.tree.map(times, tree)


def broken(rule: Rule, role: Role) -> Rule:
    """The rule with one thing of it off."""

    def backward(residuals, dy):
        dparams, dx = rule.backward(residuals, dy)
        if role is Role.DX:
            return dparams, scaled(dx)
        return scaled(dparams), dx

    def forward(params, x, *key):
        y, residuals = rule.forward(params, x, *key)
        if role is Role.FORWARD:
            return scaled(y), residuals
        return y, scaled(residuals)

    if role in (Role.DX, Role.DPARAMS):
        return replace(rule, backward=backward)
    return replace(rule, forward=forward)


def planted(rule: Rule, place: tuple[str, ...], role: Role) -> Rule:
    """The network with one broken leaf."""
    if not place:
        return broken(rule, role)
    first, *rest = place
    part = planted(parts(rule)[first], tuple(rest), role)
    return with_parts(rule, {first: part})


def mistakes(network: Rule, params, x):
    """(place, role, paths) of every mistake, and of the calls that it shows in."""
    walk = Walk()
    with step_by_step():
        walk.network(network).forward(params, x)
    for place in places(network):
        calls = [
            c
            for c in reversed(walk.calls.values())
            if c.is_leaf and tuple(k for k, _ in c.path[1:]) == place
        ]
        paths = [show(c.path, walk.calls) for c in calls]
        for role in roles(calls[0]):
            yield place, role, paths


def roles(call) -> list[Role]:
    """What of a leaf has numbers that can be off."""
    trees = {
        Role.FORWARD: call.y,
        Role.RESIDUAL: call.residuals,
        Role.DX: call.x,
        Role.DPARAMS: call.params,
    }
    return [role for role, tree in trees.items() if has_floats(tree)]


def has_floats(tree) -> bool:
    return any(jnp.issubdtype(v.dtype, jnp.floating) for v in jax.tree.leaves(tree))


def unrolled_gpt(n_ids: int, width: int, heads: int, blocks: int) -> Rule:
    """purefw.models.gpt with a rule of its own for every block."""

    def block():
        attention = multi_head_attention(width, heads, causal=True, rotary_base=1e4)
        return chain(
            residual(chain(layer_norm(width), queries_keys_values(), attention)),
            residual(
                chain(
                    layer_norm(width),
                    linear(width, 4 * width),
                    gelu(),
                    linear(4 * width, width),
                )
            ),
        )

    middle = chain(*(block() for _ in range(blocks)), layer_norm(width))
    return tied(embedding(n_ids, width), middle, unembedding(n_ids, width))
