"""Scans, kernels, transforms and samplers, as strangers write them."""

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import WIDE, Family, array, normal, one_entry, scaled, uniform

# A recurrence whose state is clipped

STEPS, UNITS = 5, 3


def clipped_recurrence(w, x):
    def step(h, xt):
        a = w @ h + xt
        h = jnp.clip(a, -1, 1)
        return h, (a, h)

    start = jnp.zeros_like(x[0])
    return lax.scan(step, start, x)[1]


def clipped_forward(w, x):
    a, h = clipped_recurrence(w, x)
    return h, (w, a, h)


def clipped_backward(mask, previous=True):
    def backward(residuals, dy):
        w, a, h = residuals
        before = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]]) if previous else h

        def step(carry, inputs):
            dh, dw = carry
            at, ht, dyt = inputs
            da = mask(at) * (dh + dyt)
            return (w.T @ da, dw + jnp.outer(da, ht)), da

        start = jnp.zeros_like(h[0]), jnp.zeros_like(w)
        (_, dw), dx = lax.scan(step, start, (a, before, dy), reverse=True)
        return dw, dx

    return backward


def inside(a):
    return (jnp.abs(a) < 1).astype(a.dtype)


clipping = Family(
    "rnn_clipped",
    lambda w, x: clipped_recurrence(w, x)[1],
    lambda d: (
        normal(d, UNITS, UNITS, seed=50, scale=0.7),
        normal(d, STEPS, UNITS, seed=51),
    ),
    WIDE,
)
clipping.right(
    "masked_by_preactivation", clipped_backward(inside), forward=clipped_forward
)
clipping.wrong(
    "clip_ignored",
    (0, 1),
    clipped_backward(jnp.ones_like),
    "The clipped states pass their cotangent.",
    forward=clipped_forward,
)
clipping.wrong(
    "state_of_this_step",
    0,
    clipped_backward(inside, previous=False),
    "The weight saw the state before.",
    forward=clipped_forward,
)

# log of a cumulative sum of exponentials

logcumsumexp = Family(
    "logcumsumexp",
    lambda x: lax.cumlogsumexp(x, axis=0),
    lambda d: (normal(d, 7, 3, seed=52, scale=2.0),),
)


def reverse_cumsum(v):
    return lax.cumsum(v, axis=0, reverse=True)


logcumsumexp.right(
    "weights_by_difference",
    lambda r, dy: (
        jnp.sum(
            jnp.where(
                jnp.tril(jnp.ones((len(dy), len(dy)), bool))[:, :, None],
                jnp.exp(r[0][0][None] - r[1][:, None]) * dy[:, None],
                0,
            ),
            axis=0,
        ),
    ),
    save="xy",
)
logcumsumexp.wrong(
    "cumsum_forwards",
    0,
    lambda r, dy: (jnp.exp(r[0][0]) * jnp.cumsum(dy * jnp.exp(-r[1]), axis=0),),
    "The sum runs over the outputs after, not before.",
    save="xy",
)
logcumsumexp.imprecise(
    "exponentials_apart",
    0,
    lambda r, dy: (jnp.exp(r[0][0]) * reverse_cumsum(dy * jnp.exp(-r[1])),),
    "exp(-y) overflows where the product does not.",
    ("float32",),
    save="xy",
    args=lambda d: (normal(d, 7, 3, seed=52, scale=2.0, shift=-95.0),),
)

# Radial basis functions

rbf = Family(
    "rbf_features",
    lambda x, c, s: jnp.exp(-jnp.sum((x[:, None] - c) ** 2, -1) / (2 * s**2)),
    lambda d: (
        normal(d, 5, 2, seed=53),
        normal(d, 3, 2, seed=54),
        uniform(d, seed=55, low=0.8, high=1.5),
    ),
    WIDE,
)


def rbf_backward(power):
    def backward(r, dy):
        (x, c, s), y = r
        d = x[:, None] - c
        weight = (dy * y)[:, :, None] * d / s**2
        ds = jnp.sum(dy * y * jnp.sum(d**2, -1)) / s**power
        return -jnp.sum(weight, 1), jnp.sum(weight, 0), ds

    return backward


rbf.right("by_differences_of_points", rbf_backward(3), save="xy")
rbf.wrong("width_squared", 2, rbf_backward(2), "d/ds of s^-2 is -2 s^-3.", save="xy")
rbf.wrong(
    "centres_negated",
    1,
    scaled(rbf_backward(3), 1, -1.0),
    "The centres move the other way.",
    save="xy",
)

# Circular convolution by the Fourier transform

fftconv = Family(
    "fft_convolution",
    lambda x, k: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(k), n=7),
    lambda d: (normal(d, 7, seed=56), normal(d, 7, seed=57)),
    WIDE,
)


def fftconv_backward(conjugate):
    def backward(residuals, dy):
        turn = jnp.conj if conjugate else lambda v: v
        d = jnp.fft.rfft(dy)
        return tuple(
            jnp.fft.irfft(d * turn(jnp.fft.rfft(v)), n=7).astype(v.dtype)
            for v in residuals[::-1]
        )

    return backward


fftconv.right("correlation_by_conjugates", fftconv_backward(True))
fftconv.wrong(
    "conjugate_missing",
    (0, 1),
    fftconv_backward(False),
    "A convolution again, where the adjoint is a correlation.",
)

# A few steps of Sinkhorn's iteration in logarithms


def sinkhorn(cost):
    k = -cost
    for _ in range(3):
        k = k - jax.nn.logsumexp(k, axis=1, keepdims=True)
        k = k - jax.nn.logsumexp(k, axis=0, keepdims=True)
    return jnp.exp(k)


def sinkhorn_forward(cost):
    k, kept = -cost, []
    for _ in range(3):
        for axis in (1, 0):
            k = k - jax.nn.logsumexp(k, axis=axis, keepdims=True)
            kept.append(k)
    return jnp.exp(k), kept


def sinkhorn_backward(order):
    def backward(kept, dy):
        dk = dy * jnp.exp(kept[-1])
        for i in reversed(range(6)):
            axis = order[i % 2]
            dk = dk - jnp.exp(kept[i]) * jnp.sum(dk, axis=axis, keepdims=True)
        return (-dk,)

    return backward


sinkhorns = Family("sinkhorn", sinkhorn, lambda d: (normal(d, 3, 5, seed=58),), WIDE)
sinkhorns.right("unrolled", sinkhorn_backward((1, 0)), forward=sinkhorn_forward)
sinkhorns.wrong(
    "axes_exchanged",
    0,
    sinkhorn_backward((0, 1)),
    "Rows were normalised first.",
    forward=sinkhorn_forward,
)
sinkhorns.wrong(
    "cost_not_negated",
    0,
    lambda kept, dy: (-sinkhorn_backward((1, 0))(kept, dy)[0],),
    "The kernel is of minus the cost.",
    forward=sinkhorn_forward,
)

# One step of Runge and Kutta


def slope(theta, y):
    return jnp.tanh(theta @ y)


def rk4(theta, y):
    h = jnp.asarray(0.3, y.dtype)
    k1 = slope(theta, y)
    k2 = slope(theta, y + h / 2 * k1)
    k3 = slope(theta, y + h / 2 * k2)
    k4 = slope(theta, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def rk4_backward(middle):
    def backward(args, dy):
        theta, y = args
        h = jnp.asarray(0.3, y.dtype)
        points, ks, k = [], [], jnp.zeros_like(y)
        for c in (0.0, 0.5, 0.5, 1.0):
            points.append(y + h * c * k)
            k = slope(theta, points[-1])
            ks.append(k)
        dtheta, dk_next = jnp.zeros_like(theta), jnp.zeros_like(y)
        dy0 = dy
        weights = ((1 / 6, 0.5), (1 / 3, middle), (1 / 3, 1.0), (1 / 6, 0.0))
        for i in (3, 2, 1, 0):
            weight, c = weights[i]
            dk = h * weight * dy + h * c * dk_next
            da = dk * (1 - ks[i] ** 2)
            dtheta = dtheta + jnp.outer(da, points[i])
            dk_next = theta.T @ da
            dy0 = dy0 + dk_next
        return dtheta, dy0

    return backward


runge = Family(
    "runge_kutta",
    rk4,
    lambda d: (normal(d, 3, 3, seed=59), normal(d, 3, seed=60)),
    WIDE,
)
runge.right("stages_backwards", rk4_backward(0.5))
runge.wrong(
    "third_stage_from_half",
    (0, 1),
    rk4_backward(0.25),
    "The step from the second to the third stage is h/2.",
)

# Bilinear sampling of a picture at moving places


def sample(image, place):
    low = jnp.floor(place)
    f = place - low
    i, j = low[:, 0].astype(jnp.int32), low[:, 1].astype(jnp.int32)
    a, b = f[:, 0], f[:, 1]
    return (
        (1 - a) * (1 - b) * image[i, j]
        + (1 - a) * b * image[i, j + 1]
        + a * (1 - b) * image[i + 1, j]
        + a * b * image[i + 1, j + 1]
    )


def sample_backward(adds):
    def backward(args, dy):
        image, place = args
        low = jnp.floor(place)
        f = place - low
        i, j = low[:, 0].astype(jnp.int32), low[:, 1].astype(jnp.int32)
        a, b = f[:, 0], f[:, 1]
        dimage = jnp.zeros_like(image)
        for k, m, w in (
            (i, j, (1 - a) * (1 - b)),
            (i, j + 1, (1 - a) * b),
            (i + 1, j, a * (1 - b)),
            (i + 1, j + 1, a * b),
        ):
            if adds:
                dimage = dimage.at[k, m].add(w * dy)
            else:
                dimage = dimage.at[k, m].set(w * dy)
        north, south = (
            image[i, j + 1] - image[i, j],
            image[i + 1, j + 1] - image[i + 1, j],
        )
        west, east = (
            image[i + 1, j] - image[i, j],
            image[i + 1, j + 1] - image[i, j + 1],
        )
        dplace = jnp.stack([(1 - b) * west + b * east, (1 - a) * north + a * south], 1)
        return dimage, dplace * dy[:, None]

    return backward


sampling = Family(
    "bilinear_sampling",
    sample,
    lambda d: (
        normal(d, 5, 7, seed=61),
        array(d, (0.3, 0.4), (0.6, 0.2), (2.3, 5.1), (3.2, 1.7)),
    ),
    WIDE,
)
sampling.right("four_corners", sample_backward(True))
sampling.wrong(
    "corners_overwritten", 0, sample_backward(False), "Two samples share a cell."
)

# A mask drawn by key

dropped = Family(
    "dropout_by_key",
    lambda key, x: jnp.where(jax.random.bernoulli(key, 0.75, x.shape), x / 0.75, 0),
    lambda d: (jax.random.key(7), normal(d, 4, 5, seed=62)),
)


def dropped_backward(scale, salt=None):
    def backward(args, dy):
        key, x = args
        key = key if salt is None else jax.random.fold_in(key, salt)
        kept = jax.random.bernoulli(key, 0.75, x.shape)
        return None, jnp.where(kept, dy / scale, 0)

    return backward


dropped.right("mask_drawn_again", dropped_backward(0.75))
dropped.wrong("mask_of_another_key", 1, dropped_backward(0.75, 1), "Another mask.")
dropped.wrong("not_rescaled", 1, dropped_backward(1.0), "The kept are divided by 3/4.")

# One wrong entry among 1e5, and gradients far from 1

many = Family(
    "entry_in_1e5",
    lambda x: x * jnp.sin(x),
    lambda d: (normal(d, 100_000, seed=63),),
    ("float32",),
)


def sine_slope(args, dy):
    (x,) = args
    return (dy * (jnp.sin(x) + x * jnp.cos(x)),)


many.right("all_entries", sine_slope)
many.wrong(
    "one_entry_off_by_a_thousandth",
    0,
    one_entry(sine_slope, 0, 77_777, 1.001),
    "One entry of 1e5.",
)

for label, size in (("tiny", 1e-12), ("huge", 1e12)):
    far = Family(
        f"{label}_cubic",
        lambda x, size=size: x**3 * jnp.asarray(size, x.dtype),
        lambda d: (normal(d, 5, seed=64),),
        ("float32", "float64", "bfloat16"),
    )

    def cubic(args, dy, size=size):
        (x,) = args
        return (3 * x**2 * dy * jnp.asarray(size, x.dtype),)

    far.right("by_the_power_rule", cubic)
    far.wrong("two_for_three", 0, scaled(cubic, 0, 2 / 3), "The power is 3.")
    far.wrong(
        "off_by_a_millionth",
        0,
        scaled(cubic, 0, 1 + 2**-20),
        "A slip.",
        dtypes=("float64",),
    )
