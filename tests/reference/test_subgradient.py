"""Every point of the subdifferential is valid, and nothing beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.verifier.kinks import subgradient_verdict

RNG = np.random.default_rng(11)
MIXED = RNG.standard_normal(50)
RANKS = np.array([0.3, -1.2, 2.0, 0.7])
WINDOWS = RNG.standard_normal((2, 2))
WEIGHTS, SIGNS = RNG.standard_normal((4, 7)), RNG.standard_normal(7)
TIED = np.round(RNG.standard_normal(25))
PEAK = np.eye(25)[12]


def _relu(x):
    return jnp.where(x > 0, x, 0.0)


def _pool(x):
    """Overlapping 3x3 windows at stride 2."""
    x = x.reshape(5, 5)
    best = [[x[i : i + 3, j : j + 3].max() for j in (0, 2)] for i in (0, 2)]
    return (jnp.array(best) * WINDOWS).sum()


def _pool_by_hand(x, mode):
    x, dx = x.reshape(5, 5), np.zeros((5, 5))
    for i, j in np.ndindex(2, 2):
        window = np.s_[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        ties = x[window] == x[window].max()
        if mode == "average":
            ties = ties / ties.sum()
        if mode in ("first", "overwrite"):
            ties = np.eye(9)[ties.argmax()].reshape(3, 3)
        if mode == "overwrite":
            dx[window] = np.where(ties, WINDOWS[i, j], dx[window])
        else:
            dx[window] += ties * WINDOWS[i, j]
    return dx.ravel()


def _layer(z):
    """One layer on zero input with zero bias, as for a padded row."""
    return (SIGNS * _relu(z[:4] @ WEIGHTS + z[4:])).sum()


def _layer_by_hand(choice):
    return np.concatenate([WEIGHTS @ (SIGNS * choice), SIGNS * choice])


# name -> (f, x, valid claims, wrong claims)
CASES = {
    "relu": (lambda x: _relu(x).sum(), [0], [[0], [0.5], [1]], [[1.5], [-0.1]]),
    "maximum": (lambda x: jnp.maximum(x, 0).sum(), [0], [[0], [1]], [[1.01]]),
    "abs": (lambda x: 2 * abs(x).sum(), [0], [[0], [-2], [2]], [[2.1], [-3]]),
    "two-way max": (
        lambda x: 3 * jnp.max(x),
        [1, 1],
        [[3, 0], [0, 3], [1.5, 1.5], [1, 2]],
        [[3, 3], [0, 0], [1.5, 1]],
    ),
    "three-way max": (
        lambda x: jnp.max(x),
        [1, 1, 1, 0],
        [[1, 0, 0, 0], [0, 1, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0]],
        [[1, 1, 1, 0], [1, 0, 0, 0.1], [0.5, 0.5, 0.1, 0]],
    ),
    "clip": (
        lambda x: jnp.clip(x, -1, 1).sum(),
        [1, -1, 0.3],
        [[1, 1, 1], [0, 0, 1], [0.5, 0.2, 1]],
        [[0, 0, 0], [2, 0, 1]],
    ),
    "hinge": (
        lambda x: _relu(1 - x).sum(),
        [1, 2],
        [[-1, 0], [0, 0], [-0.3, 0]],
        [[0.1, 0], [-1, -1]],
    ),
    "relu minus relu": (
        lambda x: _relu(x[0]) - _relu(x[1]),
        [0, 0],
        [[1, 0], [0, 0], [0.5, -0.5], [1, -1], [0, -1]],
        [[1, 1], [1, -1.5]],
    ),
    "identity of two relus": (
        lambda x: (_relu(x) - _relu(-x)).sum(),
        [0],
        [[1]],
        [[0.5], [2]],
    ),
    "50 relus": (
        lambda x: (MIXED * _relu(x)).sum(),
        np.zeros(50),
        [MIXED, MIXED / 2, 0.3 * MIXED, MIXED * (np.arange(50) % 2)],
        [MIXED * (1 + 0.5 * np.eye(50)[17]), abs(MIXED), -MIXED],
    ),
    "median": (
        lambda x: jnp.sort(x)[2],
        [1, 1, 1, 0, 2],
        [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0, 0]],
        [[1, 1, 1, 0, 0], [1, 0, 0, 1, 0]],
    ),
    "sort": (
        lambda x: (jnp.sort(x) * RANKS).sum(),
        [1, 1, 1, 0],
        [[-1.2, 2, 0.7, 0.3], [2, -1.2, 0.7, 0.3], [0.5, 0.5, 0.5, 0.3]],
        [[2, 2, 2, 0.3], [-1.2, -1.2, 0.7, 0.3]],
    ),
    "max-pool of zeros": (
        _pool,
        np.zeros(25),
        [_pool_by_hand(np.zeros(25), mode) for mode in ("first", "average")],
        [_pool_by_hand(np.zeros(25), "all")],
    ),
    "max-pool with ties": (
        _pool,
        TIED,
        [_pool_by_hand(TIED, mode) for mode in ("first", "average")],
        [_pool_by_hand(TIED, "all")],
    ),
    "max-pool with a shared peak": (
        _pool,
        PEAK,
        [_pool_by_hand(PEAK, "first")],
        [_pool_by_hand(PEAK, "overwrite")],
    ),
    "hundred-way max": (
        lambda x: jnp.max(x),
        np.zeros(100),
        [np.eye(100)[0], np.eye(100)[57], np.full(100, 0.01)],
        [np.ones(100), np.full(100, 0.5)],
    ),
    "norm": (
        lambda x: jnp.sqrt((x**2).sum()),
        np.zeros(3),
        [[0, 0, 0], [0.3, 0.4, 0.2], [1, 0, 0]],
        [[0.8, 0.8, 0]],
    ),
    "total variation": (
        lambda x: (RANKS[:3] * abs(x - jnp.array([0.1, 0.2, 0.7]))).sum(),
        [0.1, 0.2, 0.7],
        [[0, 0, 0], [0.3, -1.2, 2], [-0.3, 1.2, 0.5]],
        [[0.3, 1.2, 2.2]],
    ),
    "padded row": (
        _layer,
        np.zeros(11),
        [_layer_by_hand(choice) for choice in (0.3, 0.5, 1.0)],
        [-2 * _layer_by_hand(1.0), 4 * _layer_by_hand(1.0)],
    ),
}
CLAIMS = [
    (name, valid, k)
    for name, (*_, right, wrong) in CASES.items()
    for valid, claims in ((True, right), (False, wrong))
    for k in range(len(claims))
]
GRADIENTS = {name: jax.jit(jax.grad(case[0])) for name, case in CASES.items()}


def _judge(gradient, x, hand, seed=7, tolerance=1e-12):
    x = np.asarray(x, np.float64)
    autodiff = np.asarray(gradient(jnp.asarray(x)))
    calls = []

    def counted(x):
        calls.append(x)
        return np.asarray(gradient(jnp.asarray(x)))

    rng = np.random.default_rng(seed)
    hand = np.asarray(hand, np.float64)
    verdict = subgradient_verdict(
        counted, x, hand, autodiff, rng=rng, tolerance=tolerance
    )
    assert len(calls) <= 300
    return verdict


@pytest.mark.parametrize("name,valid,k", CLAIMS)
def test_claim_is_judged(name, valid, k):
    _, x, right, wrong = CASES[name]
    hand = (right if valid else wrong)[k]
    for seed in (7, 8):
        verdict = _judge(GRADIENTS[name], x, hand, seed)
        assert verdict.valid == valid
        assert verdict.proven
        assert hand[verdict.index] == verdict.hand


def test_report_names_entry_interval_and_conventions():
    verdict = _judge(
        jax.grad(lambda x: jnp.maximum(x, 0).sum()), [3.0, 0.0], [1.0, 0.0]
    )
    assert verdict.valid and verdict.index == 1
    assert (verdict.hand, verdict.autodiff) == (0.0, 0.5)
    assert verdict.interval == (0.0, 1.0)


def test_report_names_the_sum_of_a_tie():
    verdict = _judge(GRADIENTS["three-way max"], [1, 1, 1, 0], [1, 1, 1, 0])
    assert verdict.reason == (
        "entries 0, 1, 2 add up to 3, in the gradients nearby to 1 to 1"
    )


@pytest.mark.parametrize(
    "f,x,hand",
    [
        (lambda x: jnp.sin(x).sum(), [0.3, 0.4], [np.cos(0.3), np.cos(0.4) + 1e-6]),
        (lambda x: _relu(x - 1e-9).sum(), [0.0], [1.0]),
        (lambda x: jnp.max(x), [1.0, 1.0 + 1e-9, 0.5], [1.0, 0.0, 0.0]),
        (lambda x: _relu(x).sum(), [1e-9, 1.0], [0.0, 1.0]),
        (lambda x: jnp.sin(1e4 * x).sum(), [0.3], [1e4 * np.cos(3e3) + 10]),
    ],
)
def test_no_kink_no_excuse(f, x, hand):
    verdict = _judge(jax.grad(f), x, hand)
    assert not verdict.valid and verdict.proven


def test_kink_shifted_by_rounding_is_at_the_point():
    # 0.1 + 0.2 - 0.3 is 5.6e-17, not 0.
    f = jax.grad(lambda x: _relu(x[0] + x[1] - x[2]))
    assert _judge(f, [0.1, 0.2, 0.3], [0.0, 0.0, 0.0]).valid
    assert not _judge(f, [0.1, 0.2, 0.3], [1.0, 0.0, 0.0]).valid


def test_curvature_beside_a_kink_is_no_error():
    f = jax.grad(lambda x: (_relu(x) + jnp.sin(1e3 * x)).sum())
    assert _judge(f, [0.0], [1000.0]).valid
    assert _judge(f, [0.0], [1001.0]).valid
    assert not _judge(f, [0.0], [1001.1]).valid


def test_scales_of_entries_may_differ():
    f = jax.grad(lambda x: (_relu(x - jnp.array([1e6, 1e-6, 1.0]))).sum())
    assert _judge(f, [1e6, 1e-6, 1.0], [1.0, 0.0, 0.5]).valid
    assert not _judge(f, [1e6, 1e-6, 1.0], [1.0, 1.2, 0.5]).valid


def test_tolerance_may_be_one_per_entry():
    f = jax.grad(lambda x: (jnp.array([1.0, 2.0]) * x).sum())
    loose = np.array([1e-12, 1e-3])
    assert _judge(f, [0.0, 0.0], [1.0, 2.0005], tolerance=loose).reason == "as autodiff"
    assert not _judge(f, [0.0, 0.0], [1.0005, 2.0], tolerance=loose).valid


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_hand_must_be_finite(bad):
    verdict = _judge(GRADIENTS["abs"], [0.0], [bad])
    assert not verdict.valid and verdict.reason == "hand is not finite"


def test_nan_of_autodiff_is_judged_by_its_neighbours():
    # jax.grad of sqrt(x^2) is NaN at 0; [-1, 1] is valid.
    f = jax.grad(lambda x: jnp.sqrt(x**2).sum())
    assert _judge(f, [0.0], [0.0]).proven
    assert not _judge(f, [0.0], [1.5]).valid


def test_nothing_finite_nearby_is_in_doubt():
    verdict = _judge(lambda x: x * jnp.nan, [0.0], [0.0])
    assert verdict.valid and not verdict.proven
    assert verdict.reason == "no gradient nearby is finite"
