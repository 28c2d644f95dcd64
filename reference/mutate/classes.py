"""The class of a mistake: those of public code, C1 to C14, or a slip in the formula.

C1   cotangent lost         C2   missing term       C3   sign, swap
C4   scale                  C5   reduction          C6   axis, layout
C7   overwritten            C8   masks              C9   wrong residual
C11  kinks, choices         C12  precision          C13  layout, blocks
C14  subsets                formula  another function or operand
"""

from reference.mutate.plants import Plant
from reference.mutate.schema import Mutation

ADDITIONS = ("add", "add_any", "sub")
BY_KIND = {
    "sum to mean": "C5",
    "sum to first": "C5",
    "last dropped": "C5",
    "sum to count": "C8",
    "= for +=": "C7",
    "+= for =": "C7",
    "mask removed": "C8",
    "step dropped": "C2",
    "a - b to b - a": "C3",
    "a - b to a + b": "C3",
    "a + b to a - b": "C3",
}
BY_PRIMITIVE = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "select_n", "clamp"), "C11"),
    **dict.fromkeys(
        ("max", "min", "reduce_max", "reduce_min", "argmax", "cond"), "C11"
    ),
    **dict.fromkeys(("transpose", "rev", "slice", "gather", "dynamic_slice"), "C6"),
    **dict.fromkeys(("concatenate", "split", "pad", "cumsum", "dot_general"), "C6"),
    **dict.fromkeys(("conv_general_dilated", "scan"), "C6"),
    **dict.fromkeys(("and", "or", "not"), "C8"),
    "neg": "C3",
}


def mistake_of(mutation: Mutation) -> str:
    """The class of a plant, or of an edit by its kind and primitive."""
    if isinstance(mutation, Plant):
        return mutation.mistake
    if mutation.kind.startswith("x "):
        return "C4"
    if mutation.kind.startswith("start "):
        return "C2"
    if mutation.kind.startswith("drop ") and mutation.primitive in ADDITIONS:
        return "C2"
    return BY_KIND.get(mutation.kind) or BY_PRIMITIVE.get(mutation.primitive, "formula")
