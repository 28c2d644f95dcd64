"""Parts of pages that a command writes: tables, and the place between two marks."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    Example:
        >>> print(table(["rule", "mutants"], [["relu", "4"]]))
        | rule | mutants |
        | --- | --- |
        | relu | 4 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def replaced(page: str, name: str, generated: str, *, who: str) -> str:
    """A page with another text between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: the marks are missing; `who` begins the sentence.

    Example:
        >>> replaced("a <!-- n --> old <!-- /n --> b", "n", "new", who="page")
        'a <!-- n -->\\nnew\\n<!-- /n --> b'
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.partition(start)
    _, also, after = rest.partition(end)
    if not (found and also):
        raise ValueError(f"{who}: the page must hold {start} and {end}")
    return f"{before}{start}\n{generated}\n{end}{after}"
