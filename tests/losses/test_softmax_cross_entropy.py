"""Softmax cross-entropy: every combination of its options against optax and torch."""

from itertools import product

import jax
import jax.numpy as jnp
import optax
import pytest

from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from reference import assert_correct, chance, check_loss
from tests.losses.compare import gradient, jitted, noise, torched, value

IGNORE = -100
WEIGHTS = (0.5, 2.0, 0.0, 1.5, 0.7)
REDUCTION, SMOOTHING, WEIGHTED = ("mean", "sum"), (0.0, 0.1), (None, WEIGHTS)
UNITS = 16  # Exponentials of 8 x 5 logits; worst measured: 3.4.


@pytest.fixture
def logits(keys):
    return 3 * chance.normal(next(keys), (8, 5))


@pytest.fixture
def labels(keys):
    return chance.randint(next(keys), (8,), 0, 5)


@pytest.fixture
def probabilities(keys):
    return chance.dirichlet(next(keys), jnp.ones(5), (8,)).at[:, 1].set(0)


def theirs(torch, logits, target, z_loss=0.0, rows=None, **options):
    """torch's loss and its gradient; the z-loss, which torch has not, is added."""
    weights = options.pop("weight")
    weight = None if weights is None else torched(torch, jnp.array(weights))
    z = torched(torch, logits, requires_grad=True)
    loss = torch.nn.CrossEntropyLoss(weight=weight, **options)(
        z, torched(torch, target)
    )
    lse = torch.logsumexp(z, dim=-1)[torched(torch, rows)]
    square = (lse**2).mean() if options["reduction"] == "mean" else (lse**2).sum()
    loss = loss + z_loss * square
    loss.backward()
    return loss.detach(), z.grad


@pytest.mark.parametrize(
    "reduction,smoothing,weights,ignored,z_loss",
    list(product(REDUCTION, SMOOTHING, WEIGHTED, (False, True), (0.0, 0.01))),
)
def test_labels_with_every_combination_are_those_of_torch(
    reduction, smoothing, weights, ignored, z_loss, logits, labels, torch
):
    y = labels.at[jnp.array([0, 5])].set(IGNORE) if ignored else labels
    ours = softmax_cross_entropy(
        reduction,
        label_smoothing=smoothing,
        class_weights=weights,
        ignore_index=IGNORE if ignored else None,
        z_loss=z_loss,
    )
    v, dz = jitted(ours)(logits, y)
    w, dw = theirs(
        torch,
        logits,
        y,
        z_loss,
        y != IGNORE,
        reduction=reduction,
        label_smoothing=smoothing,
        weight=weights,
        ignore_index=IGNORE,
    )
    assert noise(v, w) <= UNITS and noise(dz, dw) <= UNITS


@pytest.mark.parametrize(
    "reduction,smoothing,weights,z_loss",
    list(product(REDUCTION, SMOOTHING, WEIGHTED, (0.0, 0.01))),
)
def test_soft_targets_with_every_combination_are_those_of_torch(
    reduction, smoothing, weights, z_loss, logits, probabilities, torch
):
    ours = softmax_cross_entropy(
        reduction, label_smoothing=smoothing, class_weights=weights, z_loss=z_loss
    )
    v, dz = jitted(ours)(logits, probabilities)
    w, dw = theirs(
        torch,
        logits,
        probabilities,
        z_loss,
        jnp.ones(8, bool),
        reduction=reduction,
        label_smoothing=smoothing,
        weight=weights,
    )
    assert noise(v, w) <= UNITS and noise(dz, dw) <= UNITS


def test_both_kinds_of_target_are_those_of_optax(logits, labels, probabilities):
    hard = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    soft = optax.softmax_cross_entropy(logits, probabilities)
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, 5, dtype=float), 0.1)
    smooth = optax.softmax_cross_entropy(logits, smooth)
    plain, smoothed = (softmax_cross_entropy(label_smoothing=e) for e in (0.0, 0.1))
    assert noise(value(plain, logits, labels), hard.mean()) <= UNITS
    assert noise(value(plain, logits, probabilities), soft.mean()) <= UNITS
    assert noise(value(smoothed, logits, labels), smooth.mean()) <= UNITS


def test_leading_axes_are_rows(logits, labels):
    loss = softmax_cross_entropy(label_smoothing=0.1)
    folded = gradient(loss, logits.reshape(2, 4, 5), labels.reshape(2, 4))
    assert noise(folded.reshape(8, 5), gradient(loss, logits, labels)) <= 4


def test_without_z_loss_a_shift_changes_nothing(logits, labels):
    loss = softmax_cross_entropy("sum", label_smoothing=0.1, class_weights=WEIGHTS)
    shifted = logits + 3 * jnp.arange(8.0)[:, None]
    assert noise(value(loss, shifted, labels), value(loss, logits, labels)) <= UNITS
    dz = gradient(loss, logits, labels)
    assert abs(dz.sum(axis=1)).max() < 1e-15 < abs(dz).max()  # Measured: 3e-16.


def test_with_z_loss_rows_sum_to_its_push(logits, labels):
    dz = gradient(softmax_cross_entropy("sum", z_loss=0.1), logits, labels, 3.0)
    push = 3 * 0.2 * jax.nn.logsumexp(logits, axis=1)
    assert noise(dz.sum(axis=1), push) <= UNITS


def test_ignored_rows_add_nothing_even_where_their_logits_are_nan(logits, labels):
    loss = softmax_cross_entropy(
        label_smoothing=0.1, class_weights=WEIGHTS, ignore_index=-1, z_loss=0.01
    )
    keep = jnp.array([0, 1, 3, 4, 6, 7])
    z = logits.at[jnp.array([2, 5])].set(jnp.nan)
    y = labels.at[jnp.array([2, 5])].set(-1)
    alone = (logits[keep], labels[keep])
    assert noise(value(loss, z, y), value(loss, *alone)) <= UNITS
    dz = gradient(loss, z, y)
    assert (dz[jnp.array([2, 5])] == 0).all()
    assert noise(dz[keep], gradient(loss, *alone)) <= UNITS


@pytest.mark.parametrize("reduction", REDUCTION)
def test_where_nothing_counts_loss_and_gradient_are_0(reduction, logits, labels):
    options = {"label_smoothing": 0.1, "z_loss": 0.01, "ignore_index": 3}
    loss = softmax_cross_entropy(reduction, **options)
    nothing = jnp.full_like(labels, 3)
    assert value(loss, logits, nothing) == 0
    assert (gradient(loss, logits, nothing) == 0).all()
    weightless = softmax_cross_entropy(reduction, class_weights=WEIGHTS)
    assert value(weightless, logits, nothing - 1) == 0
    assert (gradient(weightless, logits, nothing - 1) == 0).all()


@pytest.mark.parametrize("label", [-1, 5])
def test_a_label_that_is_not_a_class_is_visibly_nan(label, logits, labels):
    wrong = labels.at[1].set(label)
    assert jnp.isnan(value(softmax_cross_entropy(), logits, wrong))
    dz = gradient(softmax_cross_entropy("sum"), logits, wrong)
    assert jnp.isnan(dz).any(axis=1).tolist() == [i == 1 for i in range(8)]


def test_a_masked_class_of_mass_0_adds_nothing():
    z, y = jnp.array([[0.0, -jnp.inf, 1.0]]), jnp.array([2])
    without = z[:, ::2], jnp.array([1])
    loss = softmax_cross_entropy()
    assert noise(value(loss, z, y), value(loss, *without)) <= 4
    assert gradient(loss, z, y)[0, 1] == 0


def test_a_soft_target_that_is_no_distribution_is_not_refused(logits):
    t = jnp.full_like(logits, 2.0).at[:, 0].set(-3.0)
    by_hand = -(t * jax.nn.log_softmax(logits)).sum(axis=1).mean()
    assert noise(value(softmax_cross_entropy(), logits, t), by_hand) <= UNITS


def test_a_nearly_certain_row_keeps_its_digits():
    z = jnp.array([[40.0, 0.0, 0.0]])
    tail = 2 * jnp.exp(-40.0)
    loss = softmax_cross_entropy()
    assert noise(value(loss, z, jnp.array([0])), tail) <= 4
    assert noise(gradient(loss, z, jnp.array([0]))[0, 0], -tail) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft"])
@pytest.mark.parametrize(
    "reduction,smoothing,weights,z_loss",
    list(product(REDUCTION, SMOOTHING, WEIGHTED, (0.0, 0.01))),
)
def test_the_verifier_finds_every_combination_right(
    reduction, smoothing, weights, z_loss, soft, dtype, logits, labels, probabilities
):
    y = probabilities.astype(dtype) if soft else labels.at[3].set(IGNORE)
    loss = softmax_cross_entropy(
        reduction,
        label_smoothing=smoothing,
        class_weights=weights,
        ignore_index=None if soft else IGNORE,
        z_loss=z_loss,
    )
    assert_correct(check_loss(loss, logits.astype(dtype), y))
