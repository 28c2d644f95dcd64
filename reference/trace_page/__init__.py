"""A trace as one HTML page that needs neither a server nor a network.

page.html is the frame, page.css the looks; page.js builds the rest from the trace,
which the page holds as JSON. Arrays travel as reference.trace_page.picture makes them.
"""

import json
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.report import plain
from reference.trace_page.picture import picture

if TYPE_CHECKING:
    from reference.locate.trace import Comparison, Step, Trace


def page(trace: "Trace") -> str:
    """The whole file.

    Args:
        trace: What reference.locate.locate returns, best with jacobians=True.

    Returns:
        HTML. About 2 kB for each array that is drawn, whatever its size.
    """
    data = json.dumps(plain(content(trace)), allow_nan=False, ensure_ascii=False)
    filled = {
        "title": escape(f"{trace.network} under {trace.loss}"),
        "style": text("page.css"),
        "script": text("page.js"),
        "text": escape(str(trace)),
        "data": data.replace("<", "\\u003c"),  # No tag can end the script.
    }
    html = text("page.html")
    for name, value in filled.items():
        html = html.replace("{{" + name + "}}", value, 1)
    return html


def framed(trace: "Trace") -> str:
    """The page in a frame of its own, so that a notebook's styles and it stay apart."""
    return (
        "<iframe title='The chain rule, step by step' sandbox='allow-scripts' "
        "style='width: 100%; height: 46rem; border: 1px solid #8888; "
        f'border-radius: .5rem\' srcdoc="{escape(page(trace))}"></iframe>'
    )


@cache
def text(name: str) -> str:
    """A file of this package."""
    return (files(__name__) / name).read_text(encoding="utf-8")


def content(trace: "Trace") -> dict[str, Any]:
    """What page.js reads."""
    paths = {step.path for step in trace.steps}
    return {
        "network": trace.network,
        "loss": trace.loss,
        "value": trace.value,
        "sentences": trace.sentences(),
        "notes": trace.notes,
        "outside": [str(f) for f in trace.faults if f.path not in paths],
        "first": trace.first.path if trace.first else None,
        "budget": trace.budget,
        "gradient": trace.gradient,
        "steps": [of_step(step) for step in trace.steps],
    }


def of_step(step: "Step") -> dict[str, Any]:
    """One step."""
    sides = {"params": step.params, "x": step.x, "y": step.y, "dy": step.dy}
    return {
        "number": step.number,
        "path": step.path,
        "rule": step.rule,
        "state": step.state,
        "faults": [f"{f.role}: {f.leaf} {f.sentence}" for f in step.faults],
        "forward": step.equations.forward,
        "backward": step.equations.backward,
        "sides": {name: pictures(arrays) for name, arrays in sides.items()},
        "dyFlowed": step.dy_flowed,
        "jacobian": None if step.jacobian is None else picture(step.jacobian),
        "cotangents": {k: of_comparison(c) for k, c in step.cotangents.items()},
    }


def of_comparison(c: "Comparison") -> dict[str, Any]:
    """A cotangent by hand, by autodiff, and their difference."""
    hand = None if c.hand is None else np.asarray(c.hand, np.float64)
    return {
        "verdict": c.verdict,
        "units": c.units,
        "relative": c.relative,
        "flowed": c.flowed,
        "hand": None if hand is None else picture(hand),
        "autodiff": picture(c.autodiff),
        "difference": None if hand is None else picture(hand - c.autodiff),
    }


def pictures(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Each array of one side of a step."""
    return {name: picture(v) for name, v in arrays.items()}
