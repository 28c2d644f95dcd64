"""The entrances of the verifier (a first form: one point, one random cotangent)."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import keystr

from purefw.rule import Loss, Rule
from reference.registry.entry import normal_like
from reference.report import Leaf, Report
from reference.verdict import Verdict


def check_rule(
    rule: Rule, x: Any, *, params: Any = None, key: Any = None, seed: int = 0
) -> Report:
    """Judge `rule.backward` against jax.vjp of `rule.forward` at x.

    Args:
        rule: The rule.
        x: Its input, a pytree of arrays; leaves that are not floats get no cotangent.
        params: Its parameters; random ones where None.
        key: What a random rule's forward takes as third argument.
        seed: Of the parameters and the probes.
    """
    root = jax.random.key(seed)
    if params is None:
        params = normal_like(rule.init(root), jax.random.fold_in(root, 1))
    extra = (key,) if rule.random else ()
    return _compare(
        rule.name,
        lambda p, x: rule.forward(p, x, *extra),
        rule.backward,
        (params, x),
        ("dparams", "dx"),
    )


def check_loss(loss: Loss, prediction: Any, target: Any, *, seed: int = 0) -> Report:
    """Judge `loss.backward` against jax.vjp of `loss.forward` in the prediction."""
    del seed
    return _compare(
        loss.name,
        lambda p: loss.forward(p, target),
        lambda r, dloss: (loss.backward(r, dloss),),
        (prediction,),
        ("dprediction",),
    )


def _compare(subject, forward, backward, args, names) -> Report:
    with jax.enable_x64(True):
        args = jax.tree.map(_lift, args)
        y, pullback = jax.vjp(lambda *a: forward(*a)[0], *args)
        dy = normal_like(y, jax.random.key(2))
        truth = dict(zip(names, pullback(dy)))
        hand = dict(zip(names, backward(forward(*args)[1], dy)))
        leaves = {}
        for (path, v), h in zip(
            jax.tree.leaves_with_path(truth), jax.tree.leaves(hand), strict=True
        ):
            if v.dtype == jax.dtypes.float0:
                continue
            name = keystr(path, simple=True, separator=".")
            size = jnp.maximum(jnp.abs(v).max(initial=0), 1e-300)
            error = float(jnp.abs(h - v).max(initial=0) / size / 2**-53)
            right = h.shape == v.shape and error <= 64
            verdict = Verdict.RIGHT if right else Verdict.WRONG
            leaves[name] = Leaf(name, verdict, error)
    return Report(subject, leaves)


def _lift(v):
    v = jnp.asarray(v)
    return v.astype(jnp.float64) if jnp.issubdtype(v.dtype, jnp.floating) else v
