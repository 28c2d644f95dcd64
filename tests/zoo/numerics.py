"""Scalar functions whose derivatives lose digits."""

import jax
import jax.numpy as jnp

from tests.zoo.case import (
    ALL,
    HALF,
    WIDE,
    Family,
    normal,
    times,
    times_of_output,
    uniform,
)

SHORT = ("float32", *HALF)


def between(low, high, n=8):
    return lambda dtype: (uniform(dtype, n, low=low, high=high),)


# exponentials and logarithms near 0

log1p = Family("log1p", jnp.log1p, between(-0.5, 3))
log1p.right("reciprocal", times(lambda x: 1 / (1 + x)))
log1p.right("from_output", times_of_output(lambda y: jnp.exp(-y)), save="y")
log1p.right("at_1e-5", times(lambda x: 1 / (1 + x)), args=between(1e-5, 2e-5))
log1p.wrong("of_log", 0, times(lambda x: 1 / x), "1/x for 1/(1+x).")
log1p.wrong("off_by_1e-4", 0, times(lambda x: 1 / (1.0001 + x)), "1.0001 for 1.")

expm1 = Family("expm1", lambda x: jnp.exp(x) - 1, between(-1, 2))
expm1.right("exp", times(jnp.exp))
expm1.right("from_output", times_of_output(lambda y: y + 1), save="y")
expm1.wrong(
    "from_output_without_one", 0, times_of_output(lambda y: y), "y for y + 1.", save="y"
)
expm1.imprecise(
    "from_output_near_minus_one",
    0,
    times_of_output(lambda y: y + 1),
    "y + 1 cancels where y is nearly -1.",
    ALL,
    save="y",
    args=between(-7.5, -6.5),
)

log1mexp = Family("log1mexp", lambda x: jnp.log(-jnp.expm1(-x)), between(0.2, 3))
log1mexp.right("expm1", times(lambda x: 1 / jnp.expm1(x)))
log1mexp.right(
    "small_arguments", times(lambda x: 1 / jnp.expm1(x)), args=between(1e-2, 2e-2)
)
log1mexp.wrong("sign", 0, times(lambda x: -1 / jnp.expm1(x)), "The sign.")
log1mexp.wrong(
    "not_shifted", 0, times(lambda x: jnp.exp(-x)), "1 - exp(-x) is missing below."
)
log1mexp.imprecise(
    "exp_minus_one",
    0,
    times(lambda x: 1 / (jnp.exp(x) - 1)),
    "exp(x) - 1 for expm1 at 1e-3.",
    ALL,
    args=between(1e-3, 2e-3),
)

log_sigmoid = Family("log_sigmoid", jax.nn.log_sigmoid, between(-3, 3))
log_sigmoid.right("sigmoid_of_minus", times(lambda x: jax.nn.sigmoid(-x)))
log_sigmoid.right("far_out", times(lambda x: jax.nn.sigmoid(-x)), args=between(5, 9))
log_sigmoid.right(
    "calls_softplus",
    times(lambda x: jax.nn.sigmoid(-x)),
    forward=lambda x: (-jax.nn.softplus(-x), (x,)),
)
log_sigmoid.wrong("sigmoid", 0, times(jax.nn.sigmoid), "σ(x) for σ(-x).")
log_sigmoid.wrong(
    "of_the_sigmoid",
    0,
    times(lambda x: jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)),
    "The logarithm is forgotten.",
)
log_sigmoid.imprecise(
    "one_minus_sigmoid",
    0,
    times(lambda x: 1 - jax.nn.sigmoid(x)),
    "1 - σ(x) where σ(x) is nearly 1.",
    ALL,
    args=between(6.5, 7.5),
)

add_exp = Family(
    "logaddexp", jnp.logaddexp, lambda d: (normal(d, 6), normal(d, 6, seed=1))
)


def add_exp_backward(r, dy):
    p = jax.nn.sigmoid(r[0] - r[1])
    return dy * p, dy * jax.nn.sigmoid(r[1] - r[0])


add_exp.right("sigmoid_of_difference", add_exp_backward)
add_exp.right(
    "large",
    add_exp_backward,
    args=lambda d: (normal(d, 6, shift=300.0), normal(d, 6, seed=1, shift=300.0)),
)
add_exp.wrong(
    "swapped",
    (0, 1),
    lambda r, dy: add_exp_backward(r, dy)[::-1],
    "The two are exchanged.",
)
add_exp.imprecise(
    "quotient_of_exponentials",
    (0, 1),
    lambda r, dy: (lambda a, b: (dy * a / (a + b), dy * b / (a + b)))(
        jnp.exp(r[0]), jnp.exp(r[1])
    ),
    "exp overflows at 100.",
    SHORT,
    args=lambda d: (normal(d, 6, shift=100.0), normal(d, 6, seed=1, shift=100.0)),
)

# hyperbolic functions near 0

cosh = Family("cosh", jnp.cosh, between(-2, 2))
cosh.right("sinh", times(jnp.sinh))
cosh.wrong("cosh", 0, times(jnp.cosh), "cosh is taken for its own derivative.")
cosh.wrong(
    "minus_sinh",
    0,
    times(lambda x: -jnp.sinh(x)),
    "The sign of the cosine's derivative.",
)
cosh.imprecise(
    "difference_of_exponentials",
    0,
    times(lambda x: (jnp.exp(x) - jnp.exp(-x)) / 2),
    "e^x - e^-x cancels near 0.",
    ALL,
    args=between(1e-3, 2e-3),
)

ln_cosh = Family("log_of_cosh", lambda x: jnp.log(jnp.cosh(x)), between(-2, 2))
ln_cosh.right("tanh", times(jnp.tanh))
ln_cosh.wrong("coth", 0, times(lambda x: 1 / jnp.tanh(x)), "The quotient is inverted.")
ln_cosh.imprecise(
    "exponentials_near_zero",
    0,
    times(lambda x: (1 - jnp.exp(-2 * x)) / (1 + jnp.exp(-2 * x))),
    "1 - e^-2x cancels near 0.",
    ALL,
    args=between(2e-4, 4e-4),
)

versine = Family("versine", lambda x: 2 * jnp.sin(x / 2) ** 2, between(0.1, 1.5))
versine.right("sin", times(jnp.sin))
versine.right("double_angle", times(lambda x: 2 * jnp.sin(x / 2) * jnp.cos(x / 2)))
versine.wrong("cos", 0, times(jnp.cos), "cos for sin.")
versine.wrong(
    "half_angle",
    0,
    times(lambda x: 4 * jnp.sin(x / 2) * jnp.cos(x / 2)),
    "The inner ½ is missing.",
)
versine.imprecise(
    "by_pythagoras",
    0,
    times(lambda x: jnp.sign(jnp.sin(x)) * jnp.sqrt(1 - jnp.cos(x) ** 2)),
    "√(1 - cos²) near 0.",
    ALL,
    args=between(0.02, 0.03),
)

# differences of nearly equal numbers

root_difference = Family(
    "root_minus_x", lambda x: 0.5 / (jnp.sqrt(x * x + 0.5) + x), between(0.1, 3)
)
root_difference.right(
    "from_output", lambda r, dy: (-dy * r[1] / jnp.sqrt(r[0][0] ** 2 + 0.5),), save="xy"
)
root_difference.wrong(
    "inner_derivative",
    0,
    times(lambda x: 0.5 / jnp.sqrt(x * x + 0.5) - 1),
    "The inner 2x is missing.",
)
root_difference.imprecise(
    "slope_minus_one",
    0,
    times(lambda x: x / jnp.sqrt(x * x + 0.5) - 1),
    "x/√(x²+½) - 1 cancels at 30.",
    ALL,
    args=between(20, 30),
)

reciprocals = Family(
    "reciprocal_difference", lambda x: 1 / (x * (x + 1)), between(0.5, 3)
)
reciprocals.right("product", times(lambda x: -(2 * x + 1) / (x * (x + 1)) ** 2))
reciprocals.wrong(
    "plus",
    0,
    times(lambda x: -1 / x**2 - 1 / (x + 1) ** 2),
    "Both terms have the same sign.",
)
reciprocals.imprecise(
    "partial_fractions",
    0,
    times(lambda x: 1 / (x + 1) ** 2 - 1 / x**2),
    "1/(x+1)² - 1/x² cancels at 500.",
    WIDE + ("bfloat16",),
    args=between(400, 500),
)

geometric = Family(
    "geometric_series", lambda x: 1 + x * (1 + x * (1 + x)), between(0.1, 0.6)
)
geometric.right("horner", times(lambda x: 1 + x * (2 + 3 * x)))
geometric.right(
    "quotient", times(lambda x: (1 - 4 * x**3 + 3 * x**4) / (1 - x) ** 2), dtypes=WIDE
)
geometric.wrong("degree", 0, times(lambda x: 1 + x * (2 + x)), "3x² for x².")
geometric.imprecise(
    "quotient_near_one",
    0,
    times(lambda x: (1 - 4 * x**3 + 3 * x**4) / (1 - x) ** 2),
    "0/0 in the closed form.",
    WIDE,
    args=between(0.97, 0.98),
)

sixth = Family("sixth_power", lambda x: (x - 1) ** 6, between(2, 3))
sixth.right("factored", times(lambda x: 6 * (x - 1) ** 5))
sixth.wrong(
    "exponent", 0, times(lambda x: 6 * (x - 1) ** 6), "The power is not lowered."
)
sixth.wrong("five", 0, times(lambda x: 5 * (x - 1) ** 5), "5 for 6.")
sixth.imprecise(
    "expanded",
    0,
    times(lambda x: 6 * (((((x - 5) * x + 10) * x - 10) * x + 5) * x - 1)),
    "The expanded polynomial near its root.",
    ALL,
    args=between(1.2, 1.3),
)


def root_f(b, c):
    """The smaller root of x² + b x + c for b > 0, without cancellation."""
    return -2 * c / (b + jnp.sqrt(b * b - 4 * c))


def root_backward(r, dy, unstable=False, sign=-1):
    b, c = r
    x = (-b + jnp.sqrt(b * b - 4 * c)) / 2 if unstable else root_f(b, c)
    return sign * dy * x / (2 * x + b), -dy / (2 * x + b)


root = Family(
    "quadratic_root",
    root_f,
    lambda d: (uniform(d, 5, low=3.0, high=5.0), uniform(d, 5, seed=1)),
)
root.right("implicit", root_backward)
root.wrong("sign", 0, lambda r, dy: root_backward(r, dy, sign=1), "db is negated.")
root.wrong(
    "two",
    1,
    lambda r, dy: (root_backward(r, dy)[0], -dy / (root_f(*r) + r[0])),
    "2x + b for x + b.",
)
root.imprecise(
    "cancelling_root",
    0,
    lambda r, dy: root_backward(r, dy, True),
    "-b + √(b² - 4c) cancels.",
    ALL,
    args=lambda d: (uniform(d, 5, low=30.0, high=50.0), uniform(d, 5, seed=1, low=0.5)),
)
