"""Integrators, fixed points, geometry, samplers, closures and borrowed functions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.zoo.case import (
    WIDE,
    Family,
    narrow,
    normal,
    times,
    uniform,
)

# a pendulum by explicit Euler, its adjoint backwards in time

H, STEPS = 0.125, 6


def pendulum_path(q, p):
    def step(s, _):
        q, p = s
        return (q + H * p, p - H * jnp.sin(q)), s

    return lax.scan(step, (q, p), None, length=STEPS)


def pendulum_backward(r, dy, path=None, cos=True, order=True, h=H):
    _, (qs, _) = pendulum_path(*r)
    qs = qs if path is None else path(qs)

    def step(a, q):
        dq, dp = a
        return (dq - h * (jnp.cos(q) if cos else 1) * dp, dp + h * dq), None

    return lax.scan(step, dy, qs, reverse=order)[0]


pendulum = Family(
    "pendulum",
    lambda q, p: pendulum_path(q, p)[0],
    lambda d: (normal(d, 3), normal(d, 3, seed=1)),
)
pendulum.right("discrete_adjoint", pendulum_backward)
pendulum.imprecise(
    "path_in_bfloat16",
    (0, 1),
    lambda r, dy: pendulum_backward(
        r, dy, path=lambda q: q.astype(narrow.bf16).astype(dy[0].dtype)
    ),
    "The path is stored in bfloat16.",
    ("float32",),
)
pendulum.wrong(
    "forward_in_time",
    (0, 1),
    functools.partial(pendulum_backward, order=False),
    "The path is not reversed.",
)
pendulum.wrong(
    "path_of_the_next_step",
    (0, 1),
    functools.partial(pendulum_backward, path=lambda qs: jnp.roll(qs, -1, 0)),
    "q of the next step.",
)
pendulum.wrong(
    "small_angle",
    (0, 1),
    functools.partial(pendulum_backward, cos=False),
    "sin q ≈ q in the backward.",
)
pendulum.wrong(
    "step_0.1251",
    (0, 1),
    functools.partial(pendulum_backward, h=0.1251),
    "The step is off by 1e-3.",
)
pendulum.wrong(
    "updated_in_place",
    (0, 1),
    lambda r, dy: lax.fori_loop(
        0,
        STEPS,
        lambda k, a: (lambda dq: (dq, a[1] + H * dq))(
            a[0] - H * jnp.cos(pendulum_path(*r)[1][0][STEPS - 1 - k]) * a[1]
        ),
        dy,
    ),
    "dp uses the dq already updated.",
)

# a fixed point z = tanh(w z + x) by the implicit function theorem


def fixed_point(w, x, n=80):
    return lax.fori_loop(0, n, lambda _, z: jnp.tanh(w @ z + x), jnp.zeros_like(x))


def fixed_args(dtype):
    return normal(dtype, 3, 3, scale=0.2), normal(dtype, 3, seed=1)


def implicit_backward(r, dy, transpose=True, iterate=None, plus=-1):
    (w, _), z = r
    s = 1 - z * z
    j = s[:, None] * w
    a = jnp.eye(3, dtype=z.dtype) + plus * (j.T if transpose else j)
    u = jnp.linalg.solve(a, dy) if iterate is None else iterate(j, dy)
    return jnp.outer(s * u, z), s * u


def neumann(j, dy, n=60):
    return lax.fori_loop(0, n, lambda _, u: dy + j.T @ u, dy)


fixed = Family("fixed_point", fixed_point, fixed_args, WIDE, save="xy")
UNROLLED = {
    "primal": lambda w, x: functools.reduce(
        lambda z, _: jnp.tanh(w @ z + x), range(80), jnp.zeros_like(x)
    )
}
fixed.right("linear_solve", implicit_backward, **UNROLLED)
fixed.right(
    "neumann_series", functools.partial(implicit_backward, iterate=neumann), **UNROLLED
)
fixed.wrong(
    "one_step",
    (0, 1),
    functools.partial(implicit_backward, iterate=lambda j, dy: dy),
    "Only the last step is differentiated.",
    **UNROLLED,
)
fixed.wrong(
    "not_transposed",
    (0, 1),
    functools.partial(implicit_backward, transpose=False),
    "J for Jᵀ.",
    **UNROLLED,
)
fixed.wrong(
    "plus",
    (0, 1),
    functools.partial(implicit_backward, plus=1),
    "I + J for I - J.",
    **UNROLLED,
)
fixed.wrong(
    "series_cut_at_3",
    (0, 1),
    functools.partial(implicit_backward, iterate=functools.partial(neumann, n=3)),
    "Three terms of the series.",
    **UNROLLED,
)

# Newton's square root in a while loop

newton = Family(
    "newton_sqrt",
    lambda x: lax.while_loop(
        lambda s: s[1] < 8,
        lambda s: ((s[0] + x / s[0]) / 2, s[1] + 1),
        (jnp.ones_like(x), 0),
    )[0],
    lambda d: (uniform(d, 5, low=0.5, high=3.0),),
    WIDE,
    save="y",
)
newton.right("implicit", lambda y, dy: (dy / (2 * y),), primal=jnp.sqrt)
newton.wrong(
    "last_step",
    0,
    lambda y, dy: (dy / (4 * y),),
    "Only the last iteration's direct term.",
    primal=jnp.sqrt,
)
newton.wrong("two", 0, lambda y, dy: (dy / y,), "½ is missing.", primal=jnp.sqrt)

# polynomials

horner = Family(
    "polynomial",
    lambda c, x: jnp.polyval(c, x),
    lambda d: (normal(d, 4), normal(d, 5, seed=1)),
)


def horner_backward(r, dy, degrees=(3, 2, 1), powers=(3, 2, 1, 0)):
    c, x = r
    dx = dy * sum(k * c[i] * x ** (k - 1) for i, k in enumerate(degrees))
    return jnp.stack([jnp.sum(dy * x**k) for k in powers]), dx


horner.right("powers", horner_backward)
horner.right(
    "vander",
    lambda r, dy: (dy @ jnp.vander(r[1], 4), dy * jnp.polyval(jnp.polyder(r[0]), r[1])),
)
horner.wrong(
    "ascending",
    0,
    functools.partial(horner_backward, powers=(0, 1, 2, 3)),
    "The coefficients are in the other order.",
)
horner.wrong(
    "degree_forgotten",
    1,
    functools.partial(horner_backward, degrees=(1, 1, 1)),
    "k and x^(k-1) are wrong.",
)

# rotation by an angle and by a quaternion

rotation = Family(
    "rotation",
    lambda t, v: jnp.stack(
        [jnp.cos(t) * v[0] - jnp.sin(t) * v[1], jnp.sin(t) * v[0] + jnp.cos(t) * v[1]]
    ),
    lambda d: (jnp.asarray(0.7, d), normal(d, 2)),
    save="xy",
)
rotation.right(
    "quarter_turn",
    lambda r, dy: (
        dy[1] * r[1][0] - dy[0] * r[1][1],
        jnp.stack(
            [
                jnp.cos(r[0][0]) * dy[0] + jnp.sin(r[0][0]) * dy[1],
                jnp.cos(r[0][0]) * dy[1] - jnp.sin(r[0][0]) * dy[0],
            ]
        ),
    ),
)
rotation.wrong(
    "not_inverted",
    1,
    lambda r, dy: (dy[1] * r[1][0] - dy[0] * r[1][1], rotation.f(r[0][0], dy)),
    "R for Rᵀ.",
)
rotation.wrong(
    "not_inverted_at_angle_0",
    1,
    lambda r, dy: (dy[1] * r[1][0] - dy[0] * r[1][1], rotation.f(r[0][0], dy)),
    "R for Rᵀ, at angle 0.",
    args=lambda d: (jnp.asarray(0.0, d), normal(d, 2)),
    visible_at="other values",
    elsewhere=rotation.args,
)
rotation.wrong(
    "angle_sign",
    0,
    lambda r, dy: (dy[0] * r[1][1] - dy[1] * r[1][0], rotation.f(-r[0][0], dy)),
    "dθ is negated.",
)
rotation.wrong(
    "angle_of_input",
    0,
    lambda r, dy: (dy[1] * r[0][1][0] - dy[0] * r[0][1][1], rotation.f(-r[0][0], dy)),
    "v for Rv in dθ.",
)

cross = Family(
    "cross_product", jnp.cross, lambda d: (normal(d, 4, 3), normal(d, 4, 3, seed=1))
)
cross.right("cyclic", lambda r, dy: (jnp.cross(r[1], dy), jnp.cross(dy, r[0])))
cross.wrong(
    "order",
    (0, 1),
    lambda r, dy: (jnp.cross(dy, r[1]), jnp.cross(r[0], dy)),
    "The factors are exchanged, which negates.",
)
cross.wrong(
    "second_only",
    1,
    lambda r, dy: (jnp.cross(r[1], dy), jnp.cross(r[0], dy)),
    "db is negated.",
)

# gravity of n bodies


def gravity_f(x):
    d = x[:, None] - x[None, :]
    r2 = (d * d).sum(-1) + 0.25
    return -0.5 * jnp.sum((1 - jnp.eye(len(x), dtype=x.dtype)) / jnp.sqrt(r2))


def gravity_backward(r, dy, power=1.5, pairs=1.0):
    (x,) = r
    d = x[:, None] - x[None, :]
    r2 = (d * d).sum(-1) + 0.25
    return (pairs * dy * (d / r2[..., None] ** power).sum(1),)


gravity = Family("gravity", gravity_f, lambda d: (normal(d, 5, 3),))
gravity.right("pairs", gravity_backward)
gravity.right(
    "vmapped",
    lambda r, dy: (
        jax.vmap(
            lambda a: (
                dy
                * (
                    (a - r[0])
                    / (((a - r[0]) ** 2).sum(-1, keepdims=True) + 0.25) ** 1.5
                ).sum(0)
            )
        )(r[0]),
    ),
)
gravity.wrong(
    "each_pair_once",
    0,
    functools.partial(gravity_backward, pairs=0.5),
    "Each body meets each pair from one side only.",
)
gravity.wrong(
    "inverse_square", 0, functools.partial(gravity_backward, power=1.0), "r² for r³."
)
gravity.wrong(
    "attracted_away", 0, functools.partial(gravity_backward, pairs=-1.0), "The sign."
)

# Fourier

# a real signal from half of its spectrum, 8 samples

half_spectrum = Family(
    "irfft",
    lambda re, im: jnp.fft.irfft(lax.complex(re, im), 8),
    lambda d: (normal(d, 5), normal(d, 5, seed=1)),
    WIDE,
)


def irfft_backward(r, dy, twice=2.0, sign=1):
    z = jnp.fft.rfft(dy) / 8 * jnp.array([1, twice, twice, twice, 1], dy.dtype)
    return z.real, sign * z.imag


half_spectrum.right("ends_once_others_twice", irfft_backward)
half_spectrum.wrong(
    "not_twice",
    (0, 1),
    functools.partial(irfft_backward, twice=1.0),
    "The mirrored half of the spectrum is forgotten.",
)
half_spectrum.wrong(
    "conjugated",
    1,
    functools.partial(irfft_backward, sign=-1),
    "The conjugate, which is the cotangent of a complex argument.",
)


spectrum = Family(
    "power_spectrum",
    lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2,
    lambda d: (normal(d, 7),),
    WIDE,
)


def spectrum_backward(r, dy, conj=True, half=False):
    n = len(r[0])
    f = jnp.fft.rfft(r[0])
    z = 2 * dy * (f if conj else jnp.conj(f))
    k = jnp.arange(n)
    phase = jnp.exp(2j * jnp.pi * jnp.outer(k, jnp.arange(len(f))) / n).astype(f.dtype)
    d = jnp.real(phase @ z).astype(r[0].dtype)
    return (d / n if half else d,)


spectrum.right("inverse_transform", spectrum_backward)
spectrum.right(
    "matrix",
    lambda r, dy: (
        lambda c, s: (2 * (c.T @ (dy * (c @ r[0])) + s.T @ (dy * (s @ r[0]))),)
    )(
        *(
            g(2 * jnp.pi * jnp.outer(jnp.arange(4), jnp.arange(7)) / 7).astype(dy.dtype)
            for g in (jnp.cos, jnp.sin)
        )
    ),
)
spectrum.wrong(
    "conjugate",
    0,
    functools.partial(spectrum_backward, conj=False),
    "The conjugate is misplaced.",
)
spectrum.wrong(
    "normalised",
    0,
    functools.partial(spectrum_backward, half=True),
    "1/n of the inverse transform.",
)
spectrum.wrong(
    "irfft",
    0,
    lambda r, dy: (2 * 7 * jnp.fft.irfft(dy * jnp.fft.rfft(r[0]), 7),),
    "irfft counts each frequency twice.",
)

# samplers with a key

reparametrised = Family(
    "gaussian_sample",
    lambda key, m, s: m + jnp.exp(s) * jax.random.normal(key, m.shape, m.dtype),
    lambda d: (jax.random.key(3), normal(d, 5), normal(d, 5, seed=1, scale=0.3)),
    WIDE,
)


def sample_backward(r, dy, scale=True, key=lambda k: k):
    k, m, s = r
    e = jax.random.normal(key(k), m.shape, m.dtype)
    return None, dy, dy * e * jnp.exp(s) if scale else dy * e


STORED = {
    "forward": lambda k, m, s: (
        reparametrised.f(k, m, s),
        reparametrised.f(k, m, s) - m,
    )
}
reparametrised.right("from_output", lambda z, dy: (None, dy, dy * z), **STORED)
reparametrised.wrong(
    "scale_missing",
    2,
    lambda z, dy: (None, dy, dy * jnp.sign(z)),
    "The noise is replaced by its sign.",
    **STORED,
)
reparametrised.wrong(
    "mean_ignored",
    1,
    lambda z, dy: (None, jnp.zeros_like(dy), dy * z),
    "No gradient for the mean.",
    **STORED,
)
reparametrised.wrong(
    "key_split",
    2,
    lambda r, dy: sample_backward(r, dy, key=lambda k: jax.random.fold_in(k, 1)),
    "The noise is drawn from another key.",
)

gumbel = Family(
    "gumbel_softmax",
    lambda key, x: jax.nn.softmax((x + jax.random.gumbel(key, x.shape)) / 0.5),
    lambda d: (jax.random.PRNGKey(0), normal(d, 3, 4)),
    ("float32", "float64"),
    save="y",
)
gumbel.right(
    "temperature",
    lambda y, dy: (None, y * (dy - (dy * y).sum(-1, keepdims=True)) / 0.5),
    forward=lambda key, x: (lambda y: (y, y))(
        jax.nn.softmax(
            (x + jax.random.gumbel(key, x.shape, jnp.float32).astype(x.dtype)) / 0.5
        )
    ),
)
gumbel.wrong(
    "temperature_missing",
    1,
    lambda y, dy: (None, y * (dy - (dy * y).sum(-1, keepdims=True))),
    "1/T is missing.",
    forward=lambda key, x: (lambda y: (y, y))(
        jax.nn.softmax(
            (x + jax.random.gumbel(key, x.shape, jnp.float32).astype(x.dtype)) / 0.5
        )
    ),
)

# closures and captured constants

TABLE = np.array([0.5, -1.25, 2.0, 0.75])


def lookup(table):
    def forward(x):
        w = jnp.asarray(table, x.dtype)
        return jnp.sin(x @ w), (x,)

    def backward(r, dy):
        w = jnp.asarray(table, dy.dtype)
        return (dy[:, None] * jnp.cos(r[0] @ w)[:, None] * w,)

    return forward, backward


closure_f, closure_b = lookup(TABLE)
_, stale_b = lookup(TABLE + 0.001)
closure = Family(
    "closure_over_constants", lambda x: closure_f(x)[0], lambda d: (normal(d, 3, 4),)
)
closure.right("same_table", closure_b)
closure.wrong(
    "another_table", 0, stale_b, "The backward closes over a table 1e-3 away."
)

# forwards that hold derivatives of their own


@jax.custom_jvp
def safe_log(x):
    return jnp.log(x)


safe_log.defjvp(lambda p, t: (jnp.log(p[0]), t[0] / p[0]))


@jax.custom_vjp
def own_square(x):
    return x * x


own_square.defvjp(lambda x: (x * x, x), lambda x, dy: (2 * x * dy,))


@jax.custom_vjp
def lying_square(x):
    return x * x


lying_square.defvjp(lambda x: (x * x, x), lambda x, dy: (3 * x * dy,))

nested = Family(
    "nested_custom_rules",
    lambda x: own_square(safe_log(x)) * x,
    lambda d: (uniform(d, 6, low=0.5, high=3.0),),
)
nested.right("product_rule", times(lambda x: jnp.log(x) ** 2 + 2 * jnp.log(x)))
nested.wrong(
    "quotient",
    0,
    times(lambda x: jnp.log(x) ** 2 + 2 * jnp.log(x) / x),
    "x does not cancel 1/x.",
)

lying = Family(
    "forward_with_wrong_custom_rule",
    lambda x: lying_square(x) + jnp.sin(x),
    lambda d: (normal(d, 5),),
)
TRUTH = {"primal": lambda x: x * x + jnp.sin(x)}
lying.right(
    "true_derivative",
    times(lambda x: 2 * x + jnp.cos(x)),
    "The forward's own rule is wrong, this one is not.",
    dtypes=WIDE,
    **TRUTH,
)
lying.wrong(
    "agrees_with_the_wrong_rule",
    0,
    times(lambda x: 3 * x + jnp.cos(x)),
    "Agrees with the wrong rule inside the forward.",
    dtypes=WIDE,
    **TRUTH,
)

stopped = Family(
    "stopped_path",
    lambda x: x * jnp.exp(x - lax.stop_gradient(jnp.max(x))) * jnp.exp(jnp.max(x)),
    lambda d: (normal(d, 5),),
    WIDE,
)
STOP = {"primal": lambda x: x * jnp.exp(x)}
stopped.right(
    "shift_cancels",
    times(lambda x: (1 + x) * jnp.exp(x)),
    "The shift cancels; autodiff of half-stopped paths does not see it.",
    **STOP,
)
stopped.wrong(
    "as_autodiff_has_it",
    0,
    lambda r, dy: (
        dy * (1 + r[0]) * jnp.exp(r[0])
        + jnp.zeros_like(dy)
        .at[jnp.argmax(r[0])]
        .set(jnp.sum(dy * r[0] * jnp.exp(r[0]))),
    ),
    "The maximum's second path is not stopped.",
    **STOP,
)
