"""Coded cotangents find any single wrong Jacobian entry and name its output."""

import numpy as np
import pytest

from reference.verifier.cotangents import coded, correlation, decode, generator, normal


@pytest.mark.parametrize("m", [1, 2, 7, 100, 1024, 100_003])
def test_there_are_one_plus_log2_codes_of_plus_and_minus_one(m):
    codes = coded(m, generator(3))
    assert len(codes) == 1 + int(np.ceil(np.log2(m)))
    assert all(set(np.unique(c.value)) <= {-1.0, 1.0} for c in codes)


@pytest.mark.parametrize("m", [2, 100, 1000, 100_000])
def test_a_single_wrong_entry_is_decoded_exactly(m):
    rng = np.random.default_rng([m, 5])
    codes = coded(m, generator(3))
    for size in 10.0 ** rng.uniform(-6, 1, 10):
        i = int(rng.integers(m))
        assert decode([c.value[i] * size for c in codes], m) == i


def test_two_entries_that_cancel_under_one_code_show_under_another():
    rng = np.random.default_rng(11)
    codes = coded(1000, generator(3))
    for _ in range(50):
        i, k = rng.choice(1000, 2, replace=False)
        e, f = rng.uniform(-1, 1, 2)
        responses = [c.value[i] * e + c.value[k] * f for c in codes]
        assert max(map(abs, responses)) == pytest.approx(abs(e) + abs(f))
        assert decode(responses, 1000) is None


def test_a_dense_error_is_not_decoded_as_a_single_one():
    error = np.random.default_rng(12).standard_normal(1000)
    assert (
        decode([float(c.value @ error) for c in coded(1000, generator(3))], 1000)
        is None
    )


def test_probes_repeat_no_array_that_a_user_draws_from_seed_zero():
    ours = normal(1000, generator(0)).value
    for theirs in (
        np.random.default_rng(0).standard_normal(1000),
        np.random.RandomState(0).standard_normal(1000),
    ):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.2  # 6 sigma of 1/sqrt(1000).


def test_the_cosine_of_float16_vectors_does_not_overflow():
    v = np.array([300, -400, 500], np.float16)
    assert abs(correlation(v, v) - 1) < 1e-12
