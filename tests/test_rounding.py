"""In float32 and bfloat16 every rule and loss is as near to the truth as autodiff.

Autodiff's result is that of the form that people write (reference.baselines), or, where
none is listed, of our own forward. An error is E(a) = max|a - truth| / rms(truth) with
the truth from autodiff in float64 at the same, rounded inputs, numerator and
denominator each a mean over 64 draws: the largest of a few is a matter of luck, and so
is the one draw in which a sum comes out near 0 (PReLU's slope, each draw by its own
size: 1.9, 1.0, 1.8, 1.1 for 16 to 1024 draws; so: 1.1, 0.9, 1.0, 1.0). It is no less
than half a rounding of the largest entry, which nobody can avoid. At hard inputs
nothing finite becomes NaN or inf, whatever autodiff does there.

By default the first entry of every fifth constructor, all entries with -m slow.
"""

from contextlib import ExitStack
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from reference import chance
from reference.baselines import FORMS, LOSS_FORMS
from reference.registry import LOSSES, RULES
from tests.sampled import one_in

DTYPES = ["float32", "bfloat16"]
DRAWS = 64
RATIO = 1.5
QUICK = {"xla_backend_optimization_level": 0}  # Half the time to the same float64.
NOTHING = 1e-9  # A leaf this small beside the others is zero, but for rounding.


def first_of_each(entries):
    """The name of the first entry of each constructor."""
    names = {}
    for name, entry in entries.items():
        made = entry.rule if entries is RULES else entry.loss
        names.setdefault(made.name, name)
    return names.values()


RULES_SAMPLED = one_in(5, RULES, of=first_of_each(RULES))
LOSSES_SAMPLED = one_in(5, LOSSES, of=first_of_each(LOSSES))


def cast(tree, dtype):
    """Floats of this dtype, integers of the width that float32 sessions have."""

    def one(v):
        floating = jnp.issubdtype(v.dtype, jnp.floating)
        integer = jnp.issubdtype(v.dtype, jnp.integer)
        to = dtype if floating else jnp.int32 if integer else v.dtype
        return np.asarray(v).astype(to)  # No program for each shape.

    return jax.tree.map(one, tree)


def floats(tree):
    return [v for v in jax.tree.leaves(tree) if jnp.issubdtype(v.dtype, jnp.floating)]


def random_like(key, tree):
    """Normal numbers of the tree's shapes, each leaf from a key of its own."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    normal = [chance.normal(k, v.shape) for k, v in zip(keys, leaves)]
    return jax.tree.unflatten(structure, normal)


def stack_of(draw):
    """Samples side by side, each from a key of its own."""
    samples = [draw(jax.random.fold_in(jax.random.key(0), i)) for i in range(DRAWS)]
    return jax.tree.map(lambda *v: np.stack(v), *samples)


def as_rule(name):
    """(draw, hand, auto) of a rule; both give y and the cotangents."""
    entry = RULES[name]
    rule, keys = entry.rule, (jax.random.key(7),) if entry.rule.random else ()

    def forward(params, x):
        return rule.forward(params, x, *keys)

    output = lambda params, x: forward(params, x)[0]  # noqa: E731
    form = FORMS.get(name, output)

    def draw(key, situation=None):
        x_key, params_key, dy_key = jax.random.split(key, 3)
        x = entry.inputs[situation or next(iter(entry.inputs))](x_key)
        params = entry.draw_params(params_key)
        dy = random_like(dy_key, jax.eval_shape(output, params, x))
        return params, x, dy

    def hand(sample):
        params, x, dy = sample
        y, residuals = forward(params, x)
        return floats((y, rule.backward(residuals, dy)))

    def auto(sample):
        params, x, dy = sample
        y, pullback = jax.vjp(form, params, x)
        return floats((y, pullback(dy)))

    return draw, hand, auto


def as_loss(name):
    """(draw, hand, auto) of a loss; both give dprediction."""
    entry = LOSSES[name]
    form = LOSS_FORMS.get(name, lambda p, t: entry.loss.forward(p, t)[0])

    def draw(key, situation=None):
        return entry.inputs[situation or next(iter(entry.inputs))](key)

    def hand(sample):
        v, residuals = entry.loss.forward(*sample)
        return floats(entry.loss.backward(residuals, jnp.ones_like(v)))

    def auto(sample):
        return floats(jax.grad(form)(*sample))

    return draw, hand, auto


def usual_session(x64):
    """JAX as people have it: the forms rely on its promotion."""
    stack = ExitStack()
    stack.enter_context(jax.numpy_rank_promotion("allow"))
    stack.enter_context(jax.numpy_dtype_promotion("standard"))
    stack.enter_context(jax.debug_key_reuse(False))
    stack.enter_context(jax.enable_x64(x64))
    return stack


def rows(leaves):
    """Each leaf in NumPy float64, one row a draw."""
    return [np.asarray(v, np.float64).reshape(DRAWS, -1) for v in leaves]


def errors(difference, truth):
    """E of each leaf; NaN where it is not finite."""
    rms = [np.sqrt(np.mean(t**2, axis=1)).mean() for t in truth]
    worst = [np.abs(d).max(axis=1).mean() for d in difference]
    return np.array([w / (r or 1) for w, r in zip(worst, rms)])


def ratios(draw, hand, auto):
    """For each dtype, of each leaf our error by autodiff's."""
    samples = stack_of(draw)
    truth_of = jax.jit(partial(lax.map, auto), compiler_options=QUICK)
    both = jax.jit(lambda sample: (lax.map(hand, sample), lax.map(auto, sample)))
    found = {}
    for dtype in DTYPES:
        sample = cast(samples, dtype)
        with usual_session(x64=True):
            truth = truth_of(cast(sample, jnp.float64))
        with usual_session(x64=False):  # Else optax.ctc_loss computes in float64.
            ours, theirs = both(sample)
        assert [v.shape for v in ours] == [v.shape for v in truth]
        assert all(v.dtype == dtype for v in ours)
        found[dtype] = ratio(rows(ours), rows(theirs), rows(truth), dtype)
    return found


def ratio(ours, theirs, truth, dtype):
    """Error by error, leaf by leaf."""
    half = float(jnp.finfo(dtype).eps) / 2
    found = errors([h - t for h, t in zip(ours, truth)], truth)
    allowed = np.maximum(
        errors([a - t for a, t in zip(theirs, truth)], truth),
        errors([half * t for t in truth], truth),
    )
    size = np.array([np.sqrt(np.mean(t**2)) for t in truth])
    zero = size <= NOTHING * size.max()
    return np.where(zero, 0, found / np.where(zero, 1, allowed))


def judge_rounding(draw, hand, auto):
    for dtype, found in ratios(draw, hand, auto).items():
        assert found.max() <= RATIO, (dtype, found)


@pytest.mark.parametrize("name", RULES_SAMPLED)
def test_rule_errs_no_more_than_autodiff(name):
    judge_rounding(*as_rule(name))


@pytest.mark.parametrize("name", LOSSES_SAMPLED)
def test_loss_errs_no_more_than_autodiff(name):
    judge_rounding(*as_loss(name))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_loss_of_two_bits_is_found(dtype):
    draw, hand, auto = as_rule("linear")

    def coarse(sample):
        return [v * (1 + 4 * jnp.finfo(v.dtype).eps) for v in hand(sample)]

    assert ratios(draw, coarse, auto)[dtype].min() > RATIO


def not_finite(inputs, draw, hand, dtype):
    """The situations, their input finite in this dtype, in which the result is not."""
    keys = [jax.random.fold_in(jax.random.key(0), i) for i in range(len(inputs))]
    drawn = {s: draw(key, s) for s, key in zip(inputs, keys)}
    samples = {s: cast(v, dtype) for s, v in drawn.items()}
    samples = {s: v for s, v in samples.items() if is_finite(v)}
    with usual_session(x64=False):
        results = jax.jit(lambda samples: {s: hand(v) for s, v in samples.items()})(
            samples
        )
    return [s for s, v in results.items() if not is_finite(v)]


def is_finite(tree):
    return all(bool(jnp.isfinite(v).all()) for v in floats(tree))


# bfloat16 has the range of float32, so it overflows in the same places.
EACH_RANGE = ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)]


@pytest.mark.parametrize("dtype", EACH_RANGE)
@pytest.mark.parametrize("name", RULES_SAMPLED)
def test_rule_is_finite_at_its_hard_inputs(name, dtype):
    draw, hand, _ = as_rule(name)
    assert not_finite(RULES[name].inputs, draw, hand, dtype) == []


@pytest.mark.parametrize("dtype", EACH_RANGE)
@pytest.mark.parametrize("name", LOSSES_SAMPLED)
def test_loss_is_finite_at_its_hard_inputs(name, dtype):
    draw, hand, _ = as_loss(name)
    assert not_finite(LOSSES[name].inputs, draw, hand, dtype) == []


def test_an_overflow_is_found():
    draw, _, _ = as_loss("log_cosh")

    def naive(sample):
        return [jnp.sinh(sample[0] - sample[1]) / jnp.cosh(sample[0] - sample[1])]

    assert not_finite(LOSSES["log_cosh"].inputs, draw, naive, "float32") == ["far"]
