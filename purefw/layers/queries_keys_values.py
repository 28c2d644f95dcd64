"""One sequence as the queries, keys and values of self-attention.

    (1)  queries = keys = values = x, without a mask
    (2)  dx      = dqueries + dkeys + dvalues

(2): x goes three ways, and the cotangent of a copy is the sum of the copies'.
Keeping one of the three, or overwriting it with the next, is the usual mistake: terms
gives them names.
"""

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.softmax_attention import AttentionInput
from purefw.shared.structure import no_params


def queries_keys_values() -> Rule[tuple, tuple]:
    """The rule on x of any shape; in a chain before multi_head_attention.

    Returns:
        A rule whose y is an AttentionInput; it has no parameters and no residuals.

    Example:
        >>> import jax.numpy as jnp
        >>> dy = AttentionInput(*jnp.array([[1.0], [10.0], [100.0]]), None)
        >>> queries_keys_values().backward((), dy)[1]
        Array([111.], dtype=float32)
    """
    return Rule("queries_keys_values", no_params, forward, backward, terms=terms)


def forward(params: tuple, x: Float[Array, "*s"]) -> tuple[AttentionInput, tuple]:
    """Equation (1)."""
    del params
    return AttentionInput(x, x, x, None), ()  # (1)


def backward(residuals: tuple, dy: AttentionInput) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    del residuals
    return (), dy.queries + dy.keys + dy.values  # (2)


def terms(residuals: tuple, dy: AttentionInput) -> dict[str, dict[str, Array]]:
    """The summands of (2)."""
    del residuals
    return {"dx": {"queries": dy.queries, "keys": dy.keys, "values": dy.values}}
