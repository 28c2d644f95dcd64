"""The diagnosis names what was planted, and says nothing of what is right.

A few mistakes of different families run always; all others, the half that the
diagnosis was not developed on included, under `-m slow`. docs/diagnosis.md has the
table; `python -m tests.reference.mistakes.score` writes it.
"""

import pytest

from tests.reference.mistakes import MISTAKES, RIGHT
from tests.reference.mistakes.score import PAGE, scored

FEW = [
    "layer_norm/no_mean_path",
    "tanh/clipped_cotangent",
    "two_layers/activation_derivative_lost",
    "softplus/temperature_kept_in_front",
    "linear/dw_transposed",
    "linear/tail_rows_skipped",
    "square_linear/weight_not_transposed",
    "embedding/repeats_overwritten",
    "gaussian_nll/precision_forgotten",
    "centre/mean_over_the_batch",
    "numpy_loop/sign",
    "numpy_outer/db_not_summed",
]
QUIET = ["tanh/as_it_is"]


def row_of(name: str) -> str:
    """The line of the page on one mistake."""
    page = PAGE.read_text().partition("<!-- score -->")[2]
    page = page.partition("<!-- /score -->")[0]
    return next(line for line in page.splitlines() if line.startswith(f"| {name} "))


def assert_as_written(name: str) -> None:
    """What is said now is what the page says."""
    found = scored(MISTAKES[name])
    assert found.named == ("✗" not in row_of(name)), str(found.found)
    for cause in found.found.causes:
        assert f"`{cause.label}`" in row_of(name)


@pytest.mark.parametrize("name", FEW)
def test_the_planted_cause_is_named(name):
    assert_as_written(name)
    assert "✗" not in row_of(name)


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_stated_on_a_right_backward(name):
    assert not scored(RIGHT[name]).found.causes


def test_the_page_has_a_line_for_every_mistake():
    for name in MISTAKES:
        assert row_of(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(MISTAKES) - set(FEW)))
def test_the_rest_is_named_as_the_page_says(name):
    assert_as_written(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(RIGHT) - set(QUIET)))
def test_nothing_is_stated_on_the_rest_of_the_right(name):
    assert not scored(RIGHT[name]).found.causes
