"""A rule applied to every time step, with the same parameters.

b counts sequences, t steps.

    (1)  y_bt    = f(params, x_bt)
    (2)  dx_bt   = backward of f at (b, t) applied to dy_bt
    (3)  dparams = Σ_bt of backward's dparams at (b, t)

The steps are laid beside the sequences as rows of one batch, so that (2) and (3) are
f's own backward on B T rows: the sum over rows in f's dparams is the sum over b and t.
A rule whose rows depend on one another, as batch norm, sees all B T of them as its
batch; a random rule draws for every step anew.
"""

from functools import partial
from typing import Any

from jaxtyping import Array, Float, Key

from purefw.compose.keys import forward_with
from purefw.rule import Rule


def time_distributed(rule: Rule) -> Rule:
    """The rule on each step of (batch, time, ...) arrays.

    Args:
        rule: Maps an array (rows, ...) to one with as many rows.

    Returns:
        A rule on x of shape (batch, time, ...), with the parameters and residuals of
        `rule` on batch * time rows, random where that is.

    Raises:
        ValueError: x has fewer than two axes, or the rule changes the number of rows.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from purefw.layers.linear import linear
        >>> rule = time_distributed(linear(3, 2))
        >>> rule.apply(rule.init(jax.random.key(0)), jnp.ones((5, 7, 3))).shape
        (5, 7, 2)
    """
    return Rule(
        name=f"time_distributed({rule.name})",
        init=rule.init,
        forward=partial(forward, rule=rule),
        backward=partial(backward, rule=rule),
        random=rule.random,
        inference=partial(infer, rule=rule),
    )


def forward(
    params: Any,
    x: Float[Array, "*s"],
    key: Key[Array, ""] | None = None,
    *,
    rule: Rule,
) -> tuple[Float[Array, "*r"], Any]:
    """Equation (1)."""
    y, residuals = forward_with(rule, params, _rows(x), key)  # (1)
    return _steps(y, x), residuals


def backward(
    residuals: Any, dy: Float[Array, "*r"], *, rule: Rule
) -> tuple[Any, Float[Array, "*s"]]:
    """Equations (2) and (3)."""
    dparams, dx = rule.backward(residuals, _rows(dy))  # (2), (3)
    return dparams, _steps(dx, dy)


def infer(params: Any, x: Float[Array, "*s"], *, rule: Rule) -> Float[Array, "*r"]:
    """Equation (1) with the rule's inference form."""
    return _steps(rule.apply(params, _rows(x)), x)


def _rows(x: Float[Array, "*s"]) -> Float[Array, "*m"]:
    if x.ndim < 2:
        raise ValueError(
            f"time_distributed: x must have shape (batch, time, ...), got {x.shape}"
        )
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _steps(rows: Float[Array, "*m"], like: Float[Array, "*s"]) -> Float[Array, "*r"]:
    """The rows as (batch, time, ...), with batch and time of `like`."""
    batch, time = like.shape[:2]
    if rows.shape[:1] != (batch * time,):
        raise ValueError(
            f"time_distributed: the rule must keep the {batch * time} rows, "
            f"got y of shape {rows.shape}"
        )
    return rows.reshape(batch, time, *rows.shape[1:])
