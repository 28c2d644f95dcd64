"""Right rules of many shapes, which the tests of the contract break one at a time."""

import jax
import jax.numpy as jnp
import numpy as np

from reference.contract import behaviour_findings, structure_findings
from reference.verifier.subject import Subject


def subject(forward, backward, *args, **options) -> Subject:
    """A subject whose cotangents are called d0, d1, ..."""
    names = tuple(f"d{i}" for i in range(len(args)))
    return Subject("rule", forward, backward, args, names, **options)


def normal(*shape, seed=0, dtype=np.float64):
    """Standard normal numbers as JAX's array."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def cotangent(s: Subject):
    """A standard normal dy for the output of a subject."""
    rng = np.random.default_rng(99)

    def draw(v):
        v = np.asarray(v)
        if not jnp.issubdtype(v.dtype, jnp.inexact):
            return np.zeros(v.shape, jax.dtypes.float0)
        return rng.standard_normal(v.shape).astype(v.dtype)

    return jax.tree.map(draw, s.forward(*s.args)[0])


def judge(s: Subject, dy=None) -> list:
    """All findings, structure first, as the verifier asks for them."""
    findings = structure_findings(s)
    if any(f.fatal for f in findings):
        return findings
    return findings + behaviour_findings(s, cotangent(s) if dy is None else dy)


def fatal(findings) -> set[str]:
    """The names of the broken clauses."""
    return {f.check for f in findings if f.fatal}


def tanh_forward(x):
    y = jnp.tanh(x)
    return y, y


def tanh_backward(y, dy):
    return ((1 - y * y) * dy,)


def linear_forward(w, x):
    return x @ w, (w, x)


def linear_backward(residuals, dy):
    w, x = residuals
    return x.T @ dy, dy @ w.T


def softmax_forward(x):
    e = jnp.exp(x - jnp.max(x, axis=-1, keepdims=True))
    p = e / jnp.sum(e, axis=-1, keepdims=True)
    return p, p


def softmax_backward(p, dp):
    return (p * (dp - jnp.sum(p * dp, axis=-1, keepdims=True)),)


def norm_forward(x):
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    s = 1 / jnp.sqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    return centred * s, (centred * s, s)


def norm_backward(residuals, dy):
    y, s = residuals
    mean = jnp.mean(dy, axis=-1, keepdims=True)
    return (s * (dy - mean - y * jnp.mean(y * dy, axis=-1, keepdims=True)),)


def mean_square_forward(x):
    return jnp.mean(x * x), x


def mean_square_backward(x, dloss):
    return (2 * x * dloss / x.size,)


def embedding_forward(table, ids):
    return table[ids], (jnp.zeros_like(table), ids)


def embedding_backward(residuals, dy):
    zeros, ids = residuals
    return zeros.at[ids].add(dy), None


def two_outputs_forward(x):
    s, c = jnp.sin(x), jnp.cos(x)
    return (s, c), (s, c)


def two_outputs_backward(residuals, dy):
    s, c = residuals
    ds, dc = dy
    return (c * ds - s * dc,)


def top_forward(x):
    return (jnp.max(x), jnp.argmax(x)), x


def top_backward(x, dy):
    return (jnp.zeros_like(x).at[jnp.argmax(x)].set(dy[0]),)


def numpy_tanh_forward(x):
    y = np.tanh(x)
    return y, y


def numpy_tanh_backward(y, dy):
    return ((1 - y * y) * dy,)


def mixed_forward(x):
    """Accumulates in float32 whatever the dtype of x."""
    wide = x.astype(jnp.float32)
    return jnp.sum(wide * wide, axis=-1).astype(x.dtype), x


def mixed_backward(x, dy):
    wide = x.astype(jnp.float32) * dy.astype(jnp.float32)[..., None]
    return ((2 * wide).astype(x.dtype),)
