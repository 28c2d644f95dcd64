"""Densities, filters, returns and policies."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy import special

from tests.zoo.case import HALF, WIDE, Family, normal, times, uniform

# log-densities

student = Family(
    "student_t",
    lambda x, s: -2.5 * jnp.log1p((x / s) ** 2 / 4) - jnp.log(s),
    lambda d: (normal(d, 7), uniform(d, 7, low=0.5, high=2)),
)


def student_backward(res, dy, power=5.0, missing=0.0):
    x, s = res
    q = power * x / (4 * s * s + x * x)
    return -dy * q, dy * (q * x / s - (1 - missing) / s)


student.right("joined_denominator", student_backward)
student.wrong(
    "degrees_of_freedom", (0, 1), lambda r, dy: student_backward(r, dy, 4.0), "4 for 5."
)
student.wrong(
    "log_scale_forgotten",
    1,
    lambda r, dy: student_backward(r, dy, missing=1.0),
    "The derivative of -log s.",
)

beta = Family(
    "beta_log_density",
    lambda x, a, b: (a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x),
    lambda d: (
        uniform(d, 5, low=0.1, high=0.9),
        uniform(d, 5, low=1, high=3, seed=1),
        uniform(d, 5, low=1, high=3, seed=2),
    ),
)
beta.right(
    "one_fraction",
    lambda r, dy: (
        dy * ((r[1] - 1) / r[0] - (r[2] - 1) / (1 - r[0])),
        dy * jnp.log(r[0]),
        dy * jnp.log1p(-r[0]),
    ),
)
beta.wrong(
    "sign_of_the_second",
    0,
    lambda r, dy: (
        dy * ((r[1] - 1) / r[0] + (r[2] - 1) / (1 - r[0])),
        dy * jnp.log(r[0]),
        dy * jnp.log1p(-r[0]),
    ),
    "The inner derivative -1.",
)
beta.wrong(
    "log_of_x_twice",
    2,
    lambda r, dy: (
        dy * ((r[1] - 1) / r[0] - (r[2] - 1) / (1 - r[0])),
        dy * jnp.log(r[0]),
        dy * jnp.log(r[0]),
    ),
    "log x for log(1 - x).",
)

gamma_log = Family(
    "gammaln",
    lambda x: special.gammaln(x),
    lambda d: (uniform(d, 6, low=1, high=6),),
    WIDE,
)
gamma_log.right("digamma", times(special.digamma))
gamma_log.wrong(
    "log",
    0,
    times(lambda x: jnp.log(x) - 1 / (2 * x)),
    "The asymptotic digamma, 1 % off.",
)

mixture = Family(
    "mixture_log_likelihood",
    lambda w, x: jnp.sum(
        special.logsumexp(
            jax.nn.log_softmax(w)
            - (x[:, None] - jnp.arange(3.0, dtype=x.dtype)) ** 2 / 2,
            axis=1,
        )
    ),
    lambda d: (normal(d, 3), normal(d, 5, seed=1)),
)


def mixture_backward(res, dy, keep=True):
    w, x = res
    gap = x[:, None] - jnp.arange(3.0, dtype=x.dtype)
    r = jax.nn.softmax(jax.nn.log_softmax(w) - gap**2 / 2, axis=1)
    dw = dy * jnp.sum(r - (jax.nn.softmax(w) if keep else 0), axis=0)
    return dw, -dy * jnp.sum(r * gap, axis=1)


mixture.right("responsibilities", mixture_backward)
mixture.wrong(
    "not_normalised",
    0,
    lambda r, dy: mixture_backward(r, dy, False),
    "The softmax of the prior is missing.",
)
mixture.wrong(
    "hard_assignment",
    1,
    lambda r, dy: (
        mixture_backward(r, dy)[0],
        -dy * (r[1] - jnp.clip(jnp.round(r[1]), 0, 2)),
    ),
    "The nearest component alone.",
)

cholesky_normal = Family(
    "normal_by_cholesky",
    lambda L, x: (
        -jnp.sum(jax.scipy.linalg.solve_triangular(L, x, lower=True) ** 2) / 2
        - jnp.sum(jnp.log(jnp.diag(L)))
    ),
    lambda d: (
        jnp.tril(normal(d, 4, 4, scale=0.3)) + 2 * jnp.eye(4, dtype=d),
        normal(d, 4, seed=3),
    ),
    WIDE,
)


def cholesky_normal_backward(res, dy, diagonal=True, lower=True):
    L, x = res
    z = jax.scipy.linalg.solve_triangular(L, x, lower=True)
    u = jax.scipy.linalg.solve_triangular(L.T, z, lower=False)
    dL = dy * jnp.outer(u, z)
    if lower:
        dL = jnp.tril(dL)
    if diagonal:
        dL = dL - dy * jnp.diag(1 / jnp.diag(L))
    return dL, -dy * u


cholesky_normal.right("two_solves", cholesky_normal_backward)
cholesky_normal.wrong(
    "upper_half",
    0,
    lambda r, dy: cholesky_normal_backward(r, dy, lower=False),
    "Entries above the diagonal are not read.",
)
cholesky_normal.wrong(
    "determinant_forgotten",
    0,
    lambda r, dy: cholesky_normal_backward(r, dy, diagonal=False),
    "-1/L_ii.",
)

# filters


def forward_algorithm(logits, emission):
    transition = jax.nn.log_softmax(logits, axis=1)

    def step(alpha, e):
        alpha = special.logsumexp(alpha[:, None] + transition, axis=0) + e
        return alpha, alpha

    start = emission[0]
    _, rest = lax.scan(step, start, emission[1:])
    alphas = jnp.concatenate([start[None], rest])
    return special.logsumexp(alphas[-1]), alphas


hmm = Family(
    "hmm_forward",
    lambda logits, emission: forward_algorithm(logits, emission)[0],
    lambda d: (normal(d, 3, 3), normal(d, 6, 3, seed=1)),
    WIDE,
)


def hmm_forward(logits, emission):
    y, alphas = forward_algorithm(logits, emission)
    return y, (logits, emission, alphas, y)


def hmm_backward(res, dy, last=0, normalise=True):
    logits, emission, alphas, y = res
    a = jax.nn.log_softmax(logits, axis=1)
    beta = jnp.zeros(3, a.dtype)
    counts, occupancy = jnp.zeros_like(a), [None] * len(emission)
    for t in reversed(range(len(emission))):
        occupancy[t] = jnp.exp(alphas[t] + beta - y)
        if t > last:
            pair = alphas[t - 1][:, None] + a + (emission[t] + beta)[None] - y
            counts = counts + jnp.exp(pair)
            beta = special.logsumexp(a + (emission[t] + beta)[None], axis=1)
        elif t:
            beta = special.logsumexp(a + (emission[t] + beta)[None], axis=1)
    if normalise:
        counts = counts - jnp.exp(a) * counts.sum(1, keepdims=True)
    return dy * counts, dy * jnp.stack(occupancy)


hmm.right("forward_backward", hmm_backward, forward=hmm_forward)
hmm.wrong(
    "first_transition_dropped",
    0,
    lambda r, dy: hmm_backward(r, dy, last=1),
    "The pair of steps 0 and 1.",
    forward=hmm_forward,
)
hmm.wrong(
    "not_through_the_softmax",
    0,
    lambda r, dy: hmm_backward(r, dy, normalise=False),
    "Expected counts are the cotangent of log-probabilities, not of logits.",
    forward=hmm_forward,
)

kalman = Family(
    "kalman_gain",
    lambda p, r, z: p / (p + r) * z,
    lambda d: (
        uniform(d, 6, low=0.2, high=2),
        uniform(d, 6, low=0.2, high=2, seed=1),
        normal(d, 6, seed=2),
    ),
)
kalman.right(
    "of_the_sum",
    lambda res, dy: (
        dy * res[2] * res[1] / (res[0] + res[1]) ** 2,
        -dy * res[2] * res[0] / (res[0] + res[1]) ** 2,
        dy * res[0] / (res[0] + res[1]),
    ),
)
kalman.wrong(
    "quotient_rule_halved",
    0,
    lambda res, dy: (
        dy * res[2] / (res[0] + res[1]),
        -dy * res[2] * res[0] / (res[0] + res[1]) ** 2,
        dy * res[0] / (res[0] + res[1]),
    ),
    "p in the denominator is held fixed.",
)
kalman.right(
    "difference_of_shares",
    lambda res, dy: (
        dy * res[2] * (1 - res[0] / (res[0] + res[1])) / (res[0] + res[1]),
        -dy * res[2] * res[0] / (res[0] + res[1]) ** 2,
        dy * res[0] / (res[0] + res[1]),
    ),
    "Cancels where r is small, as autodiff does.",
    dtypes=("float32", *HALF),
    args=lambda d: (
        uniform(d, 6, low=1, high=2),
        uniform(d, 6, low=0.3e-2, high=1e-2, seed=1),
        normal(d, 6, seed=2),
    ),
)

# control


def returns(r, g=0.9):
    def step(c, v):
        c = v + g * c
        return c, c

    return lax.scan(step, jnp.zeros((), r.dtype), r, reverse=True)[1]


discounted = Family("discounted_returns", returns, lambda d: (normal(d, 11),))


def discounted_backward(r, dy, g=0.9, skip=0):
    def step(c, v):
        c = v + g * c
        return c, c

    out = lax.scan(step, jnp.zeros((), dy.dtype), dy)[1]
    return (out.at[len(out) - skip :].set(0) if skip else out,)


discounted.right("other_direction", discounted_backward)
discounted.right(
    "matrix",
    lambda r, dy: (
        (jnp.tril(0.9 ** (jnp.arange(11)[:, None] - jnp.arange(11)[None])) @ dy).astype(
            dy.dtype
        ),
    ),
    dtypes=WIDE,
)
discounted.wrong(
    "same_direction", 0, lambda r, dy: (returns(dy),), "The transpose runs forwards."
)
discounted.wrong(
    "last_step_dropped",
    0,
    lambda r, dy: discounted_backward(r, dy, skip=1),
    "The last.",
)
discounted.wrong(
    "other_discount",
    0,
    lambda r, dy: discounted_backward(r, dy, 0.9001),
    "0.9001 for 0.9.",
    dtypes=WIDE,
)

ppo = Family(
    "clipped_policy_ratio",
    lambda logp, old, adv: jnp.mean(
        jnp.minimum(
            jnp.exp(logp - old) * adv, jnp.clip(jnp.exp(logp - old), 0.8, 1.2) * adv
        )
    ),
    lambda d: (
        normal(d, 13, scale=0.4),
        normal(d, 13, scale=0.4, seed=1),
        normal(d, 13, seed=2),
    ),
)


def ppo_backward(res, dy, mask="both"):
    logp, old, adv = res
    r = jnp.exp(logp - old)
    live = jnp.where(adv > 0, r < 1.2, r > 0.8)
    if mask == "inside":
        live = (r < 1.2) & (r > 0.8)
    g = dy / len(r) * jnp.where(live, r * adv, 0)
    near = jnp.clip(r, 0.8, 1.2)
    dadv = jnp.where(r * adv < near * adv, r, near)
    return g, -g, dy / len(r) * dadv


ppo.right("by_sign_of_the_advantage", ppo_backward)
ppo.wrong(
    "inside_alone",
    (0, 1),
    lambda r, dy: ppo_backward(r, dy, "inside"),
    "Outside the interval the unclipped branch may be the smaller.",
)
