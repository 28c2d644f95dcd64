"""What tests share: rules compiled, rules broken on purpose, and what refutes them.

`refuted` is the lightest judge that there is, one random cotangent in float64 against
jax.vjp: it shows that a mistake is visible at all. The verifier itself is tested on
whole collections of mistakes in tests/reference and tests/zoo.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from purefw.rule import Loss, Rule
from reference import chance

# In units of the leaf's largest entry; rules that are right differ by 1e-13 at most.
FAR = 1e-6


def refuted(rule: Rule, x, backward, params=None, key=None) -> set[str]:
    """The leaves at which this backward is not that of the rule's forward.

    The rule's own backward must pass at the same point, else AssertionError.
    """
    if params is None:
        params = random_params(rule, jax.random.key(1))
    keys = [] if key is None else [key]

    def forward(params, x):
        return rule.forward(params, x, *keys)

    def all_three(params, x, dy):
        _, pullback, residuals = jax.vjp(forward, params, x, has_aux=True)
        truth, honest = pullback(dy), rule.backward(residuals, dy)
        return named(truth), named(honest), named(backward(residuals, dy))

    dy = normal_like(jax.eval_shape(forward, params, x)[0], jax.random.key(2))
    truth, honest, broken = jax.jit(all_three)(params, x, dy)
    assert not apart(honest, truth)
    return apart(broken, truth)


def refuted_loss(loss: Loss, prediction, target, backward) -> set[str]:
    """As `refuted`, of a loss; the incoming dloss is not 1."""
    dloss = jnp.array(-0.7)

    def all_three(prediction):
        _, pullback, residuals = jax.vjp(
            lambda p: loss.forward(p, target), prediction, has_aux=True
        )
        cotangents = (loss.backward(residuals, dloss), backward(residuals, dloss))
        return [leaves("dprediction", d) for d in (*pullback(dloss), *cotangents)]

    truth, honest, broken = jax.jit(all_three)(prediction)
    assert not apart(honest, truth)
    return apart(broken, truth)


def named(cotangents) -> dict:
    """The float leaves of (dparams, dx) by the name that a report gives them."""
    return leaves("dparams", cotangents[0]) | leaves("dx", cotangents[1])


def leaves(root: str, tree) -> dict:
    """Its float leaves by path."""
    return {
        root + jax.tree_util.keystr(path): v
        for path, v in jax.tree_util.tree_leaves_with_path(tree)
        if jnp.issubdtype(v.dtype, jnp.floating)
    }


def apart(cotangents: dict, truth: dict) -> set[str]:
    """The names of the leaves that are FAR from the truth, or not finite."""
    assert cotangents.keys() == truth.keys()
    sizes = {name: np.abs(v).max(initial=0) for name, v in truth.items()}
    nothing = FAR * max(sizes.values())  # A true zero is not so but for rounding.

    def far(name):
        value, true = np.asarray(cotangents[name]), np.asarray(truth[name])
        assert value.shape == true.shape
        return not np.abs(value - true).max() <= FAR * max(sizes[name], nothing)

    return {name for name in truth if far(name)}


def ulps_apart(tree, truth):
    """The largest deviation of a leaf, in units in the last place of its largest entry.

    A leaf that is a thousandth of the largest and less is measured by that thousandth:
    the bias of the keys has a gradient of 0, but for rounding.
    """
    pairs = list(zip(jax.tree.leaves(tree), jax.tree.leaves(truth), strict=True))
    sizes = [np.abs(b).max() for _, b in pairs]
    worst = 0.0
    for (a, b), size in zip(pairs, sizes):
        assert a.shape == b.shape and a.dtype == b.dtype == np.float64
        unit = np.spacing(max(size, max(sizes) / 1000))
        worst = max(worst, float(np.abs(np.asarray(a) - np.asarray(b)).max() / unit))
    return worst


@partial(jax.jit, static_argnums=0)
def pull(rule: Rule, params, x, dy):
    """(dparams, dx) of the rule at a point."""
    return rule.backward(rule.forward(params, x)[1], dy)


def compiled(rule: Rule) -> Rule:
    """The rule as one program each way: op by op, every test would compile anew."""
    forward, backward = jax.jit(rule.forward), jax.jit(rule.backward)
    return replace(rule, forward=forward, backward=backward)


def random_params(rule: Rule, key, scale=0.5):
    """Parameters that are nowhere zero."""
    init_key, draw_key = jax.random.split(key)
    return normal_like(jax.eval_shape(rule.init, init_key), draw_key, scale)


def normal_like(tree, key, scale=1.0):
    """A tree of this structure with random numbers."""
    values, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(key, max(len(values), 1))
    return jax.tree.unflatten(
        treedef,
        [scale * chance.normal(k, v.shape, v.dtype) for k, v in zip(keys, values)],
    )
