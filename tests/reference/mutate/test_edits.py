"""Single-equation edits: each kind applies somewhere, and does what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from reference.mutate.edits import Edits, walk
from reference.mutate.operators import SLIPS
from reference.mutate.slips import scan_operators


def edits_of(f, *args):
    return Edits(jax.make_jaxpr(f)(*args))


def applied(name, f, *args):
    """The first output of the last edit of that primitive and kind."""
    edits = edits_of(f, *args)
    at = {(e.primitive, e.kind): k for k, e in enumerate(edits)}
    return edits.run(at[name], jax.tree.leaves(args))[0]


A, B = np.array([0.3, 0.7, 0.2]), np.array([0.5, 0.4, 0.9])
X = np.arange(6.0).reshape(2, 3) + 1
SQUARE = np.arange(9.0).reshape(3, 3)

# Function, arguments, edit, and what it makes of the function.
CASES = [
    (jnp.subtract, (A, B), ("sub", "a - b to b - a"), B - A),
    (jnp.subtract, (A, B), ("sub", "a - b to a + b"), A + B),
    (jnp.subtract, (A, B), ("sub", "drop left"), -B),
    (jnp.subtract, (A, B), ("sub", "x 1.001"), 1.001 * (A - B)),
    (jnp.add, (A, B), ("add", "drop right"), A),
    (jnp.add, (A, B), ("add", "drop left"), B),
    (jnp.multiply, (A, B), ("mul", "a * b to a + b"), A + B),
    (jnp.divide, (A, B), ("div", "a / b to b / a"), B / A),
    (jnp.divide, (A, B), ("div", "a / b to a * b"), A * B),
    (jnp.power, (A, B), ("pow", "a ** b to a ** (b + 1)"), A ** (B + 1)),
    (lambda a: a**3, (A,), ("integer_pow", "power -1"), A**2),
    (jnp.negative, (A,), ("neg", "drop"), A),
    (jnp.exp, (A,), ("exp", "drop"), A),
    (jnp.tanh, (A,), ("tanh", "to logistic"), 1 / (1 + np.exp(-A))),
    (jnp.cos, (A,), ("cos", "to sin"), np.sin(A)),
    (lax.rsqrt, (A,), ("rsqrt", "to sqrt"), np.sqrt(A)),
    (jnp.square, (A,), ("square", "to 2"), 2 * A),
    (jnp.maximum, (A, B), ("max", "max(a, b) to min(a, b)"), np.minimum(A, B)),
    (lambda x: x.sum(1), (X,), ("reduce_sum", "sum to mean"), X.mean(1)),
    (lambda x: x.sum(1), (X,), ("reduce_sum", "sum to first"), X[:, 0]),
    (lambda x: x.sum(1), (X,), ("reduce_sum", "last dropped"), X[:, :-1].sum(1)),
    (lambda x: x.sum(1), (X,), ("reduce_sum", "sum to count"), [3, 3]),
    (lambda x: x.max(1), (X,), ("reduce_max", "max to min"), X.min(1)),
    (lambda x: x.argmax(1), (X,), ("argmax", "argmax to argmin"), [0, 0]),
    (lambda a: a > 0.3, (A,), ("gt", "a > b to a >= b"), A >= 0.3),
    (lambda a: a == 0.3, (A,), ("eq", "a == b to a != b"), A != 0.3),
    (lambda a: (a > 0.2) & (a < 0.5), (A,), ("and", "drop left"), A < 0.5),
    (
        lambda a: lax.select(a > 0.25, a, -a),
        (A,),
        ("select_n", "branches swapped"),
        np.where(A > 0.25, -A, A),
    ),
    (
        lambda a: lax.select(a > 0.25, a, -a),
        (A,),
        ("select_n", "true branch always"),
        A,
    ),
    (jnp.cumsum, (A,), ("cumsum", "reversed"), A[::-1].cumsum()[::-1]),
    (jnp.cumsum, (A,), ("cumsum", "drop"), A),
    (jnp.matmul, (X, SQUARE), ("dot_general", "transpose right"), X @ SQUARE.T),
    (jnp.transpose, (SQUARE,), ("transpose", "drop"), SQUARE),
    (jnp.flip, (A,), ("rev", "drop"), A),
    (
        lambda a: jnp.zeros(2).at[np.array([1, 1, 0])].add(a),
        (A,),
        ("scatter-add", "= for +="),
        [A[2], A[1]],
    ),
    (
        lambda a: jnp.ones(2).at[np.array([1, 0])].set(a[:2]),
        (A,),
        ("scatter", "+= for ="),
        [A[1] + 1, A[0] + 1],
    ),
    (lambda a: a[np.array([0, 1])], (A,), ("gather", "indices + 1"), A[1:]),
    (
        lambda a: lax.dynamic_slice(a, (np.int32(0),), (2,)),
        (A,),
        ("dynamic_slice", "indices + 1"),
        A[1:],
    ),
    (
        lambda a, b: jnp.concatenate([a, b]),
        (A, B),
        ("concatenate", "parts swapped"),
        np.concatenate([B, A]),
    ),
    (lambda a: jnp.split(a, 3)[0], (A,), ("split", "parts swapped"), A[1:2]),
    (
        lambda a: jnp.pad(a, (1, 0)),
        (A,),
        ("pad", "padding swapped"),
        np.pad(A, (0, 1)),
    ),
    (lambda a: a[:2], (A,), ("slice", "slice + 1"), A[1:]),
    (lambda a: lax.clamp(0.25, a, 0.6), (A,), ("clamp", "drop"), A),
    (
        lambda a: jnp.convolve(a, np.array([1.0, 2.0]), mode="valid"),
        (A,),
        ("conv_general_dilated", "kernel flipped"),
        np.convolve(A, [2.0, 1.0], mode="valid"),
    ),
    (
        lambda a: lax.cond(a[0] > 0, jnp.sin, jnp.cos, a),
        (A,),
        ("cond", "branch 0"),
        np.cos(A),
    ),
]


@pytest.mark.parametrize(
    ("f", "args", "edit", "expected"), CASES, ids=[" ".join(c[2]) for c in CASES]
)
def test_an_edit_does_what_it_says(f, args, edit, expected):
    np.testing.assert_allclose(applied(edit, f, *args), expected, rtol=1e-15)


def steps(reverse=False):
    """The running state of a recursion, one a step."""

    def f(start, xs):
        def step(state, x):
            return 2 * state + x, state

        return lax.scan(step, start, xs, reverse=reverse)[1]

    return f


def test_a_recursion_is_edited_as_a_whole():
    def of(kind):
        return applied(("scan", kind), steps(), 1.0, A)

    np.testing.assert_array_equal(of("start 0 zero"), steps()(0.0, A))
    np.testing.assert_array_equal(of("steps reversed"), steps()(1.0, A[::-1]))
    short = np.array(steps()(1.0, A)) * [1, 1, 0]
    np.testing.assert_array_equal(of("step dropped"), short)


def test_a_recursion_is_edited_inside():
    without = lax.scan(lambda s, x: (s + x, s), 1.0, A)[1]
    found = applied(("mul", "drop left"), steps(), 1.0, A)
    np.testing.assert_array_equal(found, without)


def test_the_last_step_of_a_reversed_recursion_is_the_first_entry():
    found = applied(("scan", "step dropped"), steps(reverse=True), 1.0, A)
    assert found[0] == 0 and found[1] != 0


def test_every_body_is_reached():
    def f(a):
        a = lax.while_loop(lambda s: s.sum() < 9, lambda s: jnp.exp(s), a)
        a = lax.cond(a[0] > 0, jnp.sin, jnp.cos, a)
        return jax.jit(jnp.tanh)(jax.checkpoint(jnp.log)(a))

    primitives = {e.primitive for e in edits_of(f, A)}
    assert {"exp", "lt", "reduce_sum", "sin", "cos", "tanh", "log"} <= primitives


def test_a_loop_may_be_edited_in_its_condition():
    def f(a):
        return lax.while_loop(lambda s: s < 8.0, lambda s: 2 * s, a)

    edits = edits_of(f, 1.0)
    at = [e.kind for e in edits].index("a < b to a <= b")
    assert float(f(1.0)) == 8.0 and float(edits.run(at, [1.0])[0]) == 16.0


def everything(a, x):
    y = steps()(a.sum(), a) * jnp.where(a > 0.25, a, 0.0)
    return y + jax.jit(jnp.tanh)(x).sum(0), x.T @ y[:2]


def test_all_at_once_are_the_same_as_one_at_a_time():
    edits = edits_of(everything, A, X)
    together = jax.jit(edits.run_all)([A, X])
    for k in range(0, len(edits), 7):
        for y, one in zip(together, edits.run(k, [A, X])):
            np.testing.assert_allclose(y[k], one, rtol=1e-14)


def test_no_edit_is_the_function_itself():
    edits = edits_of(everything, A, X)
    for y, z in zip(edits.run(-1, [A, X]), everything(A, X)):
        np.testing.assert_array_equal(y, z)
    traced = jax.jit(edits.run)(-1, [A, X])
    for y, z in zip(traced, everything(A, X)):
        np.testing.assert_allclose(y, z, rtol=1e-15)


def test_a_selection_keeps_its_edits():
    edits = edits_of(everything, A, X)
    few = Edits(edits.closed, only=edits[3:5])
    assert list(few) == edits[3:5]
    for y, z in zip(few.run_all([A, X]), edits.run_all([A, X])):
        np.testing.assert_array_equal(y, z[3:5])


def test_edits_name_the_line():
    (edit, *_) = edits_of(lambda a: jnp.sin(a), A)
    assert edit.source.startswith("test_edits.py:")
    assert edit.code == "(edit, *_) = edits_of(lambda a: jnp.sin(a), A)"
    assert str(edit) == f"{edit.source}: `sin(a)` becomes `a`"


def test_the_body_of_a_library_function_is_named_by_its_call():
    def first(a):
        return jnp.where(a > 0.25, a, 0.5)

    def second(a):
        return jnp.where(a > 0.35, a, 0.5)

    edits_of(first, A)  # Traces the body of jnp.where for the first time.
    lines = {e.code for e in edits_of(second, A)}
    assert lines == {"return jnp.where(a > 0.35, a, 0.5)"}


def test_a_body_called_twice_is_edited_at_each_call():
    @jax.jit
    def double(a):
        return 2 * a

    edits = edits_of(lambda a: double(double(a)), 1.0)
    halved = [e for e in edits if e.kind == "drop left"]
    assert [e.occurrence for e in halved] == [0, 1]


def test_an_edit_is_found_again_where_jax_hides_the_lines():
    """In the backward of a custom_vjp every equation has the line of the call."""
    (swap,) = [e for e in edits_of(jnp.subtract, A, B) if e.kind == "a - b to b - a"]

    def backward(x, dy):
        closed = jax.make_jaxpr(jnp.subtract)(x, dy)
        (edit,) = Edits(closed, only=[swap])
        assert edit == swap and edit.source != swap.source
        return tuple(Edits(closed, only=[swap]).run(0, [x, dy]))

    f = jax.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), x), backward)
    np.testing.assert_array_equal(jax.vjp(f, A)[1](B)[0], B - A)


def test_what_cannot_be_written_is_no_edit():
    kinds = {(e.primitive, e.kind) for e in edits_of(lambda x: x.T @ x, X)}
    assert ("transpose", "drop") not in kinds
    assert not any(k.startswith("transpose ") for _, k in kinds)


def test_every_kind_has_a_case():
    functions = [(f, args) for f, args, *_ in CASES] + [
        (steps(), (1.0, A)),
        (lambda a: jnp.minimum(a, 0.3), (A,)),
        (lambda x: x.min(1), (X,)),
        (lambda x: x.prod(1), (X,)),
        (lambda x: (x > 2).any(1), (X,)),
        (lambda x: (x > 2).all(1), (X,)),
        (lambda x: x.argmin(1), (X,)),
        (lambda a: ~((a >= 0.3) | (a != 0.7)) & ~((a < 0.5) | (a <= 0.1)), (A,)),
        (lambda a: a[1:], (A,)),
        (jnp.matmul, (SQUARE, A)),
        (jnp.cumprod, (A,)),
        (lax.cummax, (A,)),
        (lax.cummin, (A,)),
        (lax.cumlogsumexp, (A,)),
        (lambda a, b: lax.dynamic_update_slice(a, b[:1], (np.int32(1),)), (A, B)),
        (lambda a: jax.vjp(lambda v: v * v, a)[1](a), (A,)),  # add_any
    ]
    unary = set(SLIPS) & set(vars(lax))
    functions += [
        (getattr(lax, name), (A + 1.2 * (name == "acosh"),))
        for name in sorted(unary)
        if [o.kind for o in SLIPS[name]][:1] == ["drop"]
        and name not in ("neg", "rev", "transpose", "clamp", "dynamic_update_slice")
    ]
    seen = {(e.primitive, e.kind) for f, args in functions for e in edits_of(f, *args)}
    expected = {(name, o.kind) for name, found in SLIPS.items() for o in found}
    assert expected - seen == set()


def test_walk_gives_each_equation_a_path_of_its_own():
    closed = jax.make_jaxpr(everything)(A, X)
    paths = [path for path, _, _ in walk(closed.jaxpr)]
    assert len(set(paths)) == len(paths)
    scan = next(e for _, e, _ in walk(closed.jaxpr) if e.primitive.name == "scan")
    assert [o.kind for o in scan_operators(scan)] == [
        "steps reversed",
        "step dropped",
        "start 0 zero",
    ]
