"""Hidden state, randomness and writes: each saboteur is named by its clause alone."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.contract import behaviour_findings
from reference.contract.case import watched_randomness
from tests.reference.contract import rules as r


class LastInput:
    """The activation of the lesson's lab: it keeps its input in itself."""

    def forward(self, x):
        self.y = x * x
        self.x = x
        return self.y, ()

    def backward(self, residuals, dy):
        del residuals
        return (2 * self.x * dy,)


class Counter:
    """Right on the first call, too large on later ones."""

    def __init__(self):
        self.calls = 0

    def backward(self, y, dy):
        self.calls += 1
        return ((1 - y * y) * dy * self.calls,)


class Memo:
    """Computes a constant once and keeps it, as a tracer if it was traced."""

    def __init__(self):
        self.constant = None

    def forward(self, x):
        if self.constant is None:
            self.constant = jnp.arange(7.0) + 1
        return x * self.constant[None], self.constant

    def backward(self, constant, dy):
        return (dy * constant[None],)


def noisy(x):
    return np.asarray(np.random.standard_normal(x.shape)) * 1e-3 + x, ()


def seeding(x):
    np.random.seed(0)
    return x, ()


def seeding_python(x):
    random.seed(0)
    return x * 1, ()


def drawing_from_python(x):
    return x + 1e-3 * random.random(), ()


def drawing_in_vain(x):
    """As beartype does, at every call of a function that it checks."""
    random.getrandbits(32)
    return x * 1, ()


def as_if_contiguous(x, dy):
    """Reads the buffer of dy, whatever its strides."""
    buffer = np.lib.stride_tricks.as_strided(dy, (dy.size,), (dy.itemsize,))
    return (buffer.reshape(dy.shape).copy(),)


class ById:
    """Finds what it kept by the identity of a residual."""

    def __init__(self):
        self.kept, self.known = [], {}

    def forward(self, x):
        y = np.tanh(x)
        self.kept.append(y)
        self.known[id(y)] = 1 - y * y
        return y.copy(), y

    def backward(self, y, dy):
        return (self.known.get(id(y), 0 * y) * dy,)


def normalise_in_place(x):
    x -= x.mean()
    return x, ()


def write_into_dy(y, dy):
    dy *= 1 - y * y
    return (dy,)


def write_into_residuals(y, dy):
    y *= y
    return ((1 - y) * dy,)


def pass_on(residuals, dy):
    return (dy,)


@pytest.mark.parametrize("traceable", [True, False])
@pytest.mark.parametrize(
    ("check", "make"),
    [
        ("stale", lambda: (LastInput().forward, None)),
        ("repeatability", lambda: (r.tanh_forward, Counter().backward)),
        ("randomness", lambda: (noisy, pass_on)),
        ("purity", lambda: (seeding, pass_on)),
        ("purity", lambda: (seeding_python, pass_on)),
        ("randomness", lambda: (drawing_from_python, pass_on)),
    ],
)
def test_hidden_state_is_named(check, make, traceable):
    forward, backward = make()
    backward = backward or forward.__self__.backward
    x = r.normal(5, 7) if traceable else np.array(r.normal(5, 7))
    findings = r.judge(r.subject(forward, backward, x, traceable=traceable))
    assert r.fatal(findings) == {check}
    assert len([f for f in findings if f.fatal]) == 1


@pytest.mark.parametrize("traceable", [True, False])
def test_a_draw_that_changes_nothing_is_beartypes(traceable):
    s = r.subject(drawing_in_vain, pass_on, np.ones((3, 2)), traceable=traceable)
    assert not r.fatal(r.judge(s, np.ones((3, 2))))


@pytest.mark.parametrize(
    ("check", "make"),
    [
        ("layout", lambda: (lambda x: (x * 1, ()), as_if_contiguous)),
        ("copies", lambda: (ById().forward, None)),
    ],
)
def test_code_that_reads_memory_instead_of_values_is_named(check, make):
    forward, backward = make()
    backward = backward or forward.__self__.backward
    s = r.subject(forward, backward, np.ones((3, 2)), traceable=False)
    assert r.fatal(r.judge(s, np.array(r.normal(3, 2)))) == {check}


def test_sums_in_another_order_are_no_other_layout():
    """Under a constant dy a softmax's cotangent is nothing but rounding."""

    def forward(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True), e / e.sum(-1, keepdims=True)

    def backward(y, dy):
        rows = [(np.diag(p) - np.outer(p, p)) @ d for p, d in zip(y, dy)]
        return (np.stack(rows),)

    x = np.array(r.normal(3, 4))
    s = r.subject(forward, backward, x, traceable=False)
    assert not r.fatal(r.judge(s, np.array(r.normal(3, 4, seed=1))))


def test_a_tracer_that_outlives_its_trace_is_named():
    memo = Memo()
    s = r.subject(memo.forward, memo.backward, r.normal(5, 7))
    assert r.fatal(r.judge(s, np.ones((5, 7)))) == {"leak"}


@pytest.mark.parametrize(
    ("forward", "backward", "words"),
    [
        (normalise_in_place, pass_on, "forward writes into its arguments"),
        (r.numpy_tanh_forward, write_into_dy, "backward writes into dy"),
        (r.numpy_tanh_forward, write_into_residuals, "backward writes into residuals"),
    ],
)
def test_writing_into_an_input_is_named(forward, backward, words):
    x, dy = np.array(r.normal(5)), np.array(r.normal(5, seed=1))
    before = x.copy(), dy.copy()
    s = r.subject(forward, backward, x, traceable=False)
    (finding,) = r.judge(s, dy)
    assert (finding.check, finding.fatal) == ("mutation", True)
    assert words in finding.sentence
    assert np.array_equal(x, before[0]) and np.array_equal(dy, before[1])


def test_code_that_only_refuses_read_only_arrays_is_no_mutation():
    def forward(x):
        if not x.flags.writeable:
            raise ValueError("buffer source array is read-only")
        return r.numpy_tanh_forward(x)

    s = r.subject(forward, r.numpy_tanh_backward, np.ones(3), traceable=False)
    assert not r.judge(s, np.ones(3))


def test_views_among_the_residuals_become_writable_again():
    def forward(x):
        return x.T.copy(), (x.T, x)

    s = r.subject(
        forward, lambda _, dy: (dy.T.copy(),), np.ones((2, 3)), traceable=False
    )
    assert not r.judge(s, np.ones((3, 2)))


def test_pythons_generator_is_as_before():
    state = random.getstate()
    with watched_randomness() as watch:
        watch.over(r.subject(seeding_python, pass_on)).forward(np.ones(2))
    assert random.getstate() == state


def test_the_global_generator_is_as_before():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    behaviour_findings(
        r.subject(noisy, pass_on, np.ones(3), traceable=False), np.ones(3)
    )
    assert np.array_equal(np.random.get_state()[1], before)


def test_a_key_as_argument_is_not_random():
    def forward(x, key):
        mask = jax.random.bernoulli(key, 0.5, x.shape)
        return jnp.where(mask, x, 0.0), mask

    def backward(mask, dy):
        return jnp.where(mask, dy, 0.0), None

    s = r.subject(forward, backward, r.normal(5, 7), jax.random.key(3))
    assert not r.judge(s, np.ones((5, 7)))


def test_a_residual_that_is_not_used_is_a_note_with_its_bytes():
    def forward(x):
        y = jnp.tanh(x)
        return y, {"y": y, "kept": x * x, "shape_only": jnp.zeros((3, 5))}

    def backward(residuals, dy):
        return ((1 - residuals["y"] ** 2) * dy + 0 * residuals["shape_only"].size,)

    x = r.normal(5, 7, dtype=jnp.float32)
    findings = r.judge(r.subject(forward, backward, x))
    assert [(f.check, f.fatal) for f in findings] == [("unused residual", False)] * 2
    assert "residuals['kept'] (140 bytes)" in findings[0].sentence
    assert "residuals['shape_only'] (120 bytes)" in findings[1].sentence
