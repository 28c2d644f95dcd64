"""Every label of the zoo, checked by means that share nothing with the verifier."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.zoo import CASES, defaults
from tests.zoo.case import narrow

SCALES = (1.0, 30.0)


@pytest.fixture(autouse=True)
def _as_strangers_run_jax():
    with defaults(), jax.default_matmul_precision("highest"):
        yield


def is_float(a):
    dtype = a.dtype if hasattr(a, "dtype") else np.asarray(a).dtype
    return jnp.issubdtype(dtype, jnp.floating)


def names(args):
    """Path of each leaf of `args`, and whether it is a float."""
    leaves = jax.tree_util.tree_leaves_with_path(args)
    return [
        (f"args[{path[0].idx}]" + jax.tree_util.keystr(path[1:]), is_float(a))
        for path, a in leaves
    ]


def lifted(tree, dtype):
    return jax.tree.map(lambda a: jnp.asarray(a, dtype) if is_float(a) else a, tree)


def cotangent(y, dtype, seed, scale):
    def draw(path, a):
        if not is_float(a):
            return np.zeros(jnp.shape(a), jax.dtypes.float0)
        salt = zlib.crc32(f"{seed}{jax.tree_util.keystr(path)}".encode())
        values = scale * np.random.default_rng(salt).standard_normal(jnp.shape(a))
        return jnp.asarray(np.asarray(values, jnp.dtype(dtype)), dtype)

    return jax.tree_util.tree_map_with_path(draw, y)


def float_leaves(args, d):
    """Leaves of the cotangent `d` at the float leaves of `args`, None as zero."""
    assert len(d) == len(args)
    out = []
    for argument, da in zip(args, d):
        if da is None:
            da = jax.tree.map(jnp.zeros_like, argument)
        leaves, tree = jax.tree.flatten(argument)
        for a, v in zip(leaves, tree.flatten_up_to(da)):
            if is_float(a):
                v = jnp.zeros_like(a) if v is None else jnp.asarray(v)
                assert v.shape == a.shape, (v.shape, a.shape)
                out.append(np.asarray(v.astype(jnp.float64)))
    return out


def hand(case, args, dy):
    if not case.traceable:
        args, dy = jax.tree.map(lambda a: np.asarray(a), (args, dy))
    _, residuals = case.forward(*args)
    return float_leaves(args, case.backward(residuals, dy))


def primal(case):
    return case.primal or (lambda *args: case.forward(*args)[0])


def automatic(case, args, dy):
    if case.primal is None and not case.traceable:
        raise ValueError(f"zoo: {case.name} must name a primal")
    _, pull = jax.vjp(primal(case), *args)
    return float_leaves(args, pull(dy))


def output(case, args):
    with narrow.widened():
        return primal(case)(*args)


def differences(case, args, seed=0, scale=1.0, at_kink=False):
    """Largest |hand - truth| of each leaf, in float64, over its noise there.

    At a kink the arguments stay where they are: moving them is no noise.
    """
    args = lifted(args, jnp.float64)
    dy = cotangent(output(case, args), "float64", seed, scale)
    with narrow.widened():
        got, want = hand(case, args, dy), automatic(case, args, dy)
        noise = [np.zeros_like(w) for w in want]
        for k in range(3):
            moved = jitter((args, dy), 2.0**-52, k)
            near = automatic(case, args if at_kink else moved[0], moved[1])
            noise = [np.maximum(s, abs(n - w)) for s, n, w in zip(noise, near, want)]
    result = []
    for g, w, s in zip(got, want, noise):
        assert np.all(np.isfinite(w)), "the truth is not finite"
        floor = max(rms(w) * 2.0**-52, rms(s), 1e-290)
        worst = np.max(abs(g - w), initial=0.0) / floor
        result.append(worst if np.all(np.isfinite(g)) else np.inf)
    return result


def jitter(tree, size, seed):
    """Every float moved by a relative `size` with random signs."""
    rng = np.random.default_rng(seed + 99)

    def move(a):
        return a * (1 + size * rng.choice([-1.0, 1.0], jnp.shape(a)))

    return jax.tree.map(lambda a: move(a) if is_float(a) else a, tree)


def rms(a):
    return float(np.sqrt(np.mean(a * a))) if a.size else 0.0


def roundings(case, dtype, seed=0):
    """For each leaf the errors of hand and autodiff in `dtype` over rms, in u."""
    args = case.args(dtype)
    exact = lifted(args, jnp.float64)
    with narrow.widened():
        dy = cotangent(primal(case)(*exact), dtype, seed, 1.0)
        wide = jax.tree.map(lambda a: a.astype(jnp.float64) if is_float(a) else a, dy)
        want = automatic(case, exact, wide)
        # The conditioning: what one rounding of the arguments does to the truth.
        u = float(jnp.finfo(dtype).eps) / 2
        near = automatic(case, jitter(exact, u, 1), wide)
    got, auto = hand(case, args, dy), automatic(case, args, dy)
    out = []
    for g, a, w, n in zip(got, auto, want, near):
        scale = max(rms(w), 1e-300) * u
        errors = [np.max(abs(v - w), initial=0) / scale for v in (g, a, n)]
        out.append([np.inf if np.isnan(e) else e for e in errors])
    return out


WITHIN = 1e5  # 1e5 noise units of float64 are some 1e-11 relative.


def wrong_leaves(case, args):
    found = set()
    for seed, scale in enumerate(SCALES):
        errors = differences(case, args, seed, scale, at_kink=True)
        floats = [name for name, yes in names(args) if yes]
        found |= {n for n, e in zip(floats, errors) if e > WITHIN}
    return found


def one_sided(f, x, d, h=1e-7):
    """Slopes of f at x along d from the right and from the left."""
    at = np.asarray(f(x))
    return (np.asarray(f(x + h * d)) - at) / h, (at - np.asarray(f(x - h * d))) / h


def outside_subdifferential(case):
    """How far hand Jacobians leave the one-sided slopes, over random directions."""
    args = lifted(case.args("float64"), jnp.float64)
    y, residuals = case.forward(*args)
    rows = [
        case.backward(residuals, jnp.reshape(row, jnp.shape(y)))[0]
        for row in jnp.eye(jnp.size(y))
    ]
    worst = 0.0
    for seed in range(8):
        d = np.random.default_rng(seed).standard_normal(jnp.shape(args[0]))
        along = np.array([float(np.sum(np.asarray(row) * d)) for row in rows])
        right, left = one_sided(
            lambda x: jnp.ravel(case.forward(x, *args[1:])[0]), args[0], d
        )
        low, high = np.minimum(left, right), np.maximum(left, right)
        worst = max(worst, np.max(np.maximum(low - along, along - high)))
    return worst


def select(*expected):
    return [name for name, case in CASES.items() if case.expected in expected]


@pytest.mark.slow
@pytest.mark.parametrize("name", select("RIGHT", "IMPRECISE"))
def test_right_and_imprecise_are_exact_mathematics(name):
    case = CASES[name]
    if case.kink:
        assert outside_subdifferential(case) < 1e-5
        return
    for dtype in case.dtypes:
        assert max(differences(case, case.args(dtype))) < WITHIN


@pytest.mark.slow
@pytest.mark.parametrize("name", select("RIGHT"))
def test_right_is_as_precise_as_autodiff(name):
    case = CASES[name]
    if case.kink:
        pytest.skip("autodiff takes another subgradient")
    for dtype in case.dtypes:
        if dtype == "float64":
            continue  # Autodiff in float64 is the truth here.
        for hand_error, auto_error, conditioning in roundings(case, dtype):
            assert hand_error <= 8 * max(auto_error, conditioning, 4.0), dtype


@pytest.mark.slow
@pytest.mark.parametrize("name", select("WRONG"))
def test_wrong_differs_in_the_named_leaves_only(name):
    case = CASES[name]
    for dtype in case.dtypes:
        if case.visible_at == "given":
            assert wrong_leaves(case, case.args(dtype)) == set(case.leaf)
        else:
            assert wrong_leaves(case, case.args(dtype)) == set()
            assert wrong_leaves(case, case.elsewhere(dtype)) == set(case.leaf)


@pytest.mark.slow
@pytest.mark.parametrize("name", select("IMPRECISE"))
def test_imprecise_loses_thirty_times_what_autodiff_loses(name):
    case = CASES[name]
    for dtype in case.dtypes:
        floats = [n for n, yes in names(case.args(dtype)) if yes]
        ratio = {
            n: hand_error / max(auto_error, 1.0)
            for n, (hand_error, auto_error, _) in zip(floats, roundings(case, dtype))
        }
        assert min(ratio[n] for n in case.leaf) >= 30, (dtype, ratio)


def test_the_zoo_is_large():
    """At least 45 families and 400 cases, each verdict among them."""
    assert len({case.family for case in CASES.values()}) >= 45
    assert len(CASES) >= 400
    assert min(len(select(e)) for e in ("RIGHT", "WRONG", "IMPRECISE")) >= 60


def test_every_case_says_where_and_why():
    for case in CASES.values():
        assert case.why.endswith("."), case.name
        assert bool(case.leaf) == (case.expected != "RIGHT"), case.name
        assert (case.visible_at == "given") == (case.elsewhere is None), case.name
