"""Dropout: each entry is zero with probability rate, and enlarged otherwise.

i counts entries; kept_i are independent and true with probability 1 - rate.

    (1)  y_i  = x_i / (1 - rate) if kept_i else 0
    (2)  dx_i = dy_i / (1 - rate) if kept_i else 0

(2): given the draw, (1) is linear with the same factor; the mask of the forward travels
in the residuals and is not drawn again.
Invariants: E y = x, so inference is the identity; where an entry is dropped, x does not
matter, be it inf or NaN.
Convention: the kept entries are enlarged in training ("inverted" dropout), as in Flax
and torch, not shrunk at inference as in the paper.

Reference: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a
simple way to prevent neural networks from overfitting", 2014, JMLR 15.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from purefw.rule import Rule
from purefw.shared.structure import no_params


def dropout(rate: float) -> Rule[tuple, Bool[Array, "*s"]]:
    """Drop entries of x at random.

    Args:
        rate: Probability of being dropped, in [0, 1).

    Returns:
        A random rule on x of any shape: `forward(params, x, key)`. Its residual is one
        byte an entry. `apply` is the identity.

    Raises:
        ValueError: `rate` is outside [0, 1), or `forward` gets no key.

    Example:
        >>> rule = dropout(0.5)
        >>> y, kept = rule.forward((), jnp.ones(4), jax.random.key(1))
        >>> bool((y == jnp.where(kept, 2, 0)).all())
        True
        >>> rule.apply((), jnp.ones(4))
        Array([1., 1., 1., 1.], dtype=float32)
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate must be in [0, 1), got {rate}")
    return Rule(
        name="dropout",
        init=no_params,
        forward=partial(forward, rate=rate),
        backward=partial(backward, rate=rate),
        random=True,
        inference=inference,
    )


def forward(
    params: tuple,
    x: Float[Array, "*s"],
    key: Key[Array, ""] | None = None,
    *,
    rate: float,
) -> tuple[Float[Array, "*s"], Bool[Array, "*s"]]:
    """Equation (1); the residual is kept."""
    del params
    if key is None:
        raise ValueError(
            "dropout: key must be given, because forward is random, got None"
        )
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0), kept  # (1)


def backward(
    residuals: Bool[Array, "*s"], dy: Float[Array, "*s"], *, rate: float
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    return (), jnp.where(residuals, dy / (1 - rate), 0)  # (2)


def inference(params: tuple, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The identity, which (1) is on average."""
    del params
    return x
