"""The documentation: its code runs, its pages hold every public name and no network."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from docs.pages import api, rules
from docs.pages.docstring import markdown
from docs.pages.source import exported, modules, own, signature
from reference import Verdict
from reference.registry import LOSSES, RULES

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page):
    text = (DOCS / page).read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def run(page, capsys):
    names: dict = {}
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
    ):
        for block in blocks(page):
            exec(compile(block, page, "exec"), names)
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_the_first_page_says_right(capsys):
    pytest.importorskip("sklearn")
    assert run("index.md", capsys) == ["RIGHT"]


def test_the_tutorial_learns_what_no_line_separates(capsys):
    pytest.importorskip("sklearn")
    trained, fitted, dx, shape, verdict = run("tutorial.md", capsys)
    assert int(re.findall(r"(\d+)%", trained)[0]) >= 90
    assert int(re.findall(r"(\d+)%", fitted)[0]) >= 85
    assert dx.startswith("[0.786") and shape == "(10,)" and verdict == "RIGHT"


@pytest.mark.slow
def test_other_peoples_backward_passes_get_the_verdicts_that_are_written(capsys):
    pytest.importorskip("torch")
    out = run("own_backward.md", capsys)
    page = (DOCS / "own_backward.md").read_text("utf-8")
    written = re.findall(r"verdict\)  # (\w+)", page)
    assert len(written) == 5
    affine = ast.literal_eval(out.pop(4))
    assert out == written
    assert [*affine.values()] == ["RIGHT", "WRONG", "RIGHT"]  # W, b, x.


# docstrings as Markdown


def test_equations_keep_their_columns_and_sections_become_lists():
    text = markdown(
        """First_line with *stars*.

        Why:

            (1)  y_i   = x_i
            (2)  dx_i  = dy_i

        Then more.
        Limits: none at 0.

        1.  One that
            goes on.
        2.  Two.

        Args:
            x: An array [n] of
                numbers.

        Example:
            >>> 1 + 1
            2
        """
    )
    assert "First\\_line with \\*stars\\*." in text
    assert "```text\n(1)  y_i   = x_i\n(2)  dx_i  = dy_i\n```" in text
    assert "Then more.\n\n**Limits.** none at 0." in text
    assert "1.  One that\ngoes on.\n2.  Two." in text
    assert "- `x`: An array \\[n\\] of numbers." in text
    assert "```pycon\n>>> 1 + 1\n2\n```" in text


def test_a_long_signature_is_wrapped_at_its_arguments():
    code = (
        "def f(x: Float[Array, '*b n'], weight_of_it: int=3, *, "
        "another: str='a, b' * 2, more: int=0) -> None: pass"
    )
    lines = signature(ast.parse(code).body[0]).splitlines()
    assert lines[1] == "    x: Float[Array, '*b n'],"
    assert lines[-1] == ") -> None:"


# what the pages hold


@pytest.fixture(scope="module")
def site():
    return {**rules.pages(), **api.pages()}


def test_every_rule_has_a_page_with_its_equations_verdict_and_functions(site):
    for family in ("purefw.layers", "purefw.losses"):
        for name in modules(family)[1:]:
            module = importlib.import_module(name)
            text = site[f"rules/{name.rpartition('.')[2]}"]
            for line in module.__doc__.splitlines():
                if line.startswith("    "):
                    assert line.strip() in text, (name, line)
            for function in own(module):
                anchors = f"({name}.{function})=", f"(class-{name}.{function})="
                assert any(anchor in text for anchor in anchors)
            if rules.entries(name):
                assert "## Verdict" in text, name


def test_every_entry_has_its_verdict_and_no_other():
    found = json.loads((DOCS / "verdicts.json").read_text("utf-8"))
    assert list(found) == [*RULES, *LOSSES]
    said = {verdict for leaves in found.values() for _, verdict, _ in leaves}
    assert said <= {Verdict.RIGHT, Verdict.KINK}


def test_every_public_name_has_a_place(site):
    anchors = set(re.findall(r"^\(([\w.-]+)\)=$", "\n".join(site.values()), re.M))
    tables = set()
    for package in [*modules("purefw"), "reference", "reference.interop"]:
        module = importlib.import_module(package)
        for name in exported(module):
            place = api.anchor(module, name)
            assert not place or place in anchors, f"{package}.{name}"
            tables |= set() if place else {name}
    assert tables <= {"NAMES", "OPENML", "SUFFIXES"}


def test_every_name_that_the_documentation_imports_has_a_place(site):
    text = "\n".join(site.values())
    pages = [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
    sources = [block for page in pages for block in blocks(page)]
    imported = {
        (node.module, name.name)
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("purefw", "reference"))
        for name in node.names
    }
    assert len(imported) > 20
    for module, name in imported:
        place = api.anchor(importlib.import_module(module), name)
        assert f"({place or name})=" in text, (module, name)


def test_the_command_line_is_all_there(site):
    for name in ("check", "trace", "train", "verify", "--html", "--every-input"):
        assert name in site["api/command"]


# the site


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_without_a_network(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_nb")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    built = subprocess.run(
        [*command, str(DOCS), str(tmp_path / "html")], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 100
    fetched = (
        r'<(script|img|iframe|source)[^>]*src="http|<link[^>]*sheet[^>]*href="http'
    )
    for page in pages:
        assert not re.search(fetched, page.read_text("utf-8")), page
    assert "dxhat" in (tmp_path / "html" / "rules" / "layer_norm.html").read_text(
        "utf-8"
    )
