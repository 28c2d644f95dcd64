"""One case of the zoo, and the small language in which the files declare them."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

WIDE = ("float32", "float64")
HALF = ("bfloat16", "float16")
ALL = WIDE + HALF
CASES: dict[str, "Case"] = {}


@dataclass(frozen=True)
class Case:
    """A forward, its backward as a stranger wrote it, and what is true of it.

    `forward(*args) -> (y, residuals)` and `backward(residuals, dy) -> tuple` are
    the two functions of `jax.custom_vjp`. `expected` is the verdict at
    `args(dtype)` for each of `dtypes`; a case with `kink` may be called KINK
    instead. `leaf` names the arguments whose cotangent is wrong. A mistake that
    `args` hides (`visible_at` is "other values" or "other shape") shows at
    `elsewhere(dtype)`. `primal` is the function to differentiate where the
    forward's own derivative is not the truth.
    """

    name: str
    family: str
    forward: Callable
    backward: Callable
    args: Callable[[str], tuple]
    expected: str
    dtypes: tuple[str, ...]
    leaf: tuple[str, ...]
    why: str
    kink: bool = False
    visible_at: str = "given"
    elsewhere: Callable[[str], tuple] | None = None
    primal: Callable | None = None
    traceable: bool = True


class Family:
    """Cases around one function `f(*args) -> y`.

    Without a `forward` of its own a case keeps what `save` says as residuals:
    the arguments "x", the output "y", or both "xy" as `(args, y)`.
    """

    def __init__(self, name, f, args, dtypes=ALL, save="x", traceable=True):
        self.name, self.f, self.args = name, f, args
        self.dtypes, self.save, self.traceable = dtypes, save, traceable

    def right(self, label, backward, why="Another form of the same gradient.", **more):
        self._add("RIGHT", label, (), backward, why, **more)

    def wrong(self, label, leaf, backward, why, **more):
        self._add("WRONG", label, leaf, backward, why, **more)

    def imprecise(self, label, leaf, backward, why, dtypes, **more):
        self._add("IMPRECISE", label, leaf, backward, why, dtypes=dtypes, **more)

    def _add(self, expected, label, leaf, backward, why, **more):
        name = f"{self.name}/{expected.lower()}/{label}"
        if name in CASES:
            raise ValueError(f"zoo: {name} must be declared once")
        save = more.pop("save", self.save)
        forward = more.pop("forward", None) or _saving(self.f, save)
        settings = {
            "args": self.args,
            "dtypes": self.dtypes,
            "traceable": self.traceable,
        } | more
        CASES[name] = Case(
            name=name,
            family=self.name,
            forward=forward,
            backward=backward,
            expected=expected,
            leaf=_paths(leaf),
            why=why,
            **settings,
        )


def _saving(f, save):
    def forward(*args):
        y = f(*args)
        return y, {"x": args, "y": y, "xy": (args, y)}[save]

    return forward


def _paths(leaf):
    leaves = leaf if isinstance(leaf, tuple) else (leaf,)
    return tuple(f"args[{k}]" if isinstance(k, int) else k for k in leaves)


@contextlib.contextmanager
def defaults():
    """JAX as strangers run it: promotion and reused keys are allowed."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
    ):
        yield


# Arguments


def normal(dtype, *shape, seed=0, scale=1.0, shift=0.0):
    """The array that most people test with: numpy's generator with a small seed."""
    values = shift + scale * np.random.default_rng(seed).standard_normal(shape)
    return jnp.asarray(values, dtype)


def uniform(dtype, *shape, seed=0, low=0.0, high=1.0):
    return jnp.asarray(np.random.default_rng(seed).uniform(low, high, shape), dtype)


def array(dtype, *values):
    return jnp.asarray(values, dtype)


# Casts that a test can widen, to see the mathematics without them


class _Narrow:
    def __init__(self):
        self.wide = False

    def _dtype(self, dtype):
        return jnp.float64 if self.wide else dtype

    f32 = property(lambda self: self._dtype(jnp.float32))
    bf16 = property(lambda self: self._dtype(jnp.bfloat16))
    f16 = property(lambda self: self._dtype(jnp.float16))

    @contextlib.contextmanager
    def widened(self):
        self.wide = True
        try:
            yield
        finally:
            self.wide = False


narrow = _Narrow()


# Backward passes of elementwise functions


def times(slope):
    """dx = dy slope(x)."""
    return lambda residuals, dy: (dy * slope(residuals[0]),)


def times_of_output(slope):
    """dx = dy slope(y)."""
    return lambda y, dy: (dy * slope(y),)


# Mistakes that fit any backward


def with_cotangent(backward, change):
    """`backward` fed with `change(dy)`."""
    return lambda residuals, dy: backward(residuals, change(dy))


def ones_for(dy):
    return jnp.ones_like(dy)


def first_of(dy):
    return jnp.full_like(dy, jnp.ravel(dy)[0])


def mean_of(dy):
    return jnp.full_like(dy, jnp.mean(dy))


def clipped(dy):
    return jnp.clip(dy, -1, 1)


def scaled(backward, leaf, factor):
    """Cotangent number `leaf` multiplied by `factor`."""

    def changed(residuals, dy):
        d = list(backward(residuals, dy))
        d[leaf] = d[leaf] * factor
        return tuple(d)

    return changed


def one_entry(backward, leaf, index, factor):
    """A single entry of cotangent number `leaf` multiplied by `factor`."""

    def changed(residuals, dy):
        d = list(backward(residuals, dy))
        d[leaf] = d[leaf].at[index].multiply(factor)
        return tuple(d)

    return changed


def without(backward, leaf):
    """None in place of cotangent number `leaf`."""

    def changed(residuals, dy):
        d = list(backward(residuals, dy))
        d[leaf] = None
        return tuple(d)

    return changed


def swapped(backward, i, j):
    """Cotangents `i` and `j` exchanged."""

    def changed(residuals, dy):
        d = list(backward(residuals, dy))
        d[i], d[j] = d[j], d[i]
        return tuple(d)

    return changed
