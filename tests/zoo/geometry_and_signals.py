"""Rotations, projections, stencils, filters and splines."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.zoo.case import WIDE, Family, normal, times, uniform

# geometry


def rotate(q, v):
    w, u = q[0], q[1:]
    t = 2 * jnp.cross(u, v)
    return v + w * t + jnp.cross(u, t)


quaternion = Family(
    "quaternion_rotation", rotate, lambda d: (normal(d, 4), normal(d, 3, seed=1))
)


def quaternion_backward(res, dy, double=True, sign=1):
    q, v = res
    w, u = q[0], q[1:]
    t = 2 * jnp.cross(u, v)
    dt = w * dy + jnp.cross(dy, u)
    du = jnp.cross(t, dy) * (1 if double else 0) + 2 * jnp.cross(v, dt)
    dv = dy + 2 * sign * jnp.cross(dt, u)
    return jnp.concatenate([jnp.dot(dy, t)[None], du]), dv


quaternion.right("cross_products", quaternion_backward)
quaternion.wrong(
    "one_path_of_two",
    0,
    lambda r, dy: quaternion_backward(r, dy, double=False),
    "u enters twice.",
)
quaternion.wrong(
    "order_of_the_cross_product",
    1,
    lambda r, dy: quaternion_backward(r, dy, sign=-1),
    "a x b is not b x a.",
)

projection = Family(
    "camera_projection",
    lambda p: p[:, :2] / p[:, 2:],
    lambda d: (normal(d, 5, 3) + jnp.array([0, 0, 4], d),),
)
projection.right(
    "by_hand",
    lambda r, dy: (
        jnp.concatenate(
            [
                dy / r[0][:, 2:],
                -jnp.sum(dy * r[0][:, :2], 1, keepdims=True) / r[0][:, 2:] ** 2,
            ],
            axis=1,
        ),
    ),
)
projection.wrong(
    "depth_of_x_alone",
    0,
    lambda r, dy: (
        jnp.concatenate(
            [dy / r[0][:, 2:], -(dy * r[0][:, :2])[:, :1] / r[0][:, 2:] ** 2], axis=1
        ),
    ),
    "y's share of the depth is missing.",
)
projection.wrong(
    "depth_fixed",
    0,
    lambda r, dy: (jnp.concatenate([dy / r[0][:, 2:], jnp.zeros_like(dy[:, :1])], 1),),
    "The depth has no gradient.",
)

area = Family(
    "triangle_area",
    lambda a, b, c: (
        jnp.abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) / 2
    ),
    lambda d: (normal(d, 2), normal(d, 2, seed=1), normal(d, 2, seed=2)),
)


def area_backward(res, dy, signed=True):
    a, b, c = res
    cross = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    s = dy / 2 * (jnp.sign(cross) if signed else 1)
    return (
        s * jnp.stack([b[1] - c[1], c[0] - b[0]]),
        s * jnp.stack([c[1] - a[1], a[0] - c[0]]),
        s * jnp.stack([a[1] - b[1], b[0] - a[0]]),
    )


area.right("edges", area_backward)
area.wrong(
    "orientation_forgotten",
    (0, 1, 2),
    lambda r, dy: area_backward(r, dy, False),
    "The sign of the cross product, negative here.",
)

angle = Family(
    "atan2",
    jnp.arctan2,
    lambda d: (normal(d, 9), normal(d, 9, seed=1)),
)
angle.right(
    "over_the_square",
    lambda r, dy: (
        dy * r[1] / (r[0] ** 2 + r[1] ** 2),
        -dy * r[0] / (r[0] ** 2 + r[1] ** 2),
    ),
)
angle.wrong(
    "arguments_exchanged",
    (0, 1),
    lambda r, dy: (
        dy * r[0] / (r[0] ** 2 + r[1] ** 2),
        -dy * r[1] / (r[0] ** 2 + r[1] ** 2),
    ),
    "y for x.",
)
angle.wrong(
    "over_the_norm",
    (0, 1),
    lambda r, dy: (dy * r[1] / jnp.hypot(*r), -dy * r[0] / jnp.hypot(*r)),
    "The norm for its square.",
)

pairwise = Family(
    "pairwise_distances",
    lambda x: jnp.sqrt(jnp.sum((x[:, None] - x[None]) ** 2, -1) + 1e-3),
    lambda d: (normal(d, 5, 3),),
)


def pairwise_backward(res, dy, both=True):
    (x,) = res
    gap = x[:, None] - x[None]
    w = dy / jnp.sqrt(jnp.sum(gap**2, -1) + 1e-3)
    if both:
        w = w + w.T
    return (jnp.sum(w[..., None] * gap, axis=1),)


pairwise.right("symmetrised", pairwise_backward)
pairwise.wrong(
    "rows_alone", 0, lambda r, dy: pairwise_backward(r, dy, False), "x enters twice."
)
pairwise.wrong(
    "doubled",
    0,
    lambda r, dy: (2 * pairwise_backward(r, dy, False)[0],),
    "Right for a symmetric cotangent alone.",
)

# stencils and filters

laplacian = Family(
    "periodic_laplacian",
    lambda u: (
        jnp.roll(u, 1, 0)
        + jnp.roll(u, -1, 0)
        + jnp.roll(u, 1, 1)
        + jnp.roll(u, -1, 1)
        - 4 * u
    ),
    lambda d: (normal(d, 5, 7),),
)
laplacian.right("itself", lambda r, dy: (laplacian.f(dy),))
laplacian.wrong(
    "border_not_periodic",
    0,
    lambda r, dy: (
        jnp.pad(dy, 1)[:-2, 1:-1]
        + jnp.pad(dy, 1)[2:, 1:-1]
        + jnp.pad(dy, 1)[1:-1, :-2]
        + jnp.pad(dy, 1)[1:-1, 2:]
        - 4 * dy,
    ),
    "Zeros beyond the border.",
)
laplacian.wrong(
    "of_one_axis",
    0,
    lambda r, dy: (jnp.roll(dy, 1, 0) + jnp.roll(dy, -1, 0) - 2 * dy,),
    "Axis 1.",
)

upwind = Family(
    "advection_upwind",
    lambda u: u - 0.3 * (u - jnp.roll(u, 1)),
    lambda d: (normal(d, 8),),
)
upwind.right("downwind", lambda r, dy: (0.7 * dy + 0.3 * jnp.roll(dy, -1),))
upwind.wrong(
    "upwind", 0, lambda r, dy: (0.7 * dy + 0.3 * jnp.roll(dy, 1),), "The shift."
)


def iir(a, x):
    def step(y, v):
        y = v + a * y
        return y, y

    return lax.scan(step, jnp.zeros((), x.dtype), x)[1]


smoothing = Family(
    "one_pole_filter", iir, lambda d: (jnp.asarray(0.7, d), normal(d, 12)), save="xy"
)


def iir_backward(res, dy, shift=1):
    (a, x), y = res

    def step(c, v):
        c = v + a * c
        return c, c

    dx = lax.scan(step, jnp.zeros((), dy.dtype), dy, reverse=True)[1]
    before = jnp.concatenate([jnp.zeros(shift, y.dtype), y[: len(y) - shift]])
    return jnp.sum(dx * before), dx


smoothing.right("reversed_filter", iir_backward)
smoothing.wrong(
    "state_of_the_same_step",
    0,
    lambda r, dy: iir_backward(r, dy, 0),
    "y_t for y_(t-1).",
)
smoothing.wrong(
    "coefficient_as_if_of_the_input",
    0,
    lambda r, dy: (jnp.sum(dy * r[0][1]), iir_backward(r, dy)[1]),
    "Σ dy x.",
)

autocorrelation = Family(
    "autocorrelation",
    lambda x: jnp.stack([jnp.sum(x[k:] * x[: len(x) - k]) for k in range(4)]),
    lambda d: (normal(d, 9),),
)


def autocorrelation_backward(res, dy, both=True):
    (x,) = res
    dx = jnp.zeros_like(x)
    for k in range(4):
        n = len(x) - k
        dx = dx.at[:n].add(dy[k] * x[k:])
        if both:
            dx = dx.at[k:].add(dy[k] * x[:n])
    return (dx,)


autocorrelation.right("both_factors", autocorrelation_backward)
autocorrelation.wrong(
    "one_factor", 0, lambda r, dy: autocorrelation_backward(r, dy, False), "Half of it."
)

hat = Family(
    "linear_spline",
    lambda c, x: (
        c[jnp.floor(x).astype(int)] * (1 - (x - jnp.floor(x)))
        + c[jnp.floor(x).astype(int) + 1] * (x - jnp.floor(x))
    ),
    lambda d: (normal(d, 6), uniform(d, 9, low=0.1, high=4.9)),
)


def hat_backward(res, dy, accumulate=True):
    c, x = res
    k = jnp.floor(x).astype(int)
    w = x - jnp.floor(x)
    at = jnp.zeros_like(c).at[k]
    dc = at.add(dy * (1 - w)) if accumulate else at.set(dy * (1 - w))
    dc = dc.at[k + 1].add(dy * w)
    return dc, dy * (c[k + 1] - c[k])


hat.right("scatter_add", hat_backward)
hat.wrong(
    "overwritten",
    0,
    lambda r, dy: hat_backward(r, dy, False),
    "Several points share a knot.",
)

chebyshev = Family(
    "chebyshev",
    lambda x: 8 * x**4 - 8 * x**2 + 1,
    lambda d: (uniform(d, 8, low=-0.9, high=0.9),),
)
chebyshev.right("second_kind", times(lambda x: 4 * (8 * x**3 - 4 * x)))
chebyshev.wrong("first_kind", 0, times(lambda x: 4 * (4 * x**3 - 3 * x)), "T for U.")

histogram = Family(
    "soft_histogram",
    lambda x: jnp.sum(
        jnp.exp(-2 * (x[:, None] - jnp.arange(-2.0, 3.0, dtype=x.dtype)) ** 2), 0
    ),
    lambda d: (normal(d, 11),),
)


def histogram_backward(res, dy):
    (x,) = res
    gap = x[:, None] - jnp.arange(-2.0, 3.0, dtype=x.dtype)
    return ((jnp.exp(-2 * gap**2) * (-4 * gap)) @ dy,)


histogram.right("matrix_product", histogram_backward, dtypes=WIDE)
histogram.wrong(
    "mean_cotangent",
    0,
    lambda r, dy: histogram_backward(r, jnp.full_like(dy, dy.mean())),
    "Bins mixed.",
)

sinc = Family(
    "sinc", lambda x: jnp.sin(x) / x, lambda d: (uniform(d, 8, low=0.5, high=4),)
)
sinc.right("quotient_rule", times(lambda x: (x * jnp.cos(x) - jnp.sin(x)) / (x * x)))
sinc.wrong("cosine_over_x", 0, times(lambda x: jnp.cos(x) / x), "The denominator.")
energy = Family(
    "spring_chain",
    lambda x: jnp.sum((jnp.diff(x) - 1) ** 2) / 2,
    lambda d: (normal(d, 9),),
)
energy.right(
    "negative_divergence",
    lambda r, dy: (-dy * jnp.diff(jnp.pad(jnp.diff(r[0]) - 1, 1)),),
)
energy.wrong(
    "rest_length_forgotten",
    0,
    lambda r, dy: (-dy * jnp.diff(jnp.pad(jnp.diff(r[0]), 1)),),
    "Wrong at the two ends alone.",
)
energy.wrong(
    "ends_free",
    0,
    lambda r, dy: ((-dy * jnp.diff(jnp.pad(jnp.diff(r[0]) - 1, 1))).at[0].set(0),),
    "The first mass.",
)


def leapfrog(x, v):
    for _ in range(3):
        v = v - 0.05 * jnp.sin(x)
        x = x + 0.1 * v
        v = v - 0.05 * jnp.sin(x)
    return x, v


verlet = Family("leapfrog", leapfrog, lambda d: (normal(d, 4), normal(d, 4, seed=1)))


def leapfrog_forward(x, v):
    kept = []
    for _ in range(3):
        kept.append(x)
        v = v - 0.05 * jnp.sin(x)
        x = x + 0.1 * v
        kept.append(x)
        v = v - 0.05 * jnp.sin(x)
    return (x, v), kept


def leapfrog_backward(kept, dy, order=1):
    dx, dv = dy
    for k in reversed(range(3)):
        first, second = kept[2 * k], kept[2 * k + 1]
        if order < 0:
            first, second = second, first
        dx = dx - 0.05 * jnp.cos(second) * dv
        dv = dv + 0.1 * dx
        dx = dx - 0.05 * jnp.cos(first) * dv
    return dx, dv


verlet.right("reversed_steps", leapfrog_backward, forward=leapfrog_forward)
verlet.wrong(
    "stale_position",
    (0, 1),
    lambda r, dy: leapfrog_backward(r, dy, -1),
    "Old and new position exchanged.",
    forward=leapfrog_forward,
)


def np_window_mean(x):
    y = np.empty_like(x)
    for i in range(len(x)):
        lo, hi = max(i - 2, 0), min(i + 3, len(x))
        y[i] = x[lo:hi].mean()
    return y


def np_window_mean_backward(x, dy, border=True):
    dx = np.zeros_like(x)
    for i in range(len(x)):
        lo, hi = max(i - 2, 0), min(i + 3, len(x))
        dx[lo:hi] += dy[i] / ((hi - lo) if border else 5)
    return (dx,)


def means(x):
    return jnp.stack([x[max(i - 2, 0) : i + 3].mean() for i in range(len(x))])


window_mean = Family(
    "numpy_window_mean",
    np_window_mean,
    lambda d: (np.random.default_rng(0).standard_normal(9).astype(d),),
    WIDE,
    traceable=False,
)
window_mean.right(
    "loop",
    np_window_mean_backward,
    forward=lambda x: (np_window_mean(x), x),
    primal=means,
)
window_mean.wrong(
    "five_at_the_border",
    0,
    lambda x, dy: np_window_mean_backward(x, dy, False),
    "The border has fewer neighbours.",
    forward=lambda x: (np_window_mean(x), x),
    primal=means,
)
