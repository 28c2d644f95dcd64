"""The trace as a page: what it holds, and what a person at a browser sees."""

import base64
import json
import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from purefw.compose import chain
from purefw.layers.linear import linear
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from reference.locate import locate
from reference.trace_page.picture import SIDE, picture
from tests.browser import browser, opened
from tests.refute import random_params

RNG = np.random.default_rng(5)
ROWS, LABELS = RNG.standard_normal((4, 7)), np.array([0, 2, 1, 1])
WRONG = replace(tanh(), backward=lambda y, dy: ((), (1 - y) * dy))
RED, AMBER = "rgb(179, 20, 29)", "rgb(138, 83, 0)"


def traced(*steps):
    """A network of the steps, and a loss."""
    network = chain(*steps)
    params = random_params(network, jax.random.key(2))
    loss = softmax_cross_entropy()
    return locate(network, loss, params, ROWS, LABELS, jacobians=True)


@pytest.fixture(scope="module")
def traces():
    return {
        "late": traced(linear(7, 5), tanh(), linear(5, 3), WRONG),
        "early": traced(linear(7, 3), WRONG, linear(3, 3)),
        "right": traced(linear(7, 3), tanh()),
    }


# pictures


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 71), (97, 41), (0, 3)])
def test_a_picture_is_small_and_knows_the_shape(shape):
    drawn = picture(RNG.standard_normal(shape))
    assert drawn["shape"] == shape
    assert max(drawn["rows"], drawn["columns"]) <= SIDE
    assert len(base64.b64decode(drawn["cells"])) == drawn["rows"] * drawn["columns"]
    assert (drawn["values"] is None) == (np.prod(shape) > 64)


@pytest.mark.parametrize("bad,cell", [(-1.0, -127), (1.0, 127), (np.nan, -128)])
def test_one_entry_of_many_is_seen(bad, cell):
    v = np.zeros((97, 41))
    row, column = RNG.integers(97), RNG.integers(41)
    v[row, column] = bad
    drawn = picture(v)
    cells = np.frombuffer(base64.b64decode(drawn["cells"]), np.int8)
    high, wide = drawn["block"]
    where = row // high * drawn["columns"] + column // wide
    assert cells[where] == cell and np.count_nonzero(cells) == 1


# the file


def test_the_page_is_one_file_and_stays_small(traces):
    html = traces["late"].to_html()
    assert not re.search(r"https?:|src=|<link|@import|{{", html)
    assert len(html) < 120_000  # Measured: 73 kB, 20 kB of it the same for all.
    data = re.search(r'id="trace">(.*?)</script>', html, re.DOTALL)
    assert len(json.loads(data[1])["steps"]) == 5


def test_names_of_the_users_are_text_and_not_markup(traces):
    mean = "</script><img src=x onerror=alert(1)>"
    html = replace(traces["right"], network=mean).to_html()
    assert "<img" not in html and html.count("</script>") == 2


# in a browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def show(traces, chromium, tmp_path):
    """Open the page of a trace; in the end nothing may have been complained about."""
    opening, complaints = [], []

    def run(name, **options):
        file = tmp_path / "trace.html"
        file.write_text(traces[name].to_html(), encoding="utf-8")
        opening.append(opened(chromium, file, **options))
        page = opening[-1].__enter__()
        complaints.append(page.complaints)
        return page

    yield run
    for context in opening:
        context.__exit__(None, None, None)
    assert all(found == [] for found in complaints)


def tabs(page):
    return page.get_by_role("tab").all()


def colours(page):
    script = "e => getComputedStyle(e.querySelector('.state')).color"
    return [tab.evaluate(script) for tab in tabs(page)]


def heading(page):
    return page.locator("#step h2").inner_text()


@pytest.mark.parametrize("name,first", [("late", 3), ("early", 1)])
def test_the_wrong_step_is_red_and_the_infected_are_amber(show, name, first):
    page = show(name)
    found = colours(page)
    assert found[first] == RED and set(found[:first]) == {AMBER}
    assert not {RED, AMBER} & set(found[first + 1 :])
    assert heading(page) == f"{first + 1} tanh [{first}] ✗ wrong"  # It opens there.
    assert "First wrong step from the loss" in page.locator("#findings").inner_text()


def test_a_right_network_has_neither_colour_and_opens_at_the_loss(show):
    page = show("right")
    assert not {RED, AMBER} & set(colours(page))
    assert heading(page).startswith("3 softmax_cross_entropy")
    assert not page.locator("#budget").is_visible()


def test_a_click_shows_all_there_is_to_a_step(show):
    page = show("late")
    tabs(page)[0].click()
    text = page.locator("#step").inner_text()
    assert heading(page) == "1 linear [0] ≈ infected"
    for said in (
        "(4, 7) → (4, 5)",
        "dweight_io = Σ_b x_bi dy_bo",
        "∂y/∂x",
        "dy",
        "dparams.weight",
        "noise units",
    ):
        assert said in text, said
    labels = [c.get_attribute("aria-label") for c in page.locator("canvas").all()]
    assert any(label.startswith("hand − autodiff, 7 × 5") for label in labels)


def test_the_arrow_keys_walk_backward_and_forward(show):
    page = show("late")
    seen = []
    for key in ("End", "ArrowLeft", "ArrowLeft", "ArrowRight", "Home", "ArrowLeft"):
        page.keyboard.press(key)
        seen.append(int(heading(page).split()[0]))
    assert seen == [5, 4, 3, 4, 1, 1]
    assert page.locator("#back").is_disabled() and page.locator("#forth").is_enabled()
    assert page.locator("#said").inner_text() == "Step 1 of 5, linear, infected"


def test_the_heat_map_of_the_local_derivative_shows_its_numbers(show):
    page = show("late")
    canvas = page.locator("canvas[aria-label^='∂y/∂x']")
    box = canvas.bounding_box()
    canvas.hover(position={"x": 2, "y": 2})
    first = canvas.locator("xpath=following-sibling::figcaption").inner_text()
    canvas.hover(position={"x": box["width"] - 2, "y": 2})
    last = canvas.locator("xpath=following-sibling::figcaption").inner_text()
    assert first.startswith("[0, 0] 0.") and last == "[0, 11] 0"  # It is diagonal.


LUMINANCE = """e => {
  const paper = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (c !== 'rgba(0, 0, 0, 0)') return c; } };
  const light = c => c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const [a, b] = [light(getComputedStyle(e).color), light(paper(e))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
TEXTS = "p, h1, h2, h3, b, small, span, th, td, pre, figcaption, summary"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_paper(show, scheme):
    page = show("late", scheme=scheme)
    page.keyboard.press("ArrowLeft")
    ratios = page.locator(TEXTS).evaluate_all(
        f"all => all.filter(e => e.innerText.trim()).map({LUMINANCE})"
    )
    assert len(ratios) > 50 and min(ratios) >= 4.5  # WCAG 2.1, 1.4.3.


def test_a_phone_shows_it_without_scrolling_sideways(show):
    page = show("late", width=360)
    for key in ["End"] + ["ArrowLeft"] * 4:
        page.keyboard.press(key)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        cut = "all => all.filter(e => e.scrollWidth > e.clientWidth).length"
        assert page.locator("pre, h1").evaluate_all(cut) == 0
        selected = page.locator("[aria-selected=true]").bounding_box()
        assert 0 <= selected["x"] and selected["x"] + selected["width"] <= 361


def test_the_name_of_the_network_is_said_once(show):
    page = show("right")
    assert page.locator("#findings p").all_inner_texts() == ["All 3 steps are right."]
    assert page.locator("h1").inner_text().count("linear") == 1


def test_the_roles_and_the_focus_are_those_of_tabs(show):
    page = show("late")
    assert (
        page.get_by_role("tablist").count() == page.get_by_role("tabpanel").count() == 1
    )
    tabs(page)[3].focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.id") == "tab-2"
    assert page.locator("[role=tab][tabindex='0']").count() == 1


def test_in_a_notebook_it_runs_in_a_frame_of_its_own(traces, chromium, tmp_path):
    file = tmp_path / "notebook.html"
    file.write_text(f"<meta charset=utf-8>{traces['late']._repr_html_()}", "utf-8")
    with opened(chromium, file) as page:
        frame = page.frame_locator("iframe")
        assert frame.locator("#step h2").inner_text().startswith("4 tanh")
        frame.get_by_role("tab").nth(1).click()
        assert frame.locator("#step h2").inner_text().startswith("2 tanh")
        assert page.complaints == []
