"""The networks of purefw.models as one writes them in torch, on purefw's parameters.

`FORMS` maps names of tests.models.tiny to `form(params, x) -> y`, where params is
purefw's tree with torch tensors for leaves.
"""

from functools import partial

import torch
from torch.nn import functional as f


def affine(p, x):
    return f.linear(x, p.weight.T, p.bias)


def perceptron(params, x, activation):
    *hidden, last = params[::2]
    for p in hidden:
        x = activation(affine(p, x))
    return affine(last, x)


def autoencoder(params, x):
    for half in params:
        x = perceptron(half, x, torch.tanh)
    return x


def convolution(p, x, stride=1, padding=0):
    return f.conv2d(x, p.weight.permute(3, 2, 0, 1), p.bias, stride, padding)


def lenet(params, x, side, activation):
    x = x.reshape(-1, 1, side, side)
    x = activation(convolution(params[1], x, padding=2 if side == 28 else 0))
    x = activation(convolution(params[4], f.max_pool2d(x, 2)))
    x = f.max_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1)
    return perceptron(params[8], x, activation)


def normed(p, norm, x, stride=1):
    """Odd lengths, where torch's padding is that of SAME."""
    x = convolution(p, x, stride, (p.weight.shape[0] - 1) // 2)
    return f.batch_norm(x, None, None, norm.scale, norm.bias, training=True)


def resnet(params, x):
    """On images of 5 x 7 x 2; a halving block has two parts, another five."""
    x = x.reshape(-1, 5, 7, 2).permute(0, 3, 1, 2)
    _, weights, norm, _, *blocks, _, last = params
    x = f.relu(normed(weights, norm, x))
    for block, _ in blocks:
        if len(block) == 2:
            both, around = block
            x = f.relu(bottleneck(both, x, stride=2) + normed(*around, x, stride=2))
        else:
            x = f.relu(x + bottleneck(block, x))
    return affine(last, x.mean(dim=(2, 3)))


def bottleneck(params, x, stride=1):
    return normed(*params[3:], f.relu(normed(*params[:2], x, stride)))


def char_lstm(params, ids):
    table, p, last = params
    module = torch.nn.LSTM(*p.weight_input.shape[:1], p.weight_state.shape[0])
    theirs = {
        "weight_ih_l0": p.weight_input.T,
        "weight_hh_l0": p.weight_state.T,
        "bias_ih_l0": p.bias,
        "bias_hh_l0": torch.zeros_like(p.bias),
    }
    x = f.embedding(ids, table).transpose(0, 1)
    y, _ = torch.func.functional_call(module, theirs, (x,))
    return affine(last, y.transpose(0, 1))


def gpt(params, ids, heads, feed_forward="gelu", rotary=True):
    table, middle = params
    *positions, stack, norm = middle
    x = f.embedding(ids, table)
    for p in positions:
        x = x + p[: ids.shape[1]]
    blocks = stack[0][0].scale.shape[0]
    for i in range(blocks):
        (first, _, attention), (second, up, _, down) = unstacked(stack, i)
        x = x + attend(attention, normalised(first, x), heads, rotary)
        x = x + affine(down, GATES[feed_forward](affine(up, normalised(second, x))))
    return normalised(norm, x) @ table.T


def unstacked(tree, i):
    """Entry i of each leaf."""
    if isinstance(tree, torch.Tensor):
        return tree[i]
    parts = [unstacked(part, i) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def normalised(p, x):
    return f.layer_norm(x, x.shape[-1:], p.scale, p.bias)


def attend(p, x, heads, rotary):
    q, k, v = (
        affine(part, x).unflatten(-1, (heads, -1)).transpose(1, 2) for part in p[:3]
    )
    if rotary:
        q, k = turned(q), turned(k)
    y = f.scaled_dot_product_attention(q, k, v, is_causal=True)
    return affine(p.output, y.transpose(1, 2).flatten(2))


def turned(x):
    """Pairs of features as complex numbers, times exp(i angle)."""
    half = x.shape[-1] // 2
    rate = 10000.0 ** (-torch.arange(half, dtype=x.dtype) / half)
    angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * rate
    z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(
        torch.ones_like(angle), angle
    )
    return torch.cat([z.real, z.imag], dim=-1)


def swiglu(x):
    value, gate = x.chunk(2, dim=-1)
    return value * f.silu(gate)


GATES = {"gelu": f.gelu, "swiglu": swiglu}
FORMS = {
    "perceptron": partial(perceptron, activation=f.relu),
    "autoencoder": autoencoder,
    "lenet_28": partial(lenet, side=28, activation=torch.tanh),
    "lenet_32": partial(lenet, side=32, activation=f.relu),
    "resnet": resnet,
    "char_lstm": char_lstm,
    "gpt": partial(gpt, heads=3),
    "gpt_swiglu": partial(gpt, heads=3, feed_forward="swiglu"),
    "gpt_learned": partial(gpt, heads=2, rotary=False),
    "gpt_recompute": partial(gpt, heads=3),
}
