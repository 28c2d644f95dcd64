"""The idiomatic JAX form of each activation: someone else's forward, for autodiff.

`ACTIVATION_FORMS` maps the name of a registered rule to a function of (params, x):
jax.nn's where there is one, else what people write in its stead.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def prelu(params: Any, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """As in flax.linen.PReLU, the slope spread by hand."""
    slope = params.slope.reshape(()) if params.slope.size == 1 else params.slope
    return jnp.where(x >= 0, x, jnp.broadcast_to(slope, x.shape) * x)


def swiglu(x: Float[Array, "*b n"]) -> Float[Array, "*b m"]:
    """The second half is the gate."""
    value, gate = jnp.split(x, 2, axis=-1)
    return value * jax.nn.silu(gate)


def geglu(x: Float[Array, "*b n"]) -> Float[Array, "*b m"]:
    """The second half is the gate."""
    value, gate = jnp.split(x, 2, axis=-1)
    return value * jax.nn.gelu(gate, approximate=False)


def sparsemax(x: Float[Array, "*b n"]) -> Float[Array, "*b n"]:
    """With the threshold as the largest over k of (Σ of the k largest - 1) / k."""
    z = x - jax.lax.stop_gradient(x.max(axis=-1, keepdims=True))
    k = 1 + jax.lax.broadcasted_iota(x.dtype, x.shape, x.ndim - 1)
    thresholds = (jnp.cumsum(jnp.sort(z, axis=-1, descending=True), axis=-1) - 1) / k
    return jax.nn.relu(z - thresholds.max(axis=-1, keepdims=True))


def _of_x(form: Callable[[Array], Array]) -> Callable[[Any, Array], Array]:
    return lambda params, x: form(x)


ACTIVATION_FORMS: dict[str, Callable[[Any, Array], Array]] = {
    "relu": _of_x(jax.nn.relu),
    "tanh": _of_x(jnp.tanh),
    "sigmoid": _of_x(jax.nn.sigmoid),
    "softmax": _of_x(jax.nn.softmax),
    "leaky_relu": _of_x(lambda x: jax.nn.leaky_relu(x, 0.1)),
    "prelu": prelu,
    "prelu_of_each": prelu,
    "elu": _of_x(lambda x: jax.nn.elu(x, 0.7)),
    "selu": _of_x(jax.nn.selu),
    "celu": _of_x(lambda x: jax.nn.celu(x, 1.3)),
    "gelu": _of_x(lambda x: jax.nn.gelu(x, approximate=False)),
    "gelu_tanh": _of_x(lambda x: jax.nn.gelu(x, approximate=True)),
    "silu": _of_x(jax.nn.silu),
    "mish": _of_x(jax.nn.mish),
    "softplus": _of_x(jax.nn.softplus),
    "softsign": _of_x(jax.nn.soft_sign),
    "log_sigmoid": _of_x(jax.nn.log_sigmoid),
    "hard_tanh": _of_x(jax.nn.hard_tanh),
    "hard_sigmoid": _of_x(jax.nn.hard_sigmoid),
    "hard_swish": _of_x(jax.nn.hard_swish),
    "relu6": _of_x(jax.nn.relu6),
    "squared_relu": _of_x(lambda x: jnp.square(jax.nn.relu(x))),
    "glu": _of_x(jax.nn.glu),
    "swiglu": _of_x(swiglu),
    "geglu": _of_x(geglu),
    "log_softmax": _of_x(jax.nn.log_softmax),
    "logsumexp": _of_x(lambda x: jax.nn.logsumexp(x, axis=-1)),
    "sparsemax": _of_x(sparsemax),
}
