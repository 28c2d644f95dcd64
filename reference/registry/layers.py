"""Entries of the rules that have parameters or change shapes."""

from purefw.layers.linear import linear
from reference.registry.entry import RuleEntry, normal
from reference.registry.invariants import homogeneous

LAYERS = {
    "linear": RuleEntry(
        linear(7, 3),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 7),
            "leading_axes": normal(2, 5, 7),
            "vector": normal(7),
        },
    ),
    "linear_without_bias": RuleEntry(
        linear(5, 2, bias=False),
        {"typical": normal(3, 5), "one_row": normal(1, 5)},
        invariants=(homogeneous(1),),
    ),
}
