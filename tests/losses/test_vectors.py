"""Losses of vectors: cosine similarity, triplet, InfoNCE."""

import jax
import jax.numpy as jnp
import optax
import pytest

from purefw.losses.cosine_similarity import cosine_similarity
from purefw.losses.info_nce import Pairs, info_nce
from purefw.losses.triplet import Triplet, triplet
from reference import chance
from tests.losses.compare import gradient, noise, torched, value

REDUCTIONS = {"mean": jnp.mean, "sum": jnp.sum}
BOTH = pytest.mark.parametrize("reduction", REDUCTIONS)
UNITS = 32  # Sums of 3 to 7 products; worst measured: 5.3.


@BOTH
def test_cosine_similarity_is_that_of_optax_and_torch(reduction, keys, torch):
    x, t = chance.normal(next(keys), (2, 5, 3))
    ours = value(cosine_similarity(reduction), x, t)
    theirs = REDUCTIONS[reduction](optax.cosine_distance(x, t))
    assert noise(ours, theirs) <= UNITS
    theirs = torch.nn.CosineEmbeddingLoss(reduction=reduction)
    ones = torch.ones(5, dtype=torch.float64)
    theirs = theirs(torched(torch, x), torched(torch, t), ones)
    # torch adds 1e-12 to the squared lengths: measured 908, a relative 1e-13.
    assert noise(ours, theirs) <= 4000


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1e300])
def test_cosine_similarity_does_not_see_lengths(scale, keys):
    x, t = chance.normal(next(keys), (2, 5, 3))
    loss = cosine_similarity()
    assert noise(value(loss, scale * x, t / scale), value(loss, x, t)) <= UNITS
    dx = gradient(loss, x, t)
    assert noise(gradient(loss, scale * x, t) * scale, dx) <= UNITS
    assert abs((x * dx).sum(axis=1)).max() < 1e-16 * UNITS < abs(dx).max()


def test_a_row_of_zeros_has_cosine_0_and_no_gradient(keys):
    x = chance.normal(next(keys), (2, 3)).at[0].set(0)
    t = chance.normal(next(keys), (2, 3)).at[1].set(0)
    assert value(cosine_similarity(), x, t) == 1
    assert (gradient(cosine_similarity(), x, t) == 0).all()


@BOTH
def test_triplet_is_that_of_optax_and_torch(reduction, keys, torch):
    points = Triplet(*chance.normal(next(keys), (3, 7, 3)))
    ours = value(triplet(reduction, margin=0.5), points, ())
    theirs = optax.losses.triplet_margin_loss(*points, margin=0.5, eps=0.0)
    assert noise(ours, REDUCTIONS[reduction](theirs)) <= UNITS
    theirs = torch.nn.TripletMarginLoss(margin=0.5, eps=0.0, reduction=reduction)
    assert noise(ours, theirs(*(torched(torch, v) for v in points))) <= UNITS


def test_triplet_does_not_see_motions(keys):
    points = Triplet(*chance.normal(next(keys), (3, 7, 3)))
    turn, _ = jnp.linalg.qr(chance.normal(next(keys), (3, 3)))
    shift = chance.normal(next(keys), (7, 3))
    moved = jax.tree.map(lambda v: v @ turn + shift, points)
    assert noise(value(triplet(), moved, ()), value(triplet(), points, ())) <= UNITS
    d = gradient(triplet(), points, ())
    assert abs(sum(d)).max() < 1e-15 < abs(d.anchor).max()


def test_triplet_has_slope_0_at_its_kinks():
    at_margin = Triplet(*jnp.array([[[0.0]], [[1.0]], [[2.0]]]))
    assert value(triplet(), at_margin, ()) == 0
    assert not any(d.any() for d in gradient(triplet(), at_margin, ()))
    coincident = Triplet(jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.ones((1, 2)))
    d = gradient(triplet(margin=9.0), coincident, ())
    assert not d.positive.any() and noise(d.anchor, -d.negative) == 0


@BOTH
def test_info_nce_is_the_cross_entropy_of_the_similarities(reduction, keys, torch):
    pairs = Pairs(*chance.normal(next(keys), (2, 7, 3)))
    query, key = (torched(torch, v) for v in pairs)
    theirs = torch.nn.functional.cross_entropy(
        query @ key.T / 0.5, torch.arange(7), reduction=reduction
    )
    ours = value(info_nce(reduction, temperature=0.5), pairs, ())
    assert noise(ours, theirs) <= UNITS


def test_info_nce_does_not_see_a_shift_of_all_keys(keys):
    pairs = Pairs(*chance.normal(next(keys), (2, 7, 3)))
    shifted = pairs._replace(key=pairs.key + jnp.full((7, 3), 0.5))
    loss = info_nce(temperature=1.0)
    assert noise(value(loss, shifted, ()), value(loss, pairs, ())) <= UNITS
    d = gradient(loss, pairs, ())
    assert abs(d.key.sum(axis=0)).max() < 1e-16 * UNITS < abs(d.key).max()


def test_info_nce_of_one_row_is_0(keys):
    pairs = Pairs(*chance.normal(next(keys), (2, 1, 3)))
    assert value(info_nce(), pairs, ()) == 0
    assert not any(d.any() for d in gradient(info_nce(), pairs, ()))
