"""Sphinx: Markdown to a site; the pages of rules and of the API are generated here."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from docs.pages import api, rules  # noqa: E402  The path comes first.

project = "purefw"
extensions = ["myst_nb"]
exclude_patterns = ["_build", "pages"]
html_theme = "furo"
html_title = "purefw"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"
myst_heading_anchors = 3
nb_execution_mode = "off"  # Notebooks are executed by a test, and kept with outputs.
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type"]


def setup(app):
    """Write the generated pages that changed, before Sphinx looks for sources."""
    for name, text in {**rules.pages(), **api.pages()}.items():
        path = HERE / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text + "\n":
            path.write_text(text + "\n", "utf-8")
