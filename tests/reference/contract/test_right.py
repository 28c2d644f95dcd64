"""Rules of many shapes and dtypes that keep the contract: none is accused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.contract.finding import Finding
from reference.registry import LOSSES, RULES
from tests.reference.contract import rules as r

IDS = jnp.array([1, 3, 1, 6])


def power(exponent):
    """A closure over a hyperparameter."""
    return (
        lambda x: (x**exponent, x),
        lambda x, dy: (exponent * x ** (exponent - 1) * dy,),
    )


def scan_forward(w, xs):
    def step(h, x):
        h = jnp.tanh(w * h + x)
        return h, h

    h, hs = jax.lax.scan(step, jnp.zeros_like(xs[0]), xs)
    return h, (w, hs)


def scan_backward(residuals, dh):
    w, hs = residuals
    before = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]])

    def step(carry, h_and_before):
        dh, dw = carry
        h, last = h_and_before
        dz = (1 - h * h) * dh
        return (w * dz, dw + jnp.sum(last * dz)), dz

    (_, dw), dxs = jax.lax.scan(
        step, (dh, jnp.zeros_like(w)), (hs, before), reverse=True
    )
    return dw, dxs


def cond_forward(x):
    return jax.lax.cond(jnp.sum(x) > 0, lambda v: 2 * v, lambda v: 3 * v, x), x


def cond_backward(x, dy):
    factor = jnp.where(jnp.sum(x) > 0, 2, 3)
    return (factor.astype(dy.dtype) * dy,)


def static_forward(x):
    return jnp.sum(x, axis=1), {"shape": x.shape, "nothing": None, "scale": 2.0}


def static_backward(residuals, dy):
    scale = residuals["scale"] / 2
    return (jnp.broadcast_to(scale * dy[:, None], (5, 7)),)


def float0_backward(residuals, dy):
    dtable, _ = r.embedding_backward(residuals, dy)
    return dtable, np.zeros(IDS.shape, jax.dtypes.float0)


def integer_zero_backward(residuals, dy):
    dtable, _ = r.embedding_backward(residuals, dy)
    return dtable, jnp.zeros_like(IDS)


def jitted(f):
    return jax.jit(f)


def tree_forward(p, x):
    return {"y": x * p["scale"][None] + p["shift"][None]}, (p, x)


def tree_backward(residuals, dy):
    p, x = residuals
    dy = dy["y"]
    dscale, dshift = jnp.sum(dy * x, axis=0), jnp.sum(dy, axis=0)
    return {"scale": dscale, "shift": dshift, "buffer": None}, dy * p["scale"][None]


def max_forward(x):
    y = jnp.max(x)
    return y, (x == y)


def max_backward(mask, dy):
    first = jnp.arange(mask.size) == jnp.argmax(mask)
    return (jnp.where(first, dy, jnp.zeros_like(dy)),)


def numpy_linear_forward(w, x):
    return x @ w, (w, x)


def complex_forward(z):
    return jnp.abs(z) ** 2, z


def complex_backward(z, dy):
    return (2 * dy * jnp.conj(z),)


CASES = {
    "tanh": (r.tanh_forward, r.tanh_backward, (r.normal(5, 7),)),
    "linear": (
        r.linear_forward,
        r.linear_backward,
        (r.normal(7, 3), r.normal(5, 7, seed=1)),
    ),
    "softmax": (r.softmax_forward, r.softmax_backward, (r.normal(3, 5),)),
    "softmax_saturated": (
        r.softmax_forward,
        r.softmax_backward,
        (30 * r.normal(3, 5),),
    ),
    "norm": (r.norm_forward, r.norm_backward, (r.normal(3, 7),)),
    "norm_of_two": (r.norm_forward, r.norm_backward, (r.normal(3, 2),)),
    "norm_of_equal_rows": (r.norm_forward, r.norm_backward, (jnp.ones((3, 5)),)),
    "norm_far": (r.norm_forward, r.norm_backward, (1e3 + r.normal(3, 7),)),
    "mean_square": (r.mean_square_forward, r.mean_square_backward, (r.normal(5),)),
    "embedding": (r.embedding_forward, r.embedding_backward, (r.normal(7, 3), IDS)),
    "embedding_float0": (r.embedding_forward, float0_backward, (r.normal(7, 3), IDS)),
    "embedding_integer_zeros": (
        r.embedding_forward,
        integer_zero_backward,
        (r.normal(7, 3), IDS),
    ),
    "two_outputs": (r.two_outputs_forward, r.two_outputs_backward, (r.normal(5),)),
    "integer_output": (r.top_forward, r.top_backward, (r.normal(5),)),
    "float32_accumulator": (r.mixed_forward, r.mixed_backward, (r.normal(5, 7),)),
    "closure": (*power(3), (r.normal(5),)),
    "scan": (scan_forward, scan_backward, (r.normal(), r.normal(5, 3, seed=1))),
    "cond": (cond_forward, cond_backward, (r.normal(5),)),
    "static_residuals": (static_forward, static_backward, (r.normal(5, 7),)),
    "jitted": (
        jitted(r.softmax_forward),
        jitted(r.softmax_backward),
        (r.normal(3, 5),),
    ),
    "tree": (
        tree_forward,
        tree_backward,
        (
            {"scale": r.normal(7), "shift": r.normal(7), "buffer": r.normal(2)},
            r.normal(5, 7, seed=1),
        ),
    ),
    "tie": (max_forward, max_backward, (jnp.array([1.0, 3.0, 3.0, -1.0]),)),
    "zeros": (r.tanh_forward, r.tanh_backward, (jnp.zeros(5),)),
    "scalar": (r.tanh_forward, r.tanh_backward, (r.normal(),)),
    "tiny": (r.tanh_forward, r.tanh_backward, (1e-30 * r.normal(5),)),
    "complex": (
        complex_forward,
        complex_backward,
        (jnp.asarray(np.array(r.normal(5)) + 1j),),
    ),
}


def in_dtype(args, dtype):
    """The float leaves in another dtype."""

    def cast(v):
        return v.astype(dtype) if jnp.issubdtype(v.dtype, jnp.floating) else v

    return jax.tree.map(cast, args)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_a_right_rule_is_not_accused(name, dtype):
    forward, backward, args = CASES[name]
    s = r.subject(forward, backward, *in_dtype(args, jnp.dtype(dtype)))
    assert not r.fatal(r.judge(s))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_right_numpy_code_is_not_accused(dtype):
    w, x = (np.array(v, dtype) for v in (r.normal(7, 3), r.normal(5, 7, seed=1)))
    s = r.subject(numpy_linear_forward, r.linear_backward, w, x, traceable=False)
    assert not r.judge(s)
    s = r.subject(
        r.numpy_tanh_forward, r.numpy_tanh_backward, x.ravel(), traceable=False
    )
    assert not r.judge(s)


def test_python_numbers_and_numpy_arrays_may_be_arguments():
    s = r.subject(
        lambda a, x: (a * x, (a, x)),
        lambda residuals, dy: (
            jnp.sum(dy * residuals[1]).astype(jnp.result_type(residuals[0])),
            residuals[0] * dy,
        ),
        2.0,
        np.array(r.normal(5)),
    )
    assert not r.fatal(r.judge(s))


def test_a_rule_that_refuses_float64_is_judged_as_it_is():
    def forward(x):
        if x.dtype != jnp.float32:
            raise ValueError("float32 only")
        return r.tanh_forward(x)

    s = r.subject(forward, r.tanh_backward, r.normal(5, dtype=jnp.float32))
    assert not r.judge(s)
    s = r.subject(
        forward,
        lambda y, dy: (jnp.clip(dy, -1, 1),),
        r.normal(5, dtype=jnp.float32),
    )
    assert r.fatal(r.judge(s)) == {"homogeneity"}


def subjects():
    """Every entry of the registry at its first input."""
    for name, entry in {**RULES, **LOSSES}.items():
        yield pytest.param(entry, id=name)


@pytest.mark.slow  # tests/test_registry.py judges them by default, contract included.
@pytest.mark.parametrize("entry", [*subjects()])
def test_no_registered_rule_is_accused(entry, keys):
    draw = next(iter(entry.inputs.values()))
    if hasattr(entry, "loss"):
        args, rule, frozen = draw(next(keys)), entry.loss, (1,)
    else:
        args, rule, frozen = (entry.draw_params(next(keys)), draw(next(keys))), None, ()
    rule = rule or entry.rule
    if getattr(rule, "random", False):
        args = (*args, next(keys))
    n, is_loss = len(args), hasattr(entry, "loss")

    def backward(residuals, dy):
        cotangents = rule.backward(residuals, dy)
        given = (cotangents,) if is_loss else tuple(cotangents)
        return given + (None,) * (n - len(given))

    s = r.subject(rule.forward, backward, *args, frozen=frozen)
    findings: list[Finding] = r.judge(s)
    assert not r.fatal(findings), findings
