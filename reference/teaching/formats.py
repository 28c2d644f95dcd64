"""What graders read: Gradescope's results.json and JUnit's XML.

Gradescope: https://gradescope-autograders.readthedocs.io/en/latest/specs/, "Output
format": `tests`, each with score, max_score, name and output. What a student has not
asked for is not in it; `purefw grade --json` has it for the teacher.
JUnit: one testcase a term, a failure with a message where points are lost.
"""

import json
from typing import Any
from xml.etree import ElementTree

from reference.teaching.marks import Grade, Mark


def gradescope(grade: Grade) -> str:
    """results.json; a student sees the state of each term and the hints given."""
    tests = [one_test(m, grade.hints) for m in grade.marks]
    body: dict[str, Any] = {
        "score": grade.points,
        "execution_time": round(grade.seconds, 2),
        "output": f"The submission {grade.refused}." if grade.refused else "",
        "output_format": "text",
        "visibility": "visible",
        "tests": tests,
        "extra_data": {"hints": grade.hints},
    }
    return json.dumps(body, indent=1)


def one_test(mark: Mark, hints: int) -> dict[str, Any]:
    """A term as a test."""
    return {
        "name": mark.name,
        "score": mark.points,
        "max_score": mark.of,
        "status": "passed" if mark.is_full else "failed",
        "output": "\n".join([mark.state, *mark.hints(hints)]),
        "output_format": "text",
        "visibility": "visible",
    }


def junit(grade: Grade) -> str:
    """XML of one suite."""
    failed = [m for m in grade.marks if not m.is_full]
    suite = ElementTree.Element(
        "testsuite",
        name=grade.exercise,
        tests=str(len(grade.marks)),
        failures=str(len(failed)),
        errors="0",
        time=f"{grade.seconds:.2f}",
    )
    for m in grade.marks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=grade.exercise, name=m.name, time="0"
        )
        if not m.is_full:
            message = grade.refused or m.state
            failure = ElementTree.SubElement(case, "failure", message=message)
            failure.text = "\n".join(m.hints(grade.hints))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
