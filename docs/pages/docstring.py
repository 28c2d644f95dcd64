"""A docstring of this project as Markdown.

What is indented by four spaces is shown as it stands, so that equations keep their
columns; Google's sections become lists; an example becomes code; all else is text.
"""

import inspect
import re
from itertools import groupby

SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Example|Examples|Yields):$")
ENTRY = re.compile(r"([\w*., ]+?): (.*)", re.DOTALL)
LEAD = re.compile(
    "^((?:Convention|Cost|Edge|Invariant|Kink|Limit|Reference|Source|Tie)s?|Memory|"
    "Precision): ",
    re.MULTILINE,
)
ITEM = re.compile(r"(\d+\.|-) ")
CODE = re.compile(r"(`[^`]+`)")


def markdown(docstring: str) -> str:
    """The whole docstring.

    Args:
        docstring: As it stands in the source, or cleaned.

    Returns:
        Markdown, without a heading.
    """
    parts = []
    for heading, body in sections(inspect.cleandoc(docstring)):
        if not heading:
            parts += blocks(body)
        elif heading.startswith("Example"):
            parts += ["**Example**", fenced(body, "pycon")]
        elif heading in ("Returns", "Yields"):
            parts += [f"**{heading}**", *blocks(body)]
        else:
            parts += [f"**{heading}**", *listed(body)]
    return "\n\n".join(parts)


def sections(text: str) -> list[tuple[str, str]]:
    """(heading, body) in order; the heading is empty for what stands outside one."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if SECTION.match(line):
            found.append((line[:-1], []))
        elif found[-1][0] and line.strip() and not line.startswith(" "):
            found.append(("", [line]))
        else:
            found[-1][1].append(line)
    whole = [(heading, inspect.cleandoc("\n".join(["", *b]))) for heading, b in found]
    return [(heading, body) for heading, body in whole if body.strip()]


def blocks(text: str) -> list[str]:
    """Paragraphs, and what is indented as literal text."""
    found = []
    for indented, lines in groupby(joined(text), lambda part: part.startswith("    ")):
        if indented:
            found.append(fenced(inspect.cleandoc("\n" + "\n\n".join(lines)), "text"))
        else:
            found += [led(escaped(line)) for line in lines]
    return found


def led(text: str) -> str:
    """What begins with a word and a colon is a paragraph, and the word is bold."""
    return LEAD.sub(r"\n**\1.** ", text).strip()


def joined(text: str) -> list[str]:
    """The text cut at blank lines, and where the indentation of no list changes."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text):
        if ITEM.match(paragraph):
            parts.append(re.sub(r"\n +", "\n", paragraph))
            continue
        for _, lines in groupby(
            paragraph.splitlines(), lambda line: line.startswith("    ")
        ):
            parts.append("\n".join(lines))
    return parts


def listed(text: str) -> list[str]:
    """`name: what it is` as one item each; other text as it is."""
    items: list[str] = []
    for line in text.splitlines():
        if items and (not line.strip() or line.startswith(" ")):
            items[-1] += "\n" + line.strip()
        else:
            items.append(line)
    return ["\n".join(f"- {entry(item)}" for item in items)]


def entry(item: str) -> str:
    """One argument, attribute or error."""
    text = " ".join(item.split())
    found = ENTRY.match(text)
    return f"`{found[1]}`: {escaped(found[2])}" if found else escaped(text)


def escaped(text: str) -> str:
    """Text in which Markdown sees nothing but inline code."""
    parts = CODE.split(text)
    return "".join(
        part if CODE.fullmatch(part) else re.sub(r"([*_<>\[\]|#$~{}\\])", r"\\\1", part)
        for part in parts
    )


def fenced(text: str, language: str) -> str:
    """A block of code or of literal text."""
    return f"```{language}\n{text}\n```"
