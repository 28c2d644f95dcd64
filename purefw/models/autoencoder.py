"""The autoencoder: a perceptron to a narrow code, and its mirror image back."""

from collections.abc import Sequence

from purefw.compose import chain
from purefw.models.perceptron import perceptron
from purefw.rule import Rule


def autoencoder(sizes: Sequence[int], activation: Rule) -> Rule:
    """Rows through a narrow code and back; learns x from x under squared_error.

    Args:
        sizes: Widths from the rows to the code, at least two: (64, 32, 8) keeps 8
            numbers of 64. The decoder has the same widths from the code back.
        activation: A rule without parameters that keeps the shape. None stands at the
            code or at the end, so that both take any value.

    Returns:
        A rule on x of shape (..., sizes[0]), y of the same shape. The chain's two
        parameters are the encoder's and the decoder's.

    Raises:
        ValueError: fewer than two sizes, or one that is not positive.

    Example:
        >>> from purefw.layers.relu import relu
        >>> autoencoder((64, 32, 8), relu()).name
        'chain(chain(linear, relu, linear), chain(linear, relu, linear))'

    Reference: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with
    Neural Networks", Science 313, 2006.
    """
    sizes = tuple(sizes)
    if len(sizes) < 2:
        raise ValueError(f"autoencoder: sizes must be at least two widths, got {sizes}")
    return chain(perceptron(sizes, activation), perceptron(sizes[::-1], activation))
