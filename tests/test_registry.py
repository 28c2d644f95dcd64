"""Every registered rule and loss is right at every one of its inputs.

By default the first entry of every fourth constructor, in float32, at the inputs shaped
like its first one, which share the compiled programs; all of them, in 16 bits too, with
-m slow. `purefw verify` judges every entry at its first input.
"""

import zlib

import jax
import jax.numpy as jnp
import pytest

from reference import Report, Verdict, check_loss, check_rule
from reference.registry import LOSSES, RULES, LossEntry
from tests.sampled import one_in

ENTRIES = {**RULES, **LOSSES}


def judged(name: str, situation: str, dtype) -> Report:
    """The report on an entry at one of its inputs, rounded to a dtype."""
    entry = ENTRIES[name]
    key = jax.random.key(zlib.crc32(f"{name}/{situation}".encode()))
    if isinstance(entry, LossEntry):
        return check_loss(entry.loss, *rounded(entry.inputs[situation](key), dtype))
    params_key, x_key, key = jax.random.split(key, 3)
    x = rounded(entry.inputs[situation](x_key), dtype)
    params = rounded(entry.draw_params(params_key), dtype)
    return check_rule(entry.rule, x, params=params, key=key)


def rounded(tree, dtype):
    """Float leaves in a dtype, others as they are."""
    return jax.tree.map(
        lambda v: v.astype(dtype) if jnp.issubdtype(v.dtype, jnp.floating) else v, tree
    )


def overflows(report: Report) -> bool:
    """Whether the forward itself leaves the dtype's range: then nothing is judged."""
    return any("forward must return finite values" in s for s in report.broken)


def assert_right(name: str, dtype, situations) -> None:
    """RIGHT, or KINK, at these inputs of an entry."""
    reports = {s: judged(name, s, dtype) for s in situations}
    accused = [
        f"{situation}: {report}"
        for situation, report in reports.items()
        if report.verdict not in (Verdict.RIGHT, Verdict.KINK)
        and not (dtype != "float32" and overflows(report))
    ]
    assert not accused, "\n".join(accused)


def first_of_each() -> list[str]:
    """The name of the first entry of each constructor."""
    names = {}
    for name, entry in ENTRIES.items():
        made = entry.loss if isinstance(entry, LossEntry) else entry.rule
        names.setdefault((type(entry), made.name), name)
    return list(names.values())


def shaped_alike(name: str) -> list[str]:
    """The situations whose inputs have the shapes of the first one's."""
    draws = ENTRIES[name].inputs
    drawn = {s: draw(jax.random.key(0)) for s, draw in draws.items()}
    shapes = {s: str(jax.tree.map(jnp.shape, v)) for s, v in drawn.items()}
    return [s for s in shapes if shapes[s] == next(iter(shapes.values()))]


@pytest.mark.parametrize("name", one_in(4, first_of_each()))
def test_is_right(name):
    assert_right(name, "float32", shaped_alike(name))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ENTRIES)
def test_is_right_at_every_input(name, dtype):
    assert_right(name, dtype, ENTRIES[name].inputs)
