"""Accumulation in another dtype, casts that are meant and casts that are not."""

import jax
import jax.numpy as jnp

from tests.zoo.case import HALF, WIDE, Family, narrow, normal, scaled, uniform

# RMS norm in 16 bits with statistics in float32, as language models do it


def rms(x, w):
    wide = x.astype(jnp.promote_types(x.dtype, narrow.f32))
    root = jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + 1e-6)
    return (wide * root).astype(x.dtype) * w


def rms_backward(wide, centred=True):
    def backward(args, dy):
        x, w = args
        kind = jnp.promote_types(x.dtype, narrow.f32) if wide else x.dtype
        x, w, dy = (v.astype(kind) for v in (x, w, dy))
        root = jax.lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6)
        n = x * root
        dn = dy * w
        dx = root * (dn - n * jnp.mean(dn * n, -1, keepdims=True) * centred)
        dw = jnp.sum(dy * n, axis=0)
        return dx.astype(args[0].dtype), dw.astype(args[1].dtype)

    return backward


rms16 = Family(
    "rms_norm_in_float32",
    rms,
    lambda d: (normal(d, 37, 19, seed=70), uniform(d, 19, seed=71, low=0.5, high=2.0)),
    HALF,
)
rms16.right("statistics_in_float32", rms_backward(True))
rms16.wrong(
    "root_taken_for_a_constant",
    0,
    rms_backward(True, centred=False),
    "The root depends on x.",
)

# A long sum

long_sum = Family(
    "weighted_sum_of_many",
    lambda w, x: jnp.sum(w * x),
    lambda d: (normal(d, 999, seed=74), normal(d, 999, seed=75)),
    ("float32", "bfloat16"),
)
long_sum.right("dy_times_the_other", lambda args, dy: (dy * args[1], dy * args[0]))
long_sum.imprecise(
    "through_bfloat16",
    (0, 1),
    lambda args, dy: tuple(
        (dy * v.astype(narrow.bf16)).astype(v.dtype) for v in args[::-1]
    ),
    "The factors are rounded to 8 bits.",
    ("float32",),
)
long_sum.imprecise(
    "through_float32",
    (0, 1),
    lambda args, dy: tuple(
        (dy * v.astype(narrow.f32)).astype(v.dtype) for v in args[::-1]
    ),
    "float32 inside float64.",
    ("float64",),
)

# Standardised weights of a convolution or dense layer


def standardised(w):
    m = jnp.mean(w, 0, keepdims=True)
    return (w - m) / jnp.sqrt(jnp.mean((w - m) ** 2, 0, keepdims=True) + 1e-5)


def standardised_backward(variance, biased=True):
    def backward(args, dy):
        (w,) = args
        m = jnp.mean(w, 0, keepdims=True)
        root = jnp.sqrt(variance(w, m) + 1e-5)
        n = (w - m) / root
        centre = jnp.mean(dy, 0, keepdims=True)
        along = jnp.mean(dy * n, 0, keepdims=True)
        if not biased:
            along = along * w.shape[0] / (w.shape[0] - 1)
        return ((dy - centre - n * along) / root,)

    return backward


weights = Family(
    "weight_standardisation",
    standardised,
    lambda d: (normal(d, 11, 3, seed=76, shift=20.0),),
    WIDE,
)
weights.right(
    "two_passes",
    standardised_backward(lambda w, m: jnp.mean((w - m) ** 2, 0, keepdims=True)),
)
weights.wrong(
    "unbiased_in_the_backward",
    0,
    standardised_backward(
        lambda w, m: jnp.mean((w - m) ** 2, 0, keepdims=True), biased=False
    ),
    "The variance divides by n.",
)
weights.imprecise(
    "difference_of_squares",
    0,
    standardised_backward(lambda w, m: jnp.mean(w**2, 0, keepdims=True) - m**2),
    "Cancels at mean 20.",
    ("float32",),
)

# Spectral norm by two steps of the power iteration, u held fixed


def spectral(w, u):
    for _ in range(2):
        v = w.T @ u
        v = v / jnp.linalg.norm(v)
        u = w @ v
        u = u / jnp.linalg.norm(u)
    u, v = jax.lax.stop_gradient((u, v))
    return w / (u @ (w @ v)), u, v


def spectral_backward(whole):
    def backward(residuals, dy):
        w, u, v = residuals
        s = u @ (w @ v)
        dw = dy / s - (jnp.sum(dy * w) / s**2 * jnp.outer(u, v) if whole else 0)
        return dw, None

    return backward


def spectral_forward(w, u):
    y, u, v = spectral(w, u)
    return y, (w, u, v)


spectra = Family(
    "spectral_norm",
    lambda w, u: spectral(w, u)[0],
    lambda d: (normal(d, 5, 3, seed=77), normal(d, 5, seed=78)),
    WIDE,
)
spectra.right("vectors_held", spectral_backward(True), forward=spectral_forward)
spectra.wrong(
    "norm_held_too",
    0,
    spectral_backward(False),
    "The norm depends on w.",
    forward=spectral_forward,
)

# A cosine with a row of zeros, safe by an epsilon under the root


def cosine(a, b):
    na = jnp.sqrt(jnp.sum(a**2, -1) + 1e-12)
    nb = jnp.sqrt(jnp.sum(b**2, -1) + 1e-12)
    return jnp.sum(a * b, -1) / (na * nb)


def cosine_backward(args, dy):
    a, b = args
    na = jnp.sqrt(jnp.sum(a**2, -1, keepdims=True) + 1e-12)
    nb = jnp.sqrt(jnp.sum(b**2, -1, keepdims=True) + 1e-12)
    c = jnp.sum(a * b, -1, keepdims=True) / (na * nb)
    dy = dy[:, None]
    return (
        dy * (b / (na * nb) - c * a / na**2),
        dy * (a / (na * nb) - c * b / nb**2),
    )


cosines = Family(
    "cosine_with_a_zero_row",
    cosine,
    lambda d: (
        normal(d, 4, 3, seed=79).at[1].set(0.0),
        normal(d, 4, 3, seed=80),
    ),
    WIDE,
)
cosines.right("epsilon_kept", cosine_backward)
cosines.wrong("half", 0, scaled(cosine_backward, 0, 0.5), "Half of it.")

# Logits of which some are masked by minus infinity


def masked_softmax(x, mask):
    return jax.nn.softmax(jnp.where(mask, x, -jnp.inf), axis=-1)


def masked_backward(whole):
    def backward(residuals, dy):
        (x, mask), p = residuals
        inner = jnp.sum(p * dy, -1, keepdims=True) if whole else 0
        return p * (dy - inner), None

    return backward


masks = Family(
    "softmax_masked_by_infinity",
    masked_softmax,
    lambda d: (normal(d, 3, 5, seed=81), jnp.array([True, True, False, True, True])),
    save="xy",
)
masks.right("zero_where_masked", masked_backward(True))
masks.wrong(
    "diagonal_alone", 0, masked_backward(False), "The sum over p dy is missing."
)

# A tree of parameters with None and integers among them


def tree(params, x):
    h = x @ params["w"]
    if params["b"] is not None:
        h = h + params["b"]
    return {"h": h**2, "unused": jnp.sum(x)}


def tree_backward(counts):
    def backward(args, dy):
        params, x = args
        h = x @ params["w"]
        dh = 2 * h * dy["h"]
        dx = dh @ params["w"].T + (dy["unused"] if counts else 0)
        return {"w": x.T @ dh, "b": None, "step": None}, dx

    return backward


trees = Family(
    "tree_with_none",
    tree,
    lambda d: (
        {"w": normal(d, 3, 2, seed=82), "b": None, "step": jnp.int32(3)},
        normal(d, 5, 3, seed=83),
    ),
    WIDE,
)
trees.right("two_outputs", tree_backward(True))
trees.wrong(
    "second_output_forgotten", 1, tree_backward(False), "The sum of x has a cotangent."
)

# Huber at its knot


def huber(x):
    a = jnp.abs(x)
    return jnp.where(a <= 1, x**2 / 2, a - 0.5)


knots = Family(
    "huber_at_the_knot", huber, lambda d: (jnp.asarray([-2, -1, 0.3, 1, 3], d),)
)
knots.right("clip", lambda args, dy: (dy * jnp.clip(args[0], -1, 1),))
knots.wrong("sign", 0, lambda args, dy: (dy * jnp.sign(args[0]),), "Sign inside too.")

# A mean over more entries than bfloat16 can count

mean_square = Family(
    "mean_square_of_3000",
    lambda x: jnp.mean(x**2),
    lambda d: (normal(d, 3000, seed=91),),
    ("float32", "bfloat16"),
)
mean_square.right("two_x_over_n", lambda args, dy: (args[0] * (2 * dy / args[0].size),))


def counted_in_bfloat16(args, dy):
    (x,) = args
    scale = 2 * dy.astype(narrow.bf16) / x.size
    return ((x.astype(narrow.bf16) * scale).astype(x.dtype),)


mean_square.imprecise(
    "counted_in_bfloat16",
    0,
    counted_in_bfloat16,
    "3000 is 3008 there.",
    ("float32",),
)
