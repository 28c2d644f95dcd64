"""What jit, vmap and custom_vjp must not change, and the traces that prove it."""

import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.contract import behaviour_findings
from reference.contract.program import canonical, is_opaque, narrowest_epsilon, trace
from tests.reference.contract import rules as r


def only_when_traced(y, dy):
    factor = 2 if isinstance(dy, jax.core.Tracer) else 1
    return (factor * (1 - y * y) * dy,)


def forward_only_when_traced(x):
    y = jnp.tanh(x)
    return (y + 1 if isinstance(x, jax.core.Tracer) else y), y


def host(f, out):
    return lambda *inputs: jax.pure_callback(
        f, jax.ShapeDtypeStruct(out.shape, out.dtype), *inputs, vmap_method="sequential"
    )


def wrong_when_batched(y, dy):
    """A callback that claims to be vectorised and sums over all it is given."""

    def centre(v):
        v = np.asarray(v)
        return v - v.mean()

    like = jax.ShapeDtypeStruct(dy.shape, dy.dtype)
    return (jax.pure_callback(centre, like, dy, vmap_method="expand_dims"),)


def by_custom_vjp_only(residuals, dy):
    """A static residual comes back from jax.custom_vjp as an array."""
    y, scale = residuals
    return ((1 - y * y) * dy * (1 if type(scale) is float else 2),)


def centre_forward(x):
    return x - jnp.mean(x), x


@pytest.mark.parametrize(
    ("check", "forward", "backward"),
    [
        ("jit", r.tanh_forward, only_when_traced),
        ("primal", forward_only_when_traced, r.tanh_backward),
        ("vmap", centre_forward, wrong_when_batched),
        ("custom_vjp", lambda x: (jnp.tanh(x), (jnp.tanh(x), 1.0)), by_custom_vjp_only),
    ],
)
def test_each_transformation_has_a_saboteur(check, forward, backward):
    s = r.subject(forward, backward, r.normal(5))
    findings = r.judge(s, np.array(r.normal(5, seed=7)))
    assert r.fatal(findings) == {check}


def test_forward_must_compute_the_function_it_is_for():
    s = r.subject(
        r.tanh_forward, r.tanh_backward, r.normal(5), primal=lambda x: jnp.tanh(2 * x)
    )
    assert r.fatal(r.judge(s)) == {"primal"}
    s = r.subject(
        r.softmax_forward,
        r.softmax_backward,
        r.normal(5),
        primal=lambda x: jax.nn.softmax(x),
    )
    assert not r.judge(s)


def test_a_static_residual_is_a_note():
    def forward(x):
        return jnp.sum(x, axis=0), (x, "mean", None, 3)

    def backward(residuals, dy):
        x, mode, none, n = residuals
        assert (mode, none, n) == ("mean", None, 3)
        return (jnp.broadcast_to(dy[None], x.shape),)

    findings = r.judge(r.subject(forward, backward, r.normal(5, 7)), np.ones(7))
    assert not r.fatal(findings)
    assert "custom_vjp" in {f.check for f in findings}


def test_a_callback_that_does_not_batch_is_a_note():
    def forward(x):
        y = jax.pure_callback(np.tanh, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        return y, y

    findings = r.judge(
        r.subject(forward, r.tanh_backward, r.normal(5)), np.array(r.normal(5, seed=7))
    )
    assert [(f.check, f.fatal) for f in findings] == [("vmap", False)]


def test_a_callback_that_batches_is_right():
    def forward(x):
        y = host(np.tanh, x)(x)
        return y, y

    s = r.subject(forward, r.tanh_backward, r.normal(5))
    assert not r.judge(s, np.array(r.normal(5, seed=7)))


def test_only_tracers_may_ask_for_values():
    def forward(x):
        return (x if x[0] < 100 else -x), x

    s = r.subject(forward, lambda x, dy: (dy,), r.normal(5))
    assert not r.judge(s)


def test_the_configuration_is_as_before_also_when_the_rule_raises():
    def raising(x, dy):
        raise RuntimeError("no")

    before = jax.config.values.copy()
    for backward in (r.tanh_backward, raising):
        s = r.subject(r.tanh_forward, backward, r.normal(5))
        try:
            behaviour_findings(s, np.ones(5))
        except RuntimeError:
            pass
        assert jax.config.values == before


def test_a_second_judgement_traces_nothing():
    calls = []

    def forward(x):
        calls.append(1)
        return r.tanh_forward(x)

    s = r.subject(forward, r.tanh_backward, r.normal(5))
    r.judge(s, np.ones(5))
    n = len(calls)
    other = r.subject(forward, r.tanh_backward, r.normal(5, seed=3))
    assert not r.judge(other, np.ones(5))
    assert len(calls) == n
    r.judge(r.subject(forward, r.tanh_backward, r.normal(7)), np.ones(7))
    assert len(calls) > n


def test_programs_differ_where_they_compute_something_else():
    x = jnp.arange(3.0)
    same = [
        lambda x: jnp.where(x > 0, 2 * x, x),
        lambda y: jnp.where(y > 0, 2 * y, y),
    ]
    others = [
        lambda x: jnp.where(x > 0, 3 * x, x),
        lambda x: jnp.where(x > 0, x, 2 * x),
        lambda x: jnp.where(x < 0, 2 * x, x),
        lambda x: jnp.where(x > 0, 2 * x, x * np.arange(3.0)),
    ]
    first, second = (canonical(trace(f, x)) for f in same)
    assert first == second
    assert all(canonical(trace(f, x)) != first for f in others)
    constants = [
        canonical(trace(lambda x, c=c: x * c, x)) for c in (np.ones(3), np.zeros(3))
    ]
    assert constants[0] != constants[1]


def test_what_does_not_reach_an_output_does_not_count():
    def f(x):
        return [2 * x, jnp.sin(x)]

    x = jnp.arange(3.0)
    alone = canonical(trace(lambda x: [2 * x], x))
    assert canonical(trace(f, x), slice(0, 1)) == alone
    assert canonical(trace(f, x), slice(1, 2)) != alone


def test_the_narrowest_type_is_found_inside_nested_programs():
    def f(x):
        return jax.jit(lambda v: v.astype(jnp.bfloat16))(x).astype(x.dtype)

    x = jnp.arange(3.0)
    assert narrowest_epsilon(trace(f, x)) == 2.0**-7
    assert narrowest_epsilon(trace(lambda x: 2 * x, x)) == 2.0**-52
    assert not is_opaque(trace(f, x))
    assert is_opaque(trace(jax.jit(lambda x: host(np.tanh, x)(x)), x))


def test_arguments_are_batched_one_by_one():
    def rows(w, x):
        """Takes the number of rows from w, and repeats them where x has more."""
        products = [w[i] * x[i % len(x)] for i in range(len(w))]
        return np.resize(products, np.broadcast_shapes(w.shape, x.shape))

    def product(rows):
        def call(w, x):
            like = jax.ShapeDtypeStruct(w.shape, w.dtype)
            return jax.pure_callback(rows, like, w, x, vmap_method="expand_dims")

        return call

    def squares(rows):
        def backward(residuals, dy):
            w, x = residuals
            p = product(rows)(w, x)
            return p * x * dy, p * w * dy

        def forward(w, x):
            return (w * x) ** 2 / 2, (w, x)

        return r.subject(forward, backward, r.normal(5), r.normal(5, seed=3))

    dy = np.array(r.normal(5, seed=7))
    (finding,) = r.judge(squares(lambda w, x: rows(*map(np.asarray, (w, x)))), dy)
    assert finding.fatal and "over argument 1 alone" in finding.sentence
    assert not r.judge(squares(lambda w, x: np.asarray(w) * np.asarray(x)), dy)


@pytest.mark.parametrize(
    "forward,backward,args",
    [
        (r.tanh_forward, r.tanh_backward, (r.normal(5),)),
        (r.linear_forward, r.linear_backward, (r.normal(5, 3), r.normal(2, 5))),
        (r.norm_forward, r.norm_backward, (r.normal(3, 5),)),
    ],
)
def test_residuals_and_dy_may_be_donated(forward, backward, args):
    y, residuals = jax.jit(forward)(*args)
    dy = jnp.asarray(r.normal(*y.shape, seed=7))
    kept = jax.jit(backward)(residuals, dy)
    given = jax.tree.map(lambda v: v.copy(), (residuals, dy))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Some donated buffers were not usable")
        donated = jax.jit(backward, donate_argnums=(0, 1))(*given)
    chex.assert_trees_all_equal(donated, kept)
    assert any(v.is_deleted() for v in jax.tree.leaves(given))
