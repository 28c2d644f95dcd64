"""Execute the notebooks of docs/notebooks and keep their outputs.

python -m docs.pages.notebooks           # all: a minute or two
python -m docs.pages.notebooks lesson    # one
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with new outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raises, its asserts included.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # Times of day.
    return notebook


def main(names: list[str]) -> None:
    """Execute and write."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            nbformat.write(executed(path), path)
            print(path.stem, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
