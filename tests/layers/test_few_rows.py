"""The weight gradient of few rows: another form on a CPU, the same numbers."""

import jax
import jax.numpy as jnp
import pytest

from purefw.layers.linear import linear
from purefw.shared import few_rows
from purefw.shared.few_rows import weight_gradient
from reference import chance, check_rule
from reference.verdict import Verdict

LARGE = 241, 137  # More than few_rows.LARGE entries.


def drawn(rows, keys, shape=LARGE, dtype=float):
    return [chance.normal(next(keys), (rows, n)).astype(dtype) for n in shape]


def eps(dtype):
    return float(jnp.finfo(dtype).eps)


def products(x, dy):
    return str(jax.make_jaxpr(weight_gradient)(x, dy)).count("dot_general")


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("rows", [2, 5, 8])
def test_the_sum_is_the_product(rows, dtype, keys):
    x, dy = drawn(rows, keys, dtype=dtype)
    found = weight_gradient(x, dy)
    wide = x.astype(float), dy.astype(float)
    exact, size = wide[0].T @ wide[1], jnp.abs(wide[0]).T @ jnp.abs(wide[1])
    # Each of the sums rounds once, and the result once more.
    unit = rows * min(eps(dtype), eps("float32")) + eps(dtype)
    assert products(x, dy) == 0 and found.dtype == dtype
    assert (jnp.abs(found.astype(float) - exact) <= unit / 2 * size).all()


@pytest.mark.parametrize("rows,shape", [(1, LARGE), (9, LARGE), (4, (7, 5))])
def test_elsewhere_it_is_a_product(rows, shape, keys):
    assert products(*drawn(rows, keys, shape)) == 1


def test_on_other_devices_it_is_a_product(keys, monkeypatch):
    monkeypatch.setattr(few_rows, "on_cpu", lambda: False)
    assert products(*drawn(4, keys)) == 1


def test_a_step_stores_no_gradient(keys):
    x, dy = drawn(4, keys)
    weight = chance.normal(next(keys), LARGE)

    def temporary(gradient):
        step = jax.jit(lambda w, x, dy: w - 0.1 * gradient(x, dy), donate_argnums=0)
        analysis = step.lower(weight, x, dy).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    assert temporary(weight_gradient) < weight.nbytes / 16
    assert temporary(lambda x, dy: x.T @ dy) >= weight.nbytes


def test_the_rule_is_right_with_it(keys):
    rule = linear(*LARGE)
    x = chance.normal(next(keys), (3, LARGE[0]))
    assert check_rule(rule, x, points=1).verdict is Verdict.RIGHT
