"""Linear: an affine map of every row.

x has a row for each of the examples b, and i, o count inputs and outputs:

    (1)  y_bo = Σ_i x_bi weight_io + bias_o

Given dy, the gradient of a loss in y, derive the gradients of the loss in x, in weight
and in bias. Write each as a sum over what an entry of y depends on; bias is used by
every row, and so is weight.
"""

from typing import Any, NamedTuple

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any
    weight: Any


def forward(x, weight, bias):
    """Equation (1)."""
    return x @ weight + bias[None, :], Residuals(x, weight)  # (1)


def configurations(rng):
    """The usual one, then one row, one input and one output."""
    for kind, (b, i, o) in {
        "usual": sizes(rng, 3),
        "other sizes": sizes(rng, 3),
        "one row": (1, 5, 3),
        "one input, one output": (7, 1, 1),
    }.items():
        args = [rng.standard_normal(shape) for shape in ((b, i), (i, o), (o,))]
        yield Configuration(kind, tuple(args))


EXERCISE = Exercise(
    title="linear",
    number=1,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx_bi = Σ_o dy_bo weight_io",
                "weight": "dweight_io = Σ_b x_bi dy_bo",
                "bias": "dbias_o = Σ_b dy_bo",
            },
        ),
    ),
)
