"""Which slips each primitive may suffer: one small mistake a line.

The operators are those of mutation testing of arithmetic (operands dropped or swapped,
operators exchanged) and those of backward passes: a sum that is a mean, one entry for a
sum, = for +=, a matrix transposed, a recursion that runs the other way, the cotangent
of a last state lost.
"""

from functools import partial

import jax.numpy as jnp
from jax import lax

from reference.mutate.slips import (
    Operator,
    all_but_last,
    always,
    changed_kernel,
    chosen,
    count,
    dropped,
    entry,
    exchanged,
    kept,
    number,
    other_way,
    power,
    reduced,
    renamed,
    rescattered,
    running,
    scan_operators,
    shifted_indices,
    shifted_slice,
    swapped_operands,
    swapped_outputs,
    swapped_padding,
    times,
    transposed,
    without_left,
    without_right,
)


def operators_for(eqn) -> list[Operator]:
    """Every operator that an equation's primitive may suffer, applicable or not."""
    name = eqn.primitive.name
    found = list(SLIPS.get(name, ()))
    if name == "scan":
        found += scan_operators(eqn)
    is_float = all(jnp.issubdtype(v.aval.dtype, jnp.inexact) for v in eqn.outvars)
    if name in SCALED and is_float:
        found += [times(1.001), times(2.0)]
    return found


ADD = [
    exchanged("a + b", "a - b", lax.sub),
    without_right("+"),
    without_left("+"),
]
COMPARISONS = {
    "gt": (">", [(">=", lax.ge), ("<", lax.lt)]),
    "ge": (">=", [(">", lax.gt), ("<=", lax.le)]),
    "lt": ("<", [("<=", lax.le), (">", lax.gt)]),
    "le": ("<=", [("<", lax.lt), (">=", lax.ge)]),
    "eq": ("==", [("!=", lax.ne)]),
    "ne": ("!=", [("==", lax.eq)]),
}
FUNCTIONS = {
    "abs": [], "acosh": [], "asin": [], "asinh": [], "atan": [], "atanh": [],
    "cbrt": [], "ceil": [], "cosh": [("sinh", lax.sinh)], "cos": [("sin", lax.sin)],
    "digamma": [], "erf": [], "erf_inv": [], "exp": [("log", lax.log)],
    "exp2": [("exp", lax.exp)], "expm1": [("exp", lax.exp)], "floor": [],
    "lgamma": [], "log": [("log1p", lax.log1p)], "log1p": [("log", lax.log)],
    "logistic": [("tanh", lax.tanh)], "round": [], "rsqrt": [("sqrt", lax.sqrt)],
    "sign": [], "sin": [("cos", lax.cos)], "sinh": [("cosh", lax.cosh)],
    "sqrt": [("rsqrt", lax.rsqrt)], "square": [("2", lambda a: a + a)], "tan": [],
    "tanh": [("logistic", lax.logistic)],
}  # fmt: skip
MEAN = reduced(
    "sum to mean",
    "a sum becomes a mean",
    lambda a, axes: jnp.sum(a, axis=axes) / count(axes, a.shape),
)
FIRST = reduced(
    "sum to first", "the first entry stands for the sum", partial(entry, place=0)
)
SHORT = reduced("last dropped", "the last summand is lost", all_but_last)
NUMBER = reduced("sum to count", "all entries are counted, masked ones too", number)
SLIPS: dict[str, list[Operator]] = {
    "add": ADD,
    "add_any": ADD,
    "sub": [
        exchanged("a - b", "b - a", lambda a, b: b - a),
        exchanged("a - b", "a + b", lax.add),
        without_right("-"),
        without_left("-", lambda a, b: -b, "-b"),
    ],
    "mul": [
        exchanged("a * b", "a + b", lax.add),
        without_right("*"),
        without_left("*"),
    ],
    "div": [
        exchanged("a / b", "a * b", lax.mul),
        exchanged("a / b", "b / a", lambda a, b: lax.div(b, a)),
        without_right("/"),
    ],
    "max": [exchanged("max(a, b)", "min(a, b)", lax.min), without_right("max")],
    "min": [exchanged("min(a, b)", "max(a, b)", lax.max), without_right("min")],
    "pow": [
        exchanged("a ** b", "a ** (b + 1)", lambda a, b: lax.pow(a, b + 1)),
        exchanged("a ** b", "a ** (b - 1)", lambda a, b: lax.pow(a, b - 1)),
        without_right("**"),
    ],
    "integer_pow": [power(1), power(-1)],
    "neg": [dropped("-")],
    "not": [dropped("not")],
    "and": [exchanged("a & b", "a | b", lax.bitwise_or), without_right("&"),
            without_left("&")],
    "or": [exchanged("a | b", "a & b", lax.bitwise_and), without_right("|"),
           without_left("|")],
    "select_n": [
        chosen(lambda b: [b[1], b[0]], "branches swapped",
               "the two branches of a choice are exchanged"),
        chosen(lambda b: [b[0], b[0]], "false branch always",
               "a choice always takes what stands for False"),
        chosen(lambda b: [b[1], b[1]], "true branch always",
               "a choice always takes what stands for True"),
    ],
    "clamp": [Operator("drop", "a value is not clamped", lambda e, v: [v[1]])],
    "reduce_sum": [MEAN, FIRST, SHORT, NUMBER],
    "reduce_max": [
        reduced("max to min", "a maximum becomes a minimum",
                lambda a, axes: jnp.min(a, axis=axes)),
        FIRST,
    ],
    "reduce_min": [
        reduced("min to max", "a minimum becomes a maximum",
                lambda a, axes: jnp.max(a, axis=axes)),
    ],
    "reduce_prod": [
        reduced("product to sum", "a product becomes a sum",
                lambda a, axes: jnp.sum(a, axis=axes)),
    ],
    "reduce_and": [reduced("all to any", "`all` becomes `any`",
                           lambda a, axes: jnp.any(a, axis=axes))],
    "reduce_or": [reduced("any to all", "`any` becomes `all`",
                          lambda a, axes: jnp.all(a, axis=axes))],
    "argmax": [reduced("argmax to argmin", "`argmax` becomes `argmin`",
                       lambda a, axes: jnp.argmin(a, axis=axes[0]))],
    "argmin": [reduced("argmin to argmax", "`argmin` becomes `argmax`",
                       lambda a, axes: jnp.argmax(a, axis=axes[0]))],
    **{
        name: [
            running("reversed", "a running result runs the other way", other_way),
            running("drop", "a running result is not taken", None),
        ]
        for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
    },
    "dot_general": [transposed(0), transposed(1)],
    "transpose": [kept("drop", "axes are not exchanged")],
    "rev": [kept("drop", "an axis is not reversed")],
    "conv_general_dilated": [
        Operator("kernel flipped", "the kernel of a convolution is flipped",
                 changed_kernel),
    ],
    "scatter-add": [
        Operator("= for +=", "`.at[].add` becomes `.at[].set`", rescattered("scatter")),
        kept("drop", "nothing is added at the indices"),
        Operator("indices + 1", "indices are off by one", shifted_indices),
    ],
    "scatter": [
        Operator("+= for =", "`.at[].set` becomes `.at[].add`",
                 rescattered("scatter-add")),
        kept("drop", "nothing is written at the indices"),
        Operator("indices + 1", "indices are off by one", shifted_indices),
    ],
    "gather": [Operator("indices + 1", "indices are off by one", shifted_indices)],
    "dynamic_slice": [
        Operator("indices + 1", "indices are off by one", shifted_indices)
    ],
    "dynamic_update_slice": [kept("drop", "nothing is written at the indices")],
    "concatenate": [
        Operator("parts swapped", "the first two parts are exchanged", swapped_operands)
    ],
    "split": [
        Operator("parts swapped", "the first two parts are exchanged",
                 after=swapped_outputs)
    ],
    "pad": [
        Operator("padding swapped", "padding before and after are exchanged",
                 swapped_padding)
    ],
    "slice": [
        Operator("slice + 1", "a slice begins one entry later", shifted_slice(1)),
        Operator("slice - 1", "a slice begins one entry earlier", shifted_slice(-1)),
    ],
    "cond": [always(0), always(1)],
    **{
        name: [exchanged(f"a {sign} b", f"a {other} b", f) for other, f in others]
        for name, (sign, others) in COMPARISONS.items()
    },
    **{
        name: [dropped(name), *(renamed(name, other, f) for other, f in others)]
        for name, others in FUNCTIONS.items()
    },
}  # fmt: skip

SCALED = {
    "add", "add_any", "conv_general_dilated", "cumsum", "div", "dot_general", "gather",
    "integer_pow", "mul", "neg", "pow", "reduce_max", "reduce_sum",
    "reduce_window_sum", "scatter-add", "select_n", "sub", *FUNCTIONS,
}  # fmt: skip
