"""The norms against Flax and torch; their invariants, limits, paths and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from purefw.layers.batch_norm import BatchNormParams, batch_norm, update_running
from purefw.layers.group_norm import group_norm
from purefw.layers.instance_norm import instance_norm
from purefw.layers.layer_norm import layer_norm
from purefw.layers.rms_norm import rms_norm
from reference import chance
from tests.layers.others import (
    channels_first,
    channels_last,
    drawn,
    lenient,
    same,
    torch,
    torch_dx,
)
from tests.refute import compiled, refuted

EPS = 0.1
SHAPE = (3, 5, 2, 4)
CASES = {  # rule, the axes of one set once x has shape VIEWS
    "layer_norm": (compiled(layer_norm(4, eps=EPS)), (3,)),
    "batch_norm": (compiled(batch_norm(4, eps=EPS)), (0, 1, 2)),
    "group_norm": (compiled(group_norm(4, 2, eps=EPS)), (1, 2, 4)),
    "instance_norm": (compiled(instance_norm(4, eps=EPS)), (1, 2)),
    "rms_norm": (compiled(rms_norm(4, eps=EPS)), (3,)),
}
VIEWS = {"group_norm": (3, 5, 2, 2, 2)}
CENTRED = [name for name in CASES if name != "rms_norm"]


def sets(name, v):
    """v as the rule sees it: grouped where it groups."""
    return v.reshape(VIEWS.get(name, SHAPE))


def flax_norm(name):
    """Flax's module of the same eps."""
    options = dict(epsilon=EPS, param_dtype=jnp.float64)
    exact = dict(use_fast_variance=False, **options)
    return {
        "layer_norm": lambda: linen.LayerNorm(**exact),
        "batch_norm": lambda: linen.BatchNorm(use_running_average=False, **exact),
        "group_norm": lambda: linen.GroupNorm(num_groups=2, **exact),
        "instance_norm": lambda: linen.InstanceNorm(**exact),
        "rms_norm": lambda: linen.RMSNorm(**options),
    }[name]()


@pytest.mark.parametrize("name", CASES)
def test_value_and_cotangents_agree_with_flax(name, keys):
    rule, _ = CASES[name]
    params, x, dy = drawn(rule, keys, *SHAPE)
    learned = {k: v for k, v in params._asdict().items() if "running" not in k}

    def form(learned, x):
        start = {"mean": jnp.zeros(4), "var": jnp.ones(4)}
        variables = {"params": learned, "batch_stats": start}
        return flax_norm(name).apply(variables, x, mutable=["batch_stats"])[0]

    with lenient():
        theirs, pullback = jax.vjp(form, learned, x)
        dlearned, their_dx = pullback(dy)
    y, residuals = rule.forward(params, x)
    dparams, dx = rule.backward(residuals, dy)
    same(y, theirs)  # worst of all here: 2.4 of 64 roundings
    same(dx, their_dx)
    for leaf, value in dlearned.items():
        same(getattr(dparams, leaf), value)


@pytest.mark.parametrize("name", CENTRED)
def test_value_and_dx_agree_with_torch(name, keys):
    rule, _ = CASES[name]
    params, x, dy = drawn(rule, keys, *SHAPE)
    scale, bias = (torch().tensor(np.asarray(v)) for v in params[:2])
    f = torch().nn.functional

    def theirs(v):
        if name == "layer_norm":
            rows = f.layer_norm(v.movedim(1, -1), (4,), scale, bias, EPS)
            return rows.movedim(-1, 1)
        if name == "group_norm":
            return f.group_norm(v, 2, scale, bias, EPS)
        if name == "instance_norm":
            return f.instance_norm(v, weight=scale, bias=bias, eps=EPS)
        return f.batch_norm(v, None, None, scale, bias, training=True, eps=EPS)

    y, residuals = rule.forward(params, x)
    same(y, channels_last(theirs(channels_first(x))))
    same(rule.backward(residuals, dy)[1], torch_dx(theirs, x, dy))


@pytest.mark.parametrize("name", CENTRED)
def test_dx_sums_to_zero_over_every_set(name, keys):
    rule, axes = CASES[name]
    params, x, dy = drawn(rule, keys, *SHAPE)
    dx = rule.backward(rule.forward(params, x)[1], dy)[1]
    total = sets(name, dx).sum(axes)
    assert abs(total).max() < 1e-14 < abs(dx).max()  # worst: 2e-15


@pytest.mark.parametrize("name", CASES)
def test_dx_along_x_is_what_eps_leaves_of_it(name, keys):
    rule, axes = CASES[name]
    params, x, dy = drawn(rule, keys, *SHAPE)
    y, residuals = rule.forward(params, x)
    dx = sets(name, rule.backward(residuals, dy)[1])
    dxhat, v = sets(name, params.scale[None, None, None] * dy), sets(name, x)
    centre = (
        v.mean(axes, keepdims=True) if name in CENTRED else jnp.zeros((1,) * v.ndim)
    )
    s = ((v - centre) ** 2).mean(axes, keepdims=True) + EPS
    expected = EPS / s * dxhat * (v - centre) / jnp.sqrt(s)
    same((v * dx).sum(axes), expected.sum(axes), roundings=200)  # worst: 38


@pytest.mark.parametrize("name", CASES)
def test_y_does_not_see_shift_or_scale_of_x(name, keys):
    rule, _ = CASES[name]
    params, x, _ = drawn(rule, keys, *SHAPE)
    x = 1e9 * x  # beside it eps is nothing
    moved = 7 * x + (3e9 if name in CENTRED else 0)
    same(rule.forward(params, moved)[0], rule.forward(params, x)[0])


@pytest.mark.parametrize("name", CASES)
def test_backward_is_the_sum_of_its_terms(name, keys):
    rule, _ = CASES[name]
    params, x, dy = drawn(rule, keys, *SHAPE)
    _, residuals = rule.forward(params, x)
    summands = rule.terms(residuals, dy)["dx"]
    expected = (
        {"direct", "mean", "variance"} if name in CENTRED else {"direct", "scale"}
    )
    assert set(summands) == expected
    same(sum(summands.values()), rule.backward(residuals, dy)[1])


@pytest.mark.parametrize("name", CASES)
def test_a_forgotten_path_is_refuted(name, keys):
    rule, _ = CASES[name]
    x = chance.normal(next(keys), (2, 3, 2, 4))
    forgotten = "variance" if name in CENTRED else "scale"

    def backward(residuals, dy):
        dparams, dx = rule.backward(residuals, dy)
        return dparams, dx - rule.terms(residuals, dy)["dx"][forgotten]

    params, _, _ = drawn(rule, keys, *SHAPE)
    assert refuted(rule, x, backward, params=params) == {"dx"}


@pytest.mark.parametrize("name", CASES)
def test_a_constant_set_gives_the_bias_and_a_finite_gradient(name, keys):
    rule, _ = CASES[name]
    params, _, dy = drawn(rule, keys, *SHAPE)
    y, residuals = rule.forward(
        params, jnp.full(SHAPE, 0.0 if name == "rms_norm" else 3.0)
    )
    bias = params.bias if name in CENTRED else jnp.zeros(4)
    same(y, jnp.broadcast_to(bias, SHAPE))
    assert jnp.isfinite(rule.backward(residuals, dy)[1]).all()


@pytest.mark.parametrize("name", CENTRED)
def test_a_large_mean_keeps_the_digits_that_x_has(name, keys):
    rule, _ = CASES[name]
    params, x, _ = drawn(rule, keys, *SHAPE)
    params, x = jax.tree.map(lambda v: v.astype(jnp.float32), (params, x + 1e4))
    exact = jax.tree.map(lambda v: v.astype(jnp.float64), (params, x))
    y, truth = (rule.forward(*args)[0] for args in ((params, x), exact))
    # The mean is rounded by up to 5e-4. Worst here 2e-3, of Flax's layer norm 1.5e-3
    # and with its default, the variance as mean x² - mean², 7.6.
    assert abs(y.astype(jnp.float64) - truth).max() < 5e-3


def test_batch_norm_of_rows_agrees_with_torch(keys):
    rule = batch_norm(5)
    params, x, dy = drawn(rule, keys, 7, 5)
    scale, bias = (torch().tensor(np.asarray(v)) for v in params[:2])

    def theirs(v):
        f = torch().nn.functional.batch_norm
        return f(v, None, None, scale, bias, training=True)

    y, residuals = rule.forward(params, x)
    same(y, channels_last(theirs(channels_first(x))))
    same(rule.backward(residuals, dy)[1], torch_dx(theirs, x, dy))


def test_running_statistics_have_no_gradient_and_no_part_in_training(keys):
    rule, _ = CASES["batch_norm"]
    params, x, dy = drawn(rule, keys, *SHAPE)
    y, residuals = rule.forward(params, x)
    other = params._replace(running_mean=params.scale, running_var=params.bias)
    assert (rule.forward(other, x)[0] == y).all()
    dparams, _ = rule.backward(residuals, dy)
    assert not dparams.running_mean.any() and not dparams.running_var.any()


def test_a_gradient_of_the_running_statistics_is_refuted(keys):
    rule = batch_norm(2)

    def backward(residuals, dy):
        dparams, dx = rule.backward(residuals, dy)
        return dparams._replace(running_mean=dparams.bias), dx

    x = chance.normal(next(keys), (5, 2))
    assert refuted(rule, x, backward) == {"dparams.running_mean"}


def test_inference_and_update_agree_with_flax(keys):
    rule, _ = CASES["batch_norm"]
    params, x, _ = drawn(rule, keys, *SHAPE)
    params = params._replace(running_var=jnp.exp(params.running_var))
    variables = {
        "params": {"scale": params.scale, "bias": params.bias},
        "batch_stats": {"mean": params.running_mean, "var": params.running_var},
    }
    with lenient():
        module = linen.BatchNorm(momentum=0.8, epsilon=EPS, use_fast_variance=False)
        _, moved = module.apply(variables, x, False, mutable=["batch_stats"])
        theirs = module.apply(variables, x, True)
    _, residuals = rule.forward(params, x)
    updated = update_running(params, residuals, 0.8)
    same(rule.apply(params, x), theirs)
    same(updated.running_mean, moved["batch_stats"]["mean"])
    same(updated.running_var, moved["batch_stats"]["var"])
    assert updated.scale is params.scale and updated.bias is params.bias


def test_torch_keeps_the_other_variance(keys):
    rule, x = batch_norm(2), chance.normal(next(keys), (5, 2))
    params = rule.init(next(keys))
    updated = update_running(params, rule.forward(params, x)[1], 0.75)
    mean, var = torch().zeros(2).double(), torch().ones(2).double()
    torch().nn.functional.batch_norm(
        channels_first(x), mean, var, training=True, momentum=0.25
    )
    same(updated.running_mean, mean.numpy())
    same((updated.running_var - 0.75) * 5 / 4 + 0.75, var.numpy())


def test_one_entry_a_channel_teaches_nothing(keys):
    rule = batch_norm(3)
    params, x, dy = drawn(rule, keys, 1, 3)
    y, residuals = rule.forward(params, x)
    dparams, dx = rule.backward(residuals, dy)
    same(y[0], params.bias)
    assert not dx.any() and not dparams.scale.any()


def test_the_extremes_of_group_norm_are_other_norms(keys):
    params, x, _ = drawn(group_norm(4, 4), keys, *SHAPE)
    theirs = instance_norm(4).apply(params, x)
    same(group_norm(4, 4).apply(params, x), theirs)
    ones = params._replace(scale=jnp.ones(4), bias=jnp.zeros(4))
    flat = layer_norm(40)
    rows = flat.apply(flat.init(next(keys)), x.reshape(3, 40))
    same(group_norm(4, 1).apply(ones, x), rows.reshape(SHAPE))


@pytest.mark.parametrize("make", [layer_norm, rms_norm, batch_norm, instance_norm])
def test_bad_arguments_are_refused(make):
    name = make.__name__
    with pytest.raises(
        ValueError, match=f"^{name}: features must be at least 1, got 0"
    ):
        make(0)
    for eps in (0.0, -1e-5, float("nan")):
        with pytest.raises(
            ValueError, match=f"^{name}: eps must be positive, got {eps}"
        ):
            make(3, eps=eps)


def test_groups_must_divide_the_features():
    for groups in (0, 4):
        message = f"^group_norm: groups must divide the 6 features, got {groups}"
        with pytest.raises(ValueError, match=message):
            group_norm(6, groups)
    with pytest.raises(ValueError, match="^group_norm: eps must be positive, got 0.0"):
        group_norm(6, 2, eps=0.0)


@pytest.mark.parametrize(
    "rule,shape,message",
    [
        (layer_norm(7), (5, 6), r"must have shape \(\.\.\., 7\), got \(5, 6\)"),
        (rms_norm(7), (5, 6), r"must have shape \(\.\.\., 7\), got \(5, 6\)"),
        (batch_norm(7), (7,), r"must have shape \(batch, \.\.\., 7\).*got \(7,\)"),
        (batch_norm(7), (5, 6), r"must have shape .* got \(5, 6\)"),
        (batch_norm(7), (0, 7), r"not be empty, got \(0, 7\)"),
        (group_norm(6, 2), (5, 7), r"shape \(batch, \.\.\., 6\), got \(5, 7\)"),
        (instance_norm(6), (5, 6), r"at least one spatial axis, 6\), got \(5, 6\)"),
    ],
)
def test_a_bad_x_is_refused(rule, shape, message, keys):
    params = rule.init(next(keys))
    with pytest.raises(ValueError, match=f"^{rule.name}: x .*{message}"):
        rule.forward(params, jnp.ones(shape))


def test_a_bad_x_at_inference_and_a_bad_momentum_are_refused(keys):
    rule = batch_norm(3)
    params = rule.init(next(keys))
    with pytest.raises(ValueError, match=r"^batch_norm: x must .* got \(5, 2\)"):
        rule.apply(params, jnp.ones((5, 2)))
    _, residuals = rule.forward(params, jnp.ones((5, 3)))
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\], got 1.5"):
        update_running(params, residuals, 1.5)


def test_running_statistics_of_sixteen_bits_stay_so(keys):
    rule, x = batch_norm(3), jnp.ones((5, 3), jnp.bfloat16)
    params = BatchNormParams(*(v.astype(x.dtype) for v in rule.init(next(keys))))
    y, residuals = rule.forward(params, x)
    updated = update_running(params, residuals, 0.9)
    assert {v.dtype for v in (y, rule.apply(params, x), *updated)} == {x.dtype}


def test_examples_do_not_mix_in_group_norm(keys):
    rule, _ = CASES["group_norm"]
    params, x, dy = drawn(rule, keys, *SHAPE)
    y, residuals = rule.forward(params, x)
    alone, of_alone = rule.forward(params, x[1:2])
    same(y[1:2], alone)
    dx = rule.backward(residuals, dy)[1]
    same(dx[1:2], rule.backward(of_alone, dy[1:2])[1])


def test_rms_norm_is_odd_and_its_rows_of_dx_do_not_sum_to_zero(keys):
    rule, _ = CASES["rms_norm"]
    params, x, dy = drawn(rule, keys, *SHAPE)
    y, residuals = rule.forward(params, x)
    assert (rule.forward(params, -x)[0] == -y).all()
    assert abs(rule.backward(residuals, dy)[1].sum(-1)).min() > 1e-3
