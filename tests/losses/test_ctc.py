"""CTC against optax, torch and the sum over all alignments."""

from itertools import groupby, product

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from purefw.losses.ctc import CTCTarget, ctc
from reference import chance
from tests.losses.compare import gradient, jitted, noise, torched

UNITS = 256  # Sums of logarithms over 11 frames; worst measured: 49.

# Distinct, repeated and no labels; frames to spare and just enough; all kinds padded.
LABELS = jnp.array(
    [[1, 2, 3, 4], [2, 2, 1, 1], [3, 3, 3, 0], [1, 0, 0, 0], [4, 2, 1, 3]]
)
FRAMES, LENGTHS = jnp.array([11, 6, 7, 1, 4]), jnp.array([4, 4, 3, 0, 4])
TARGET = CTCTarget(LABELS, FRAMES, LENGTHS)


@pytest.fixture
def logits(keys):
    return 2 * chance.normal(next(keys), (5, 11, 5))


def test_loss_and_gradient_are_those_of_torch(logits, torch):
    for reduction in ("mean", "sum"):
        v, d = jitted(ctc(reduction))(logits, TARGET)
        z = torched(torch, logits, requires_grad=True)
        rows = torch.nn.functional.ctc_loss(
            torch.log_softmax(z, dim=2).transpose(0, 1),
            *(torched(torch, u) for u in TARGET),
            reduction="none",
        )
        theirs = rows.mean() if reduction == "mean" else rows.sum()
        theirs.backward()
        assert noise(v, theirs.detach()) <= UNITS
        assert noise(d, z.grad) <= UNITS


def test_loss_and_gradient_are_those_of_optax(logits):
    def theirs(logits):
        frames = (jnp.arange(11)[None, :] >= FRAMES[:, None]).astype(float)
        padding = (jnp.arange(4)[None, :] >= LENGTHS[:, None]).astype(float)
        return optax.ctc_loss(logits, frames, LABELS, padding, log_epsilon=-1e9).sum()

    v, d = jitted(ctc("sum"))(logits, TARGET)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        w, dw = jax.jit(jax.value_and_grad(theirs))(logits)
    assert noise(v, w) <= UNITS and noise(d, dw) <= UNITS


@pytest.mark.parametrize("labels,t", [((1, 2), 4), ((1, 1), 4), ((2,), 3), ((), 3)])
def test_loss_is_the_sum_over_all_alignments(labels, t, keys):
    logp = jax.nn.log_softmax(chance.normal(next(keys), (1, t, 3)))
    rows, p = np.asarray(logp[0]), 0.0
    for path in product(range(3), repeat=t):
        if tuple(k for k, _ in groupby(path) if k != 0) == labels:
            p += np.exp(rows[np.arange(t), list(path)].sum())
    padded = jnp.array([[*labels, *(0,) * (2 - len(labels))]])
    target = CTCTarget(padded, jnp.array([t]), jnp.array([len(labels)]))
    assert noise(ctc().forward(logp, target)[0], -np.log(p)) <= UNITS


def test_rows_of_dlogits_sum_to_0_and_frames_beyond_the_length_get_0(logits):
    d = gradient(ctc(), logits, TARGET, 3.0)
    assert abs(d.sum(axis=2)).max() < 1e-15 < abs(d).max()  # Measured: 4e-16.
    beyond = jnp.arange(11)[None, :] >= FRAMES[:, None]
    assert (d[beyond] == 0).all()


def test_what_lies_beyond_the_lengths_is_not_read(logits):
    beyond = jnp.arange(11)[None, :] >= FRAMES[:, None]
    marked = jnp.where(beyond[:, :, None], jnp.nan, logits)
    unread = jnp.arange(4)[None, :] >= LENGTHS[:, None]
    target = TARGET._replace(labels=jnp.where(unread, -7, LABELS))
    both = jitted(ctc())
    for ours, theirs in zip(both(marked, target), both(logits, TARGET)):
        assert noise(ours, theirs) == 0


def test_another_blank_is_a_permutation_of_the_classes(logits):
    v, d = jitted(ctc())(logits, TARGET)
    rolled = TARGET._replace(labels=(LABELS + 1) % 5)
    w, dw = jitted(ctc(blank=1))(jnp.roll(logits, 1, axis=2), rolled)
    assert noise(v, w) <= UNITS and noise(jnp.roll(d, 1, axis=2), dw) <= UNITS


def test_too_few_frames_cost_infinity_and_move_nothing(logits):
    target = TARGET._replace(logit_lengths=FRAMES.at[1].set(5))  # 2 2 1 1 needs 6.
    v, d = jitted(ctc())(logits, target)
    _, whole = jitted(ctc())(logits, TARGET)
    assert v == jnp.inf and (d[1] == 0).all()
    assert noise(d.at[1].set(0), whole.at[1].set(0)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        TARGET._replace(logit_lengths=FRAMES.at[0].set(12)),
        TARGET._replace(logit_lengths=FRAMES.at[0].set(-1)),
        TARGET._replace(label_lengths=LENGTHS.at[0].set(5)),
        TARGET._replace(label_lengths=LENGTHS.at[0].set(-1)),
        TARGET._replace(labels=LABELS.at[0, 1].set(5)),
        TARGET._replace(labels=LABELS.at[0, 1].set(-1)),
        TARGET._replace(labels=LABELS.at[0, 1].set(0)),
    ],
)
def test_what_cannot_be_is_visibly_nan_in_its_own_sequence(wrong, logits):
    v, d = jitted(ctc())(logits, wrong)
    assert jnp.isnan(v)
    assert jnp.isnan(d).all(axis=(1, 2)).tolist() == [True, *[False] * 4]
    assert jnp.isfinite(d[1:]).all()


def test_no_labels_leave_only_blanks(logits):
    target = CTCTarget(jnp.zeros((5, 0), int), FRAMES, jnp.zeros(5, int))
    blanks = jax.nn.log_softmax(logits)[:, :, 0]
    read = jnp.arange(11)[None, :] < FRAMES[:, None]
    v, _ = jitted(ctc("sum"))(logits, target)
    assert noise(v, -jnp.where(read, blanks, 0).sum()) <= UNITS


def test_a_long_sequence_keeps_its_digits_in_float32(keys):
    logits = chance.normal(next(keys), (2, 997, 5))
    labels = chance.randint(next(keys), (2, 101), 1, 5)
    target = CTCTarget(labels, jnp.array([997, 900]), jnp.array([101, 90]))
    _, d = jitted(ctc())(logits.astype(jnp.float32), target)
    _, exact = jitted(ctc())(logits.astype(jnp.float32).astype(float), target)
    # Measured: 1.4e-5; optax.ctc_loss in float32, without x64: 4e-4.
    assert abs(d.astype(float) - exact).max() < 5e-5 * abs(exact).max()
