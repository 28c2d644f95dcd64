"""What tests share: a rule broken on purpose."""

from dataclasses import replace

import jax

from purefw.rule import Rule
from reference import Verdict, check_rule


def refuted(rule: Rule, x, backward, params=None, key=None) -> set[str]:
    """The leaves of the cotangent at which `rule` with this backward is WRONG."""
    report = check_rule(replace(rule, backward=backward), x, params=params, key=key)
    assert report.verdict == Verdict.WRONG, report
    return {n for n, leaf in report.leaves.items() if leaf.verdict == Verdict.WRONG}


def pull(rule: Rule, params, x, dy):
    """(dparams, dx) of the rule at a point."""
    return jax.jit(lambda p, x, dy: rule.backward(rule.forward(p, x)[1], dy))(
        params, x, dy
    )


def random_params(rule: Rule, key, scale=0.5):
    """Parameters that are nowhere zero."""
    leaves, treedef = jax.tree.flatten(rule.init(key))
    keys = jax.random.split(jax.random.fold_in(key, 1), len(leaves))
    return jax.tree.unflatten(
        treedef,
        [scale * jax.random.normal(k, v.shape, v.dtype) for k, v in zip(keys, leaves)],
    )
