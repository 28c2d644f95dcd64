"""A class's page: counts of terms, no names."""

import json
from dataclasses import replace

import pytest

from reference.teaching.class_report import as_html, as_text, results_in, summaries
from reference.teaching.marks import Grade, Mark
from tests.browser import browser, opened

RIGHT = Mark("dx: mean")
LOST = replace(RIGHT, points=0.0, label="term: mean missing")
HALF = replace(RIGHT, points=0.5)


def written(folder, marks, refused=""):
    for k, mark in enumerate(marks):
        grade = Grade("layer_norm", 314159 + k, (mark,), refused, hints=k % 3)
        (folder / f"alice{k}.json").write_text(grade.to_json())


def test_terms_are_counted(tmp_path):
    written(tmp_path, [RIGHT, LOST, LOST, HALF])
    (summary,) = summaries(results_in(tmp_path))
    term = summary.terms["dx: mean"]
    assert (summary.count, term.lost, term.half) == (4, 2, 1)
    text = as_text([summary])
    assert "3 of 4  dx: mean" in text and "2 × term: mean missing" in text


def test_no_name_and_no_seed_reaches_the_page(tmp_path):
    written(tmp_path, [RIGHT, LOST, LOST])
    found = summaries(results_in(tmp_path))
    for page in (as_text(found), as_html(found)):
        assert "dx: mean" in page
        assert "alice" not in page and "314159" not in page


def test_a_small_class_is_left_out(tmp_path):
    written(tmp_path, [LOST, LOST])
    found = summaries(results_in(tmp_path))
    assert "dx: mean" not in as_text(found) + as_html(found)
    assert "fewer than 3" in as_text(found)


def test_what_was_not_judged_counts_apart(tmp_path):
    written(tmp_path, [LOST] * 3, refused="never ends")
    (summary,) = summaries(results_in(tmp_path))
    assert summary.refused == 3 and not summary.terms


def test_the_page_escapes_what_it_shows():
    marks = (replace(LOST, label="<script>"),)
    page = as_html(summaries([Grade("x", 0, marks)] * 3))
    assert "<script>" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(tmp_path, scheme):
    long = replace(LOST, name="weights: dscores: whole row", label="x" * 90)
    grades = [Grade("attention", 0, (long, replace(HALF, label="")), hints=2)] * 3
    file = tmp_path / "class.html"
    file.write_text(as_html(summaries(grades)), encoding="utf-8")
    with browser() as running, opened(running, file, width=390, scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.get_by_text("at edges only").is_visible()
        assert page.complaints == []


def test_hints_beside_the_results_are_no_results(tmp_path):
    written(tmp_path, [RIGHT] * 3)
    (tmp_path / "01_linear.py.hints.json").write_text(json.dumps({"hints": 1}))
    assert len(results_in(tmp_path)) == 3


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="report: FOLDER must hold results"):
        results_in(tmp_path)
