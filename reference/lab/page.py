"""The lab as one HTML page that holds its pictures, and the pictures as files."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from reference.lab.accident import Accident
from reference.lab.answers import Answer, answers
from reference.lab.figures import figures
from reference.lab.sweep import Run
from reference.lab.table import header, markdown, rows

STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left }
tr + tr { border-top: 1px solid #8888 }
figure { margin: 0 } img { max-width: 100%; background: white; border-radius: .3rem }
"""


def write(
    folder: Path, title: str, runs: Sequence[Run], mishap: Accident
) -> list[Path]:
    """Write `lab.html` and a PNG for each figure; returns these files.

    Beside them stands `lab.md`, the table and the sentences as Markdown.

    Args:
        folder: Made where it is missing.
        title: What was trained, and how.
        runs: All networks.
        mishap: The accident.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: png(figure) for name, figure in figures(runs, mishap).items()}
    files = []
    for name, content in pictures.items():
        files.append(folder / f"{name}.png")
        files[-1].write_bytes(content)
    files.append(folder / "lab.html")
    found = answers(runs, mishap)
    page = render(title, runs, mishap, found, pictures)
    files[-1].write_text(page, encoding="utf-8")
    text = markdown(title, runs, mishap, found)
    (folder / "lab.md").write_text(text, encoding="utf-8")
    return files


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def render(
    title: str,
    runs: Sequence[Run],
    mishap: Accident,
    found: Sequence[Answer],
    pictures: dict[str, bytes],
) -> str:
    """The page."""
    names = "".join(f"<th>{escape(name)}</th>" for name in header(runs))
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for cells in rows(runs, mishap)
    )
    sections = "".join(
        f"<h2>{escape(a.question)}</h2><p>{escape(a.sentence)}</p>"
        f"<figure><img alt='{escape(a.sentence)}' "
        f"src='data:image/png;base64,{base64.b64encode(picture).decode()}'></figure>"
        for a, picture in zip(found, pictures.values())
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>The lab</title><style>{STYLE}</style>"
        f"<h1>The lab</h1><p>{escape(title)}</p>"
        f"<table><tr>{names}</tr>{lines}</table>{sections}</html>\n"
    )
