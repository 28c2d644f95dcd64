"""How the losses' tests compare: shapes first, then in units of float64's rounding."""

import jax
import jax.numpy as jnp
import numpy as np


def noise(ours, theirs) -> float:
    """Largest difference over the largest entry of `theirs`, in units of 2^-53."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    size = np.abs(theirs).max(initial=0) or 1.0
    return float(np.abs(ours - theirs).max(initial=0) / size / 2**-53)


def value(loss, prediction, target):
    """The loss alone."""
    return loss.forward(prediction, target)[0]


def gradient(loss, prediction, target, dloss=1.0):
    """dprediction by the hand-written backward."""
    v, residuals = loss.forward(prediction, target)
    return loss.backward(residuals, jnp.asarray(dloss, v.dtype))


def jitted(loss):
    """(prediction, target) -> (loss, dprediction) at dloss = 1, compiled."""

    @jax.jit
    def both(prediction, target):
        v, residuals = loss.forward(prediction, target)
        return v, loss.backward(residuals, jnp.ones_like(v))

    return both


def torched(torch, tree, requires_grad=False):
    """A JAX array as a torch tensor."""
    tensor = torch.from_numpy(np.array(tree))
    return tensor.requires_grad_() if requires_grad else tensor
