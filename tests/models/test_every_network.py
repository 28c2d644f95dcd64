"""Every network: its gradient is autodiff's and torch's, and what it promises holds."""

from dataclasses import replace
from functools import cache
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purefw
from purefw import models
from purefw.compose import chain
from purefw.layers.linear import linear
from purefw.layers.relu import relu
from reference import assert_correct, autodiff, check_network
from tests.models.tiny import NETWORKS, problem
from tests.refute import apart, leaves, ulps_apart

OFTEN = {
    "gpt",
    "gpt_learned",
    "gpt_recompute",
    "lenet_32",
}  # What others, run by default, hold too.
EACH = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in OFTEN)) for n in NETWORKS]
)
ULPS = 512  # Measured: 152 in the ResNet, whose norms see two examples; 29 elsewhere.


@cache
def solved(name):
    """A problem, and one program for its loss and gradient by hand and by autodiff."""
    p = problem(name, map(jax.random.key, count()))
    functions = [
        source(p.network, p.loss)
        for source in (purefw.loss_and_grad, autodiff.loss_and_grad)
    ]
    return p, jax.jit(lambda params: [f(params, p.x, p.target) for f in functions])


@EACH
def test_the_gradient_by_hand_is_that_of_autodiff(name):
    p, both = solved(name)
    (value, dparams), (expected, truth) = both(p.params)
    assert abs(value - expected) <= 4 * np.spacing(expected)
    assert ulps_apart(dparams, truth) <= ULPS


@EACH
def test_loss_and_gradient_are_those_of_torch(name):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from tests.models.in_torch import FORMS

    p, both = solved(name)
    value, dparams = both(p.params)[0]
    params = jax.tree.map(
        lambda v: torch.tensor(np.array(v), requires_grad=True), p.params
    )
    x, target = (torch.tensor(np.array(v)) for v in (p.x, p.target))
    y = FORMS[name](params, x)
    if name == "autoencoder":
        loss = torch.nn.functional.mse_loss(y, target)
    else:
        rows = y.flatten(0, -2), target.flatten().long()
        loss = torch.nn.functional.cross_entropy(*rows)
    loss.backward()
    # Sums of hundreds of products in another order; worst measured: 4e-14.
    np.testing.assert_allclose(value, loss.detach().numpy(), rtol=1e-13)
    theirs = jax.tree.map(
        lambda v: np.zeros(v.shape) if v.grad is None else v.grad.numpy(), params
    )
    assert ulps_apart(dparams, theirs) <= ULPS


@EACH
def test_under_autodiff_it_takes_the_same_course(name):
    p, both = solved(name)
    by_hand = by_autodiff = p.params
    for _ in range(5):
        by_hand = descended(by_hand, both(by_hand)[0][1])
        by_autodiff = descended(by_autodiff, both(by_autodiff)[1][1])
    assert ulps_apart(by_hand, by_autodiff) <= ULPS
    assert both(by_hand)[0][0] < both(p.params)[0][0]


def descended(params, dparams):
    """A step of gradient descent."""
    return jax.tree.map(lambda v, d: v - 1e-3 * d, params, dparams)


def test_a_mistake_in_one_layer_is_found_there_and_before_it():
    p, both = solved("perceptron")
    layer = linear(5, 3)

    def unturned(residuals, dy):
        dparams, dx = layer.backward(residuals, dy)
        return dparams._replace(bias=dparams.bias / 2), -dx

    broken = chain(linear(7, 5), relu(), replace(layer, backward=unturned))
    f = jax.jit(purefw.loss_and_grad(broken, p.loss))
    wrong, truth = f(p.params, p.x, p.target)[1], both(p.params)[1][1]
    found = apart(leaves("dparams", wrong), leaves("dparams", truth))
    assert found == {f"dparams{v}" for v in ("[0].weight", "[0].bias", "[2].bias")}


@pytest.mark.slow
@EACH
def test_the_verifier_finds_it_right(name):
    p = problem(name, map(jax.random.key, count()), dtype=jnp.float32)
    report = check_network(p.network, p.loss, p.params, p.x, p.target)
    assert_correct(report)


@pytest.mark.parametrize("name", ["char_lstm", "gpt_swiglu", "gpt_learned"])
def test_the_past_does_not_depend_on_the_future(name):
    p, _ = solved(name)
    apply = jax.jit(p.network.apply)
    other = p.x.at[:, 3:].set((p.x[:, 3:] + 1) % 11)
    y, moved = apply(p.params, p.x), apply(p.params, other)
    assert (y[:, :3] == moved[:, :3]).all()
    assert (y[:, 3:] != moved[:, 3:]).any(axis=(0, 2)).all()


def test_both_ends_of_a_gpt_share_one_table():
    p, both = solved("gpt_swiglu")
    _, dparams = both(p.params)[0]
    assert jax.tree.leaves(p.params)[0] is p.params.shared
    unused = ~jnp.isin(jnp.arange(11, dtype=p.x.dtype), p.x)
    assert unused.any() and (dparams.shared[unused] != 0).all()  # By the output alone.


REFUSED = {
    "lenet: side must be 28 or 32, got 8": lambda: models.lenet(8, 10, relu()),
    "lenet: classes must be at least 1, got 0": lambda: models.lenet(28, 0, relu()),
    r"resnet: shape must .* all positive, got \(8, 0, 1\)": lambda: models.resnet(
        (8, 0, 1), (16,), 1, 10
    ),
    "resnet: widths must be at least one": lambda: models.resnet((8, 8, 1), (), 1, 10),
    "resnet: blocks must be at least 1": lambda: models.resnet((8, 8, 1), (2,), 0, 10),
    "autoencoder: sizes must be at least two": lambda: models.autoencoder((7,), relu()),
    "char_lstm: hidden must be at least 1, got 0": lambda: models.char_lstm(11, 3, 0),
    "gpt: heads must divide width 6, got 4": lambda: models.gpt(11, 6, 4, 2),
    "gpt: blocks must be at least 1, got 0": lambda: models.gpt(11, 6, 3, 0),
    "gpt: length must be at least 1, got 0": lambda: models.gpt(11, 6, 3, 2, length=0),
    "gpt: width must be an even number a head": lambda: models.gpt(11, 6, 2, 2),
    "gpt: feed_forward must be 'gelu' or 'swiglu', got 'relu'": lambda: models.gpt(
        11, 6, 3, 2, feed_forward="relu"
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_network_that_cannot_be_is_refused(message):
    with pytest.raises(ValueError, match=f"^{message}"):
        REFUSED[message]()


@pytest.mark.parametrize(
    "name,x,message",
    [
        ("lenet_28", jnp.ones((2, 64)), "reshape: x must have 784 entries an example"),
        ("resnet", jnp.ones((2, 64)), "reshape: x must have 70 entries an example"),
        ("char_lstm", jnp.ones((2, 5)), "embedding: x must be integers, got float64"),
        ("gpt", jnp.ones((2, 5)), "embedding: x must be integers, got float64"),
        ("gpt_learned", jnp.ones((2, 8), int), r"positional_embedding: x .* at most 7"),
    ],
)
def test_what_it_cannot_read_is_refused(name, x, message):
    network = NETWORKS[name]()
    params = jax.eval_shape(network.init, jax.random.key(0))
    with pytest.raises(ValueError, match=f"^{message}"):
        jax.eval_shape(network.forward, params, x)
