"""`purefw report`: a class's results as one page."""

from pathlib import Path
from typing import Annotated

import typer

from reference.teaching.class_report import as_html, as_text, results_in, summaries


def report(
    folder: Annotated[
        Path, typer.Argument(help="With the files of `purefw grade --json`.")
    ],
    html: Annotated[Path | None, typer.Option(help="Write the page here.")] = None,
) -> None:
    """Which term is misunderstood by how many, without names."""
    found = summaries(results_in(folder))
    print(as_text(found))
    if html is not None:
        html.write_text(as_html(found))
