"""The comparison: what passes at 64 noise units and what never does."""

import numpy as np
import pytest

from reference.compare import compare, rms, steady

U = 2.0**-53


@pytest.fixture
def truth():
    return np.random.default_rng([7, 1]).standard_normal((5, 3))


def noise(truth):
    return 2 * U * np.abs(truth)


def test_equal_arrays_have_no_error(truth):
    c = compare(truth, truth, noise(truth))
    assert c.passes and c.units == 0 and c.exercised == 1 and c.blind == 0


@pytest.mark.parametrize("error,passes", [(1e-15, True), (1e-12, False), (1.0, False)])
def test_a_relative_error_is_seen_from_some_ten_roundings_on(truth, error, passes):
    assert compare(truth * (1 + error), truth, noise(truth)).passes is passes


def test_the_visible_error_is_what_it_says(truth):
    visible = compare(truth, truth, noise(truth)).visible
    assert not compare(truth * (1 + 16 * visible), truth, noise(truth)).passes


def test_the_scale_of_everything_does_not_matter(truth):
    for scale in (1e-200, 1e-12, 1e12, 1e200):
        v = truth * scale
        assert compare(v, v, noise(v)).passes
        assert not compare(v * (1 + 1e-6), v, noise(v)).passes


def test_a_small_entry_beside_a_large_one_is_checked(truth):
    truth[0, 0], truth[1, 1] = 1e12, 1e-3
    hand = truth.copy()
    hand[1, 1] *= 1.001
    c = compare(hand, truth, noise(truth))
    assert not c.passes and c.index == (1, 1)
    assert c.units < 64  # Only the entry's own noise shows it.


def test_nan_is_not_equal_to_nan(truth):
    both = truth.copy()
    both[2, 1] = np.nan
    assert compare(both, both, noise(truth)).blind == 1
    c = compare(both, truth, noise(truth))
    assert not c.passes and c.units == np.inf and c.index == (2, 1)


def test_infinities_must_agree_in_sign(truth):
    up, down = truth.copy(), truth.copy()
    up[0, 0], down[0, 0] = np.inf, -np.inf
    assert compare(up, up, noise(truth)).blind == 0
    assert compare(down, up, noise(truth)).blind == 1


def test_shapes_never_broadcast(truth):
    with pytest.raises(ValueError, match=r"truth's shape \(5, 3\), got \(1, 3\)"):
        compare(truth[:1], truth, noise(truth))


def test_a_jump_is_no_noise(truth):
    jump = noise(truth)
    jump[3, 2] = 0.5
    assert steady(jump, truth).max() < 1e-14
    assert steady(jump, truth, jump=1.0)[3, 2] == 0.5
    assert steady(jump, truth, scale=1e9)[3, 2] == 0.5


def test_rms_neither_overflows_nor_underflows():
    assert rms(np.array([3e200, 4e200])) == pytest.approx(np.sqrt(12.5) * 1e200)
    assert rms(np.array([3e-200, 4e-200])) == pytest.approx(np.sqrt(12.5) * 1e-200)
    assert rms(np.zeros(0)) == 0
