"""The equations of a derivation and the tags on the code that computes them agree.

An equation is a numbered, indented line of a module's docstring; its tag is the number
in a comment, `# (3)`. A step that no code computes stands without a number, or the
docstring says `Not computed: (3).`
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

PUREFW = Path(__file__).parents[1] / "purefw"
NUMBER = re.compile(r"(?<!\w)\((\d+[a-z]?)\)")
DERIVATIONS = (
    "affine",
    "logistic",
    "normal",
    "recurrence",
    "rotation",
    "softmax_attention",
)
FILES = [
    *sorted((PUREFW / "layers").rglob("*.py")),
    *sorted((PUREFW / "losses").rglob("*.py")),
    *sorted((PUREFW / "compose").rglob("*.py")),
    *(PUREFW / "shared" / f"{name}.py" for name in DERIVATIONS),
]


def defined(docstring: str) -> set[str]:
    """The numbers of the equations: at the head of an indented line, or in a column."""
    lines = [line for line in docstring.splitlines() if line.startswith("    ")]
    heads = [re.match(r" +\((\d+[a-z]?)\) ", line) for line in lines]
    columns = [n for line in lines for n in re.findall(r"  \((\d+[a-z]?)\)  ", line)]
    return {head.group(1) for head in heads if head} | set(columns)


def not_computed(docstring: str) -> set[str]:
    """The numbers that the docstring declares to be steps of the derivation only."""
    sentences = re.findall(r"Not computed: ([^.]*)\.", docstring)
    return {n for sentence in sentences for n in NUMBER.findall(sentence)}


def tags(source: str) -> set[str]:
    """The numbers in the comments."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [t.string for t in tokens if t.type == tokenize.COMMENT]
    return {n for c in comments if c.startswith("# (") for n in NUMBER.findall(c)}


def disagreements(source: str) -> list[str]:
    """Equations without a tag, tags without an equation, references to nothing."""
    docstring = ast.get_docstring(ast.parse(source), clean=False) or ""
    equations, exempt = defined(docstring), not_computed(docstring)
    computed, tagged = equations - exempt, tags(source)
    mentioned = set(NUMBER.findall(docstring))
    return (
        [f"({n}) has no tag" for n in sorted(computed - tagged)]
        + [f"tag ({n}) has no equation" for n in sorted(tagged - equations)]
        + [f"({n}) is tagged and said not to be computed" for n in exempt & tagged]
        + [f"({n}) is mentioned and not defined" for n in sorted(mentioned - equations)]
    )


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_equations_and_tags_agree(path):
    assert disagreements(path.read_text()) == []


GOOD = '''"""Double, then add.

    (1)  u = 2 x
    (2)  y = u + 1        (3)  z = y

(2): follows from (1).
"""
u = 2 * x  # (1)
y = u + 1  # (2)
z = y  # (3)
'''


def test_a_faithful_module_passes():
    assert disagreements(GOOD) == []
    step = GOOD.replace("(2): follows", "Not computed: (3).\n(2): follows")
    assert disagreements(step.replace("z = y  # (3)", "")) == []


@pytest.mark.parametrize(
    "old,new,complaint",
    [
        ("  # (1)", "", "(1) has no tag"),
        ("  # (3)", "", "(3) has no tag"),
        ("    (1)  u = 2 x\n", "", "tag (1) has no equation"),
        ("# (2)", "# (4)", "tag (4) has no equation"),
        ("follows from (1)", "follows from (7)", "(7) is mentioned and not defined"),
        ("(2): ", "Not computed: (1).\n", "(1) is tagged and said not to be computed"),
    ],
)
def test_a_planted_disagreement_is_found(old, new, complaint):
    assert old in GOOD
    assert complaint in disagreements(GOOD.replace(old, new))
