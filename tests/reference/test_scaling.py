"""The table of docs/scaling.md is what compiling gives."""

import jax
import pytest

from reference.scaling import COUNTS, DOCUMENT, amount, document, lines, meshes


def test_the_page_has_a_line_for_every_mesh():
    page = DOCUMENT.read_text()
    table = [row for row in page.splitlines() if row[:3].strip("| ").isdigit()]
    expected = [(n, sizes) for n in COUNTS for sizes in meshes(n)]
    assert len(table) == len(expected) == 7
    for row, (n, sizes) in zip(table, expected):
        grid = ", ".join(f"{name}={k}" for name, k in sizes.items())
        assert row.startswith(f"| {n} | {grid} |")
    if jax.__version__ in page:
        assert document(table) == page


def test_amounts_have_three_digits():
    assert amount(999) == "999 B" and amount(1_234_567) == "1.23 MB"


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 8, 512])
def test_the_lines_are_current(devices):
    page = DOCUMENT.read_text()
    if f"jax {jax.__version__}" not in page:
        pytest.skip("docs/scaling.md was made with another jax")
    assert "\n".join(lines(devices)) in page
