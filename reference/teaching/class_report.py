"""A class's results as one page: which term is misunderstood by how many, no names.

Results are counted; neither a file's name nor a seed reaches the page. A class of fewer
than FEWEST results of an exercise is left out, because there a count is a name.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from reference.teaching.marks import HINTS, Grade, grade_from

FEWEST = 3
STYLE = """
:root { color-scheme: light dark; --wrong: light-dark(#b3141d, #ff9a9e); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.3; }
h2 { font-size: 1.2rem; margin: 2rem 0 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem .4rem 0; vertical-align: top;
         border-bottom: 1px solid #8886; overflow-wrap: anywhere; }
.bar { display: block; width: 6rem; height: .5rem; background: #8883; }
.bar span { display: block; height: 100%; background: var(--wrong); }
th:nth-child(2) { width: 9rem; }
small { opacity: .8; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; }
  tr { display: grid; grid-template-columns: 1fr 7rem; gap: 0 1rem; padding: .5rem 0;
       border-bottom: 1px solid #8886; }
  th, td { border: 0; padding: .1rem 0; }
  tr:first-child { display: none; }
  td:last-child { grid-column: 1 / -1; }
}
"""


@dataclass
class Term:
    """What a class did with one term.

    Attributes:
        name: "dx: mean".
        lost: How many lost it wholly.
        half: How many were wrong on unusual configurations alone.
        causes: What was proved of the wrong ones, and how often.
    """

    name: str
    lost: int = 0
    half: int = 0
    causes: Counter = field(default_factory=Counter)

    @property
    def wrong(self) -> int:
        """How many did not get it right."""
        return self.lost + self.half


@dataclass
class Summary:
    """What a class did with one exercise.

    Attributes:
        exercise: Its name.
        count: How many results.
        refused: How many were not judged at all.
        hints: How many took so many hints.
        terms: In the order of the exercise.
    """

    exercise: str
    count: int = 0
    refused: int = 0
    hints: Counter = field(default_factory=Counter)
    terms: dict[str, Term] = field(default_factory=dict)


def results_in(folder: Path) -> list[Grade]:
    """Every result of `purefw grade --json` under a folder.

    Raises:
        ValueError: there is none, or a .json file that is no result.
    """
    kept = [p for p in folder.rglob("*.json") if not p.name.endswith(".hints.json")]
    if not kept:
        raise ValueError(f"report: FOLDER must hold results, got {folder}")
    return [grade_from(p.read_text()) for p in sorted(kept)]


def summaries(grades: Iterable[Grade]) -> list[Summary]:
    """One an exercise."""
    found: dict[str, Summary] = {}
    for grade in grades:
        summary = found.setdefault(grade.exercise, Summary(grade.exercise))
        summary.count += 1
        summary.hints[grade.hints] += 1
        if grade.refused:
            summary.refused += 1
            continue
        for mark in grade.marks:
            term = summary.terms.setdefault(mark.name, Term(mark.name))
            if mark.is_full:
                continue
            term.lost += mark.points == 0
            term.half += mark.points > 0
            term.causes[mark.label or "no cause proved"] += 1
    return list(found.values())


def as_text(found: list[Summary]) -> str:
    """For a terminal: the terms that are wrong, the most common first."""
    lines: list[str] = []
    for s in found:
        lines.append(f"{s.exercise}: {headline(s)}")
        for term in wrong_terms(s):
            lines.append(f"  {term.wrong:>3} of {s.count - s.refused}  {term.name}")
            lines += [f"{'':<14}{n} × {cause}" for cause, n in causes(term)]
    return "\n".join(lines)


def headline(s: Summary) -> str:
    """How many results an exercise has, in one line."""
    if s.count < FEWEST:
        return f"fewer than {FEWEST} results, not shown"
    return f"{s.count} results, {s.refused} not judged; hints: {climbed(s)}"


def climbed(s: Summary) -> str:
    """How many went how far up the ladder."""
    names = ("none", *HINTS)
    return ", ".join(f"{n} × {names[k]}" for k, n in sorted(s.hints.items()))


def wrong_terms(s: Summary) -> list[Term]:
    """The most common first; none where the class is too small."""
    if s.count < FEWEST:
        return []
    wrong = [t for t in s.terms.values() if t.wrong]
    return sorted(wrong, key=lambda t: -t.wrong)


def causes(term: Term) -> list[tuple[str, int]]:
    """The three most common."""
    return term.causes.most_common(3)


def as_html(found: list[Summary]) -> str:
    """One page that needs no server and no network."""
    parts = [section(s) for s in found]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Class report</title><style>{STYLE}</style></head><body>"
        "<h1>Which term is misunderstood by how many</h1>"
        f"{''.join(parts)}</body></html>\n"
    )


def section(s: Summary) -> str:
    """An exercise with its table."""
    rows = "".join(row(s, term) for term in wrong_terms(s))
    head = f"<h2>{escape(s.exercise)}</h2><p>{escape(headline(s))}</p>"
    if not rows:
        return head
    return f"{head}<table><tr><th>term<th>wrong<th>causes</tr>{rows}</table>"


def row(s: Summary, term: Term) -> str:
    """A term."""
    judged = s.count - s.refused
    width = term.wrong / judged
    said = "<br>".join(f"{n} × {escape(cause)}" for cause, n in causes(term))
    edges = f"<small>{term.half} at edges only</small>" if term.half else ""
    return (
        f"<tr><td><code>{escape(term.name)}</code>"
        f"<td>{term.wrong} of {judged}"
        f'<span class="bar"><span style="width:{width:.0%}"></span></span>'
        f"{edges}<td><small>{said}</small></tr>"
    )
