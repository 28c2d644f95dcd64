"""A recurrent network through time.

x is (T, N, inputs). The state h starts with start, (N, n), and at every step t

    (1)  h_t = tanh(x_t weight + h_(t-1) recurrent + bias)

y is every state, (T, N, n). Derive the gradients in x, start and the parameters. A
state is read twice: as y_t, and by the step after it. The parameters are used at every
step. Keep x, y, start and the two matrices.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any
    y: Any
    start: Any
    weight: Any
    recurrent: Any


def forward(x, start, weight, recurrent, bias):
    """Equation (1)."""
    h, states = start, []
    for x_t in x:
        h = jnp.tanh(x_t @ weight + h @ recurrent + bias[None, :])  # (1)
        states.append(h)
    y = jnp.stack(states)
    return y, Residuals(x, y, start, weight, recurrent)


def configurations(rng):
    """Several steps, one step, one row."""
    for kind, (t, b, i, n) in {
        "usual": (4, 3, 2, 5),
        "other sizes": (3, 2, 5, 3),
        "one step": (1, 3, 2, 5),
        "one row": (3, 1, 3, 2),
    }.items():
        shapes = (t, b, i), (b, n), (i, n), (n, n), (n,)
        yield Configuration(kind, tuple(0.7 * rng.standard_normal(s) for s in shapes))


EXERCISE = Exercise(
    title="recurrent network",
    number=18,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx_t = da_t weightᵀ, "
                "da_t = (1 - h_t²) (dy_t + da_(t+1) recurrentᵀ)",
                "start": "dstart = da_1 recurrentᵀ",
                "weight": "dweight = Σ_t x_tᵀ da_t",
                "recurrent": "drecurrent = Σ_t h_(t-1)ᵀ da_t, h_0 = start",
                "bias": "dbias = Σ_t Σ_b da_t",
            },
        ),
    ),
)
