"""The sequence rules in the usual JAX forms, on purefw's inputs.

`SEQUENCE_FORMS` maps names of the registry to `form(params, x) -> y`; the derivative is
autodiff's. 16-bit logits are computed in float32, as jax.nn.dot_product_attention does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from purefw.shared.softmax_attention import AttentionInput
from reference.baselines.spatial import up


def form_attention(
    params: tuple, x: AttentionInput, *, causal: bool
) -> Float[Array, "b t n v"]:
    """Two einsums around jax.nn.softmax, the key heads repeated for their queries."""
    q, k, v, _ = x
    k, v = (jnp.repeat(u, q.shape[2] // u.shape[2], axis=2) for u in (k, v))
    z = jnp.einsum("btnh,bsnh->bnts", q, k, preferred_element_type=up(q).dtype)
    z = z / jnp.sqrt(jnp.array(q.shape[-1], z.dtype))
    if causal:
        z = jnp.where(jnp.tri(*z.shape[2:], dtype=bool)[None, None], z, -jnp.inf)
    return jnp.einsum("bnts,bsnv->btnv", jax.nn.softmax(z).astype(v.dtype), v)


def form_multi_head(params: Any, x: Any, *, heads: int, causal: bool = False) -> Array:
    """Projections around jax.nn.dot_product_attention."""
    q, k, v = (
        (u @ p.weight + p.bias).reshape(*u.shape[:2], heads, -1)
        for u, p in zip(x, (params.queries, params.keys, params.values))
    )
    y = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
    return y.reshape(*y.shape[:2], -1) @ params.output.weight + params.output.bias


def form_rotary(
    params: tuple, x: Float[Array, "b t n h"], *, base: float
) -> Float[Array, "b t n h"]:
    """Halves turned against each other, as in Llama."""
    steps, half = x.shape[-3], x.shape[-1] // 2
    speed = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(steps, dtype=jnp.float32)[:, None] * speed
    cos, sin = (f(angle)[:, None, :].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def form_embedding(
    table: Float[Array, "n w"], ids: Integer[Array, "*b"]
) -> Float[Array, "*b w"]:
    """A gather."""
    return jnp.take(table, ids, axis=0)


SEQUENCE_FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "embedding": form_embedding,
    "unembedding": lambda table, x: x @ table.T,
    "attention": partial(form_attention, causal=False),
    "causal_attention": partial(form_attention, causal=True),
    "grouped_query_attention": partial(form_attention, causal=False),
}
