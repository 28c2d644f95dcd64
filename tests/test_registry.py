"""Every registered rule and loss is right at every one of its inputs.

In float32 always; in bfloat16 and float16 under `-m slow`. The inputs of one entry are
judged in one test, because those of one shape share the compiled programs.
"""

import zlib

import jax
import jax.numpy as jnp
import pytest

from reference import Report, Verdict, check_loss, check_rule
from reference.registry import LOSSES, RULES, LossEntry

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


def assert_right(name: str, dtype) -> None:
    """RIGHT, or KINK, at every input of an entry."""
    reports = {s: judged(name, s, dtype) for s in ENTRIES[name].inputs}
    accused = [
        f"{situation}: {report}"
        for situation, report in reports.items()
        if report.verdict not in (Verdict.RIGHT, Verdict.KINK)
        and not (dtype != "float32" and overflows(report))
    ]
    assert not accused, "\n".join(accused)


@pytest.mark.parametrize("name", ENTRIES)
def test_is_right_at_every_input(name):
    assert_right(name, "float32")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ENTRIES)
def test_is_right_at_every_input_in_16_bits(name, dtype):
    assert_right(name, dtype)
