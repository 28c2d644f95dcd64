"""Attention, in three parts.

q is (B, T, n), k (B, S, n), v (B, S, m). Part scores, part weights, part mix:

    (1)  scores_bts  = Σ_i q_bti k_bsi / sqrt(n)
    (2)  weights_bts = exp scores_bts / Σ_r exp scores_btr    over the s that mask lets
    (3)  y_bto       = Σ_s weights_bts v_bso

mask, (T, S), is True where t may look at s; elsewhere weights are 0, and every t may
look somewhere. Derive the gradients of each part in what it reads. scores keeps q and
k, weights its result, mix its arguments.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from reference.teaching.exercise import Configuration, Exercise, Part


class Scores(NamedTuple):
    """What scores_backward needs."""

    q: Any
    k: Any


class Weights(NamedTuple):
    """What weights_backward needs."""

    weights: Any


class Mix(NamedTuple):
    """What mix_backward needs."""

    weights: Any
    v: Any


def scores(q, k):
    """Equation (1)."""
    products = jnp.einsum("bti,bsi->bts", q, k)
    return products / q.shape[-1] ** 0.5, Scores(q, k)  # (1)


def weights(scores, mask):
    """Equation (2)."""
    shown = jnp.where(mask[None], scores, -jnp.inf)
    e = jnp.exp(shown - jnp.max(shown, axis=-1, keepdims=True))
    p = e / jnp.sum(e, axis=-1, keepdims=True)  # (2)
    return p, Weights(p)


def weights_terms(residuals, dy):
    """Its own entry, and all of its row."""
    p = residuals.weights
    row = jnp.sum(p * dy, axis=-1, keepdims=True)
    return {"scores": {"own entry": p * dy, "whole row": -p * row}}


def mix(weights, v):
    """Equation (3)."""
    return jnp.einsum("bts,bso->bto", weights, v), Mix(weights, v)  # (3)


KINDS = {
    "usual": (2, 5, 7, 3, 11),
    "other sizes": (3, 2, 5, 7, 2),
    "one batch, one query": (1, 1, 5, 3, 2),
    "as many keys as queries": (2, 3, 3, 3, 3),
}


def score_cases(rng):
    """Queries and keys."""
    for kind, (b, t, s, n, _) in KINDS.items():
        args = rng.standard_normal((b, t, n)), rng.standard_normal((b, s, n))
        yield Configuration(kind, args)


def weight_cases(rng):
    """Scores and masks; the last is causal, and its scores are large."""
    for kind, (b, t, s, _, _) in KINDS.items():
        shift = 1000.0 if t == s else 0.0
        mask = np.tri(t, dtype=bool) if t == s else rng.random((t, s)) < 0.7
        mask[:, 0] = True
        yield Configuration(kind, (shift + rng.standard_normal((b, t, s)), mask))


def mix_cases(rng):
    """Weights and values."""
    for kind, (b, t, s, _, m) in KINDS.items():
        args = rng.random((b, t, s)), rng.standard_normal((b, s, m))
        yield Configuration(kind, args)


EXERCISE = Exercise(
    title="attention",
    number=20,
    parts=(
        Part(
            scores,
            score_cases,
            name="scores",
            gradients={
                "q": "dq_bti = Σ_s dy_bts k_bsi / sqrt(n)",
                "k": "dk_bsi = Σ_t dy_bts q_bti / sqrt(n)",
            },
        ),
        Part(
            weights,
            weight_cases,
            name="weights",
            gradients={
                "scores": "dscores_bts = weights_bts (dy_bts - Σ_r weights_btr dy_btr)"
            },
            terms=weights_terms,
        ),
        Part(
            mix,
            mix_cases,
            name="mix",
            gradients={
                "weights": "dweights_bts = Σ_o dy_bto v_bso",
                "v": "dv_bso = Σ_t weights_bts dy_bto",
            },
        ),
    ),
)
