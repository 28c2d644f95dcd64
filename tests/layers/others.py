"""What the layer tests share: torch in our layout, and how arrays are compared."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference import chance


def torch():
    """The module; the test is skipped where it is not installed."""
    return pytest.importorskip("torch", reason="torch is the other implementation")


def channels_first(x):
    """(batch, *spatial, channels) to torch's (batch, channels, *spatial)."""
    return torch().tensor(np.moveaxis(np.asarray(x), -1, 1).copy())


def channels_last(x):
    """The way back, from a torch tensor."""
    return np.moveaxis(x.detach().numpy(), 1, -1)


def torch_kernel(weight):
    """(*window, i, o) to torch's (o, i, *window)."""
    return torch().tensor(np.moveaxis(np.asarray(weight), (-1, -2), (0, 1)).copy())


def torch_dx(f, x, dy):
    """torch's cotangent of x, for y = f(x) in its layout."""
    leaf = channels_first(x).requires_grad_()
    f(leaf).backward(channels_first(dy))
    return channels_last(leaf.grad)


@contextlib.contextmanager
def lenient():
    """JAX's defaults of promotion, which Flax relies on."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def same(ours, theirs, roundings=64):
    """Equal shapes, and equal numbers up to float64 roundings of the largest one."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    atol = roundings * 2**-53 * max(np.abs(theirs).max(), 1e-300)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def cotangents_agree(rule, params, x, keys, form=None):
    """backward against jax.vjp of the forward, or of another form of it."""
    form = form or (lambda params, x: rule.forward(params, x)[0])
    y, pullback = jax.vjp(form, params, x)
    dy = chance.normal(next(keys), y.shape)
    hand = rule.backward(rule.forward(params, x)[1], dy)
    jax.tree.map(same, hand, pullback(dy))


def drawn(rule, keys, *shape):
    """Random parameters, x and dy for a rule."""
    x = chance.normal(next(keys), shape)
    params = jax.tree.map(
        lambda v: chance.normal(next(keys), v.shape), rule.init(next(keys))
    )
    y = jax.eval_shape(rule.apply, params, x)
    return params, x, chance.normal(next(keys), y.shape, jnp.float64)
