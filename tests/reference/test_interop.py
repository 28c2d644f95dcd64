"""Objects, torch functions and custom_vjp functions are judged like rules."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.dropout import dropout
from purefw.layers.linear import LinearParams, linear
from purefw.losses.squared_error import squared_error
from reference import Verdict, check_custom_vjp, check_network, check_rule, check_vjp
from reference.interop import (
    from_custom_vjp,
    from_numpy_layer,
    from_torch_function,
    to_custom_vjp,
)
from reference.interop.traced import CannotFollow, Traced, raw
from tests.reference import courses
from tests.refute import random_params

X = np.random.default_rng(3).standard_normal((5, 3))
FEW = partial(check_rule, points=2)


def verdicts(report):
    return {name: leaf.verdict.value for name, leaf in report.leaves.items()}


def cases(few, rest):
    """All as parameters, the rest under slow."""
    slow = [pytest.param(v, id=k, marks=pytest.mark.slow) for k, v in rest.items()]
    return [pytest.param(v, id=k) for k, v in few.items()] + slow


FEW_RIGHT = {
    "Accumulating": courses.Accumulating(3, 2),
    "ReLU": courses.ReLU(),
    "Rows": courses.Rows(),
}
OTHERS_RIGHT = {
    "Linear": courses.Linear(3, 2),
    "Softmax": courses.Softmax(),
    "Net": courses.Net(courses.Linear(3, 2), courses.Tanh()),
}


@pytest.mark.parametrize("layer", cases(FEW_RIGHT, OTHERS_RIGHT))
def test_a_right_numpy_layer_is_right(layer):
    report = FEW(from_numpy_layer(layer), X)
    assert report.verdict in (Verdict.RIGHT, Verdict.KINK), report


FEW_WRONG = {
    "MeanBias": (courses.MeanBias(3, 2), "dparams['b']"),
    "MaskedByGradient": (courses.MaskedByGradient(), "dx"),
    "FirstRow": (courses.FirstRow(), "dx"),
}
OTHERS_WRONG = {
    "ForgottenBias": (courses.ForgottenBias(3, 2), "dparams['b']"),
    "WithoutSquare": (courses.WithoutSquare(), "dx"),
    "DiagonalSoftmax": (courses.DiagonalSoftmax(), "dx"),
    "Net": (
        courses.Net(courses.Linear(3, 2), courses.Tanh(), courses.MeanBias(2, 3)),
        "dparams['layers[2].b']",
    ),
}


@pytest.mark.parametrize("case", cases(FEW_WRONG, OTHERS_WRONG))
def test_a_wrong_numpy_layer_is_wrong_at_its_leaf(case):
    layer, leaf = case
    found = verdicts(FEW(from_numpy_layer(layer), X))
    assert found.pop(leaf) == "WRONG"
    assert set(found.values()) <= {"RIGHT", "KINK"}


def test_a_layer_that_jax_can_follow_is_judged_by_autodiff():
    for layer, by in ((courses.Rows(), False), (courses.Branching(), True)):
        notes = check_rule(from_numpy_layer(layer), X[:1], points=0).notes
        assert ("differences" in " ".join(notes)) is by


def test_gradients_may_have_other_names():
    layer = courses.Linear(3, 2)
    layer.scale = np.ones(2)  # Not a parameter, if the names say so.
    assert set(from_numpy_layer(layer).init(None)) == {"W", "b", "scale"}
    rule = from_numpy_layer(layer, gradients={"W": "dW", "b": "dx"})
    assert set(rule.init(None)) == {"W", "b"}
    assert verdicts(FEW(rule, X))["dparams['b']"] == "WRONG"


def test_the_layer_is_left_as_it_is():
    layer = courses.Linear(3, 2)
    before = {k: v.copy() for k, v in vars(layer).items()}
    rule = from_numpy_layer(layer)
    y, residuals = rule.forward(rule.init(None), X)
    rule.backward(residuals, y)
    assert vars(layer).keys() == before.keys()
    for k, v in before.items():
        np.testing.assert_array_equal(getattr(layer, k), v)


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [list, lambda v: courses.Net(*v)],
    ids=["list", "Net"],
)
def test_two_activation_objects_are_right_and_one_twice_is_wrong(build):
    rng = np.random.default_rng(5)
    x, target = rng.standard_normal((2, 7)), rng.standard_normal((2, 3))
    shared = courses.lab(courses.Tanh())
    own = [*shared[:3], courses.Tanh(), shared[4]]
    wrong = []
    for layers in (own, shared):
        network = from_numpy_layer(build(layers))
        params = network.init(None)
        report = check_network(network, squared_error(), params, x, target, points=0)
        wrong.append([k for k, v in verdicts(report).items() if v == "WRONG"])
    first = "[0]['{}']" if build is list else "['layers[0].{}']"
    assert wrong == [[], [f"dparams{first.format(k)}" for k in "Wb"]]


@pytest.mark.parametrize(
    "layer,message",
    [
        ([], "layer must be at least one, got none"),
        (object(), "layer must have a method forward, got"),
        ([courses.Linear(3, 3)] * 2, "must stand once in the list, got Linear 2 times"),
    ],
)
def test_what_is_no_layer_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        from_numpy_layer(layer)


def test_a_gradient_of_no_array_is_refused():
    with pytest.raises(ValueError, match=r"must name arrays .*'W', 'b'.* got \['V'\]"):
        from_numpy_layer(courses.Linear(3, 2), gradients={"V": "dV"})


def test_writing_into_a_traced_array_is_writing_into_its_names():
    x = Traced(jnp.arange(3.0))
    same = x
    x[x > 1] = 7
    x += 1
    np.testing.assert_array_equal(raw(same), [1, 2, 8])


@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[0], np.ravel])
def test_writing_through_a_view_is_not_followed(view):
    x = Traced(jnp.ones((2, 2)))
    with pytest.raises(CannotFollow, match="through a view"):
        view(x)[...] = 0
    with pytest.raises(CannotFollow, match="through a view"):
        x[...] = 0


def test_a_numpy_function_that_jax_lacks_is_not_followed():
    with pytest.raises(CannotFollow, match="jax.numpy has no"):
        np.busday_count(Traced(jnp.ones(2)), 3)


def test_to_custom_vjp_is_differentiated_by_hand_and_comes_back():
    rule = linear(3, 2)
    params, x = random_params(rule, jax.random.key(0)), jnp.asarray(X)
    f = to_custom_vjp(rule)
    assert check_custom_vjp(f, params, x, points=2).verdict is Verdict.RIGHT
    dparams = jax.grad(lambda p: f(p, x).sum())(params)
    by_hand = rule.backward(rule.forward(params, x)[1], jnp.ones((5, 2)))[0]
    jax.tree.map(np.testing.assert_array_equal, dparams, by_hand)
    back = from_custom_vjp(f, init=rule.init)
    assert FEW(back, x).verdict is Verdict.RIGHT


def test_a_wrong_rule_is_wrong_as_custom_vjp_and_back():
    def backward(residuals, dy):
        dparams, dx = linear(3, 2).backward(residuals, dy)
        return LinearParams(dparams.weight, dy[0]), dx

    rule = linear(3, 2)
    rule = type(rule)(rule.name, rule.init, rule.forward, backward)
    back = from_custom_vjp(to_custom_vjp(rule), init=rule.init)
    found = verdicts(FEW(back, X))
    assert found["dparams.bias"] == "WRONG" and found["dx"] == "RIGHT"


def test_a_random_rule_takes_its_key_as_third_argument():
    f = to_custom_vjp(dropout(0.5))
    key, x = jax.random.key(1), jnp.ones((3, 5))
    dx = jax.grad(lambda x: f((), x, key).sum())(x)
    np.testing.assert_array_equal(dx, f((), x, jax.random.clone(key)))


def test_none_from_a_custom_vjp_is_zeros():
    @jax.custom_vjp
    def f(x, ids):
        return x * 2

    f.defvjp(lambda x, ids: (x * 2, ()), lambda r, dy: (None, None))
    rule = from_custom_vjp(f)
    _, residuals = rule.forward((), (jnp.ones(3), jnp.arange(2)))
    dx, dids = rule.backward(residuals, jnp.ones(3))[1]
    np.testing.assert_array_equal(dx, np.zeros(3))
    assert dids.dtype == jax.dtypes.float0 and dids.shape == (2,)


@pytest.mark.parametrize(
    "f,message",
    [
        (np.sin, "f must be a jax.custom_vjp function after defvjp"),
        (jax.custom_vjp(jnp.sin), "f must be a jax.custom_vjp function after defvjp"),
        (jax.custom_vjp(jnp.add, nondiff_argnums=(1,)), "no nondiff_argnums"),
    ],
)
def test_what_is_no_custom_vjp_is_refused(f, message):
    if getattr(f, "nondiff_argnums", ()):
        f.defvjp(lambda x, n: (x, ()), lambda n, r, dy: (dy,))
    with pytest.raises(ValueError, match=message):
        from_custom_vjp(f)


@pytest.fixture(scope="module")
def functions():
    """A right and a wrong torch.autograd.Function of three inputs, one of them ids."""
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Affine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, ids):
            ctx.save_for_backward(x, weight, ids)
            return (x @ weight)[ids], x.sum(0)

        @staticmethod
        def backward(ctx, dy, dsums):
            x, weight, ids = ctx.saved_tensors
            dz = torch.zeros(len(x), weight.shape[1], dtype=dy.dtype)
            dz.index_add_(0, ids, dy)
            return dz @ weight.T + dsums, x.T @ dz, None

    class Overwriting(Affine):
        @staticmethod
        def backward(ctx, dy, dsums):
            x, weight, ids = ctx.saved_tensors
            dz = torch.zeros(len(x), weight.shape[1], dtype=dy.dtype)
            dz[ids] = dy
            return dz @ weight.T + dsums, x.T @ dz, None

    class NewStyle(torch.autograd.Function):
        @staticmethod
        def forward(x, weight):
            return x @ weight

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, dy):
            x, weight = ctx.saved_tensors
            return dy @ weight.T, x.T @ dy

    return Affine, Overwriting, NewStyle


INPUTS = X, np.random.default_rng(4).standard_normal((3, 2)), np.array([0, 2, 2, 4])


def test_a_right_torch_function_is_right_and_a_wrong_one_wrong(functions):
    right, wrong, new = functions
    assert set(verdicts(FEW(from_torch_function(right), INPUTS)).values()) == {"RIGHT"}
    found = verdicts(FEW(from_torch_function(wrong), INPUTS))
    assert found == {"dx[0]": "WRONG", "dx[1]": "WRONG"}
    as_layer = from_torch_function(new, init=lambda key: X)
    report = check_rule(as_layer, INPUTS[1], params=X, points=2)
    assert verdicts(report) == {"dparams": "RIGHT", "dx": "RIGHT"}


def test_a_torch_rule_fits_check_vjp(functions):
    rule = from_torch_function(functions[2])
    report = check_vjp(
        lambda *args: rule.forward((), args),
        lambda residuals, dy: rule.backward(residuals, dy)[1],
        *INPUTS[:2],
    )
    assert report.verdict is Verdict.RIGHT, report


def test_what_is_no_torch_function_is_refused():
    pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(ValueError, match="must be a subclass of torch.autograd.Func"):
        from_torch_function(int)
