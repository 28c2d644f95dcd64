"""Whole networks as people write them, on purefw's parameters.

Each `form(params, x, target) -> loss` is differentiated by jax.value_and_grad.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from purefw.layers.lstm import LSTMState
from purefw.shared.recurrence import RecurrentInput
from reference.baselines.recurrent import form_lstm
from reference.baselines.sequence import form_multi_head


def labelled(apply) -> Any:
    """Mean cross-entropy of `apply(params, x)`, by Optax."""

    def form(params, x, target):
        logits = apply(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, target).mean()

    return form


def dense(params: Any, x: Array) -> Array:
    """An affine map."""
    return x @ params.weight + params.bias


def perceptron(params: Any, x: Array, *, activation: Any) -> Array:
    """Affine maps with an activation between them."""
    *hidden, last = [layer for layer in params if layer != ()]
    for layer in hidden:
        x = activation(dense(layer, x))
    return dense(last, x)


def lenet(params: Any, x: Array) -> Array:
    """LeNet-5 with ReLU, as in Flax's examples."""
    _, first, _, _, second, _, _, _, top = params
    x = x.reshape(-1, 28, 28, 1)
    for layer, padding in ((first, "SAME"), (second, "VALID")):
        x = jax.nn.relu(convolve(x, layer.weight, padding=padding) + layer.bias)
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return perceptron(top, x.reshape(len(x), -1), activation=jax.nn.relu)


def convolve(x: Array, weight: Array, *, stride: int = 1, padding: str = "SAME"):
    """lax.conv_general_dilated on (batch, height, width, channels)."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, weight, (stride, stride), padding, dimension_numbers=numbers
    )


def resnet(params: Any, x: Array, *, shape: tuple[int, int, int]) -> Array:
    """The network of purefw.models.resnet, batch norm by the batch."""
    _, stem, stem_norm, _, *blocks, _, top = params
    x = normed_convolution(stem, stem_norm, x.reshape(-1, *shape))
    x = jax.nn.relu(x)
    for inner, _ in blocks:
        halving = len(inner) == 2  # A second way around it, else only one of five.
        main, around = inner if halving else (inner, None)
        y = normed_convolution(*main[:2], x, stride=2 if halving else 1)
        y = normed_convolution(*main[3:], jax.nn.relu(y))
        past = x if around is None else normed_convolution(*around, x, stride=2)
        x = jax.nn.relu(y + past)
    return dense(top, x.mean(axis=(1, 2)))


def normed_convolution(params: Any, norm: Any, x: Array, *, stride: int = 1) -> Array:
    """A convolution and batch norm."""
    y = convolve(x, params.weight, stride=stride)
    mean, var = y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))
    return (y - mean) * lax.rsqrt(var + 1e-5) * norm.scale + norm.bias


def char_lstm(params: Any, ids: Array) -> Array:
    """Embedding, LSTM, logits."""
    table, cell, top = params
    state = jnp.zeros((2, len(ids), cell.weight_state.shape[0]), table.dtype)
    x = RecurrentInput(table[ids], LSTMState(*state), None)
    return dense(top, form_lstm(cell, x).sequence)


def gpt(params: Any, ids: Array, *, heads: int) -> Array:
    """The network of purefw.models.gpt with learned positions, blocks in a scan."""
    table = params.shared
    positions, blocks, norm = params.middle
    x = table[ids] + positions[: ids.shape[1]]
    x, _ = lax.scan(partial(gpt_block, heads=heads), x, blocks)
    return layer_norm(norm, x) @ table.T


def gpt_block(x: Array, params: Any, *, heads: int) -> tuple[Array, None]:
    """Attention and a feed-forward layer, each on layer-normed rows."""
    (norm, _, attention), (norm_2, up, _, down) = params
    y = layer_norm(norm, x)
    x = x + form_multi_head(attention, (y, y, y, None), heads=heads, causal=True)
    hidden = jax.nn.gelu(dense(up, layer_norm(norm_2, x)), approximate=False)
    return x + dense(down, hidden), None


def layer_norm(params: Any, x: Array) -> Array:
    """As flax.linen.LayerNorm."""
    mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) * lax.rsqrt(var + 1e-5) * params.scale + params.bias
