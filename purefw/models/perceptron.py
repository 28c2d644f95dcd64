"""The perceptron: linear layers with an activation between them."""

from collections.abc import Sequence

from purefw.compose import chain
from purefw.layers.linear import linear
from purefw.rule import Rule


def perceptron(sizes: Sequence[int], activation: Rule) -> Rule:
    """Linear layers with an activation between them; the last gives logits.

    Args:
        sizes: Widths from the input to the output, at least two: (64, 32, 10) has two
            linear layers and one activation, (64, 10) one and none.
        activation: A rule without parameters that keeps the shape. The one object
            stands between every two layers, which is harmless: it holds no state.

    Returns:
        A rule on x of shape (..., sizes[0]), its y of shape (..., sizes[-1]).

    Raises:
        ValueError: fewer than two sizes, or one that is not positive.

    Example:
        >>> from purefw.layers.relu import relu
        >>> perceptron((64, 32, 10), relu()).name
        'chain(linear, relu, linear)'
    """
    if len(sizes) < 2:
        raise ValueError(
            f"perceptron: sizes must be at least two widths, got {tuple(sizes)}"
        )
    rules = [linear(sizes[0], sizes[1])]
    for n_in, n_out in zip(sizes[1:], sizes[2:]):
        rules += [activation, linear(n_in, n_out)]
    return chain(*rules)
