"""LeNet-5: convolution and pooling twice, then a perceptron."""

from purefw.compose import chain
from purefw.layers.convolution import convolution
from purefw.layers.flatten import flatten
from purefw.layers.max_pool import max_pool
from purefw.layers.reshape import reshape
from purefw.models.perceptron import perceptron
from purefw.rule import Rule
from purefw.shared.sizes import check_sizes


def lenet(side: int, classes: int, activation: Rule) -> Rule:
    """LeNet-5 on square grey images: 6 maps, 16 maps, then 400-120-84-classes.

    Args:
        side: 28, where the first convolution pads, or 32, where it does not.
        classes: Scores of an image. At least 1.
        activation: A rule without parameters that keeps the shape.

    Returns:
        A rule on x of shape (batch, side²), or any shape of as many pixels, y of
        (batch, classes).

    Raises:
        ValueError: another side, `classes` not positive, or `forward` gets images of
            another size.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from purefw.layers.relu import relu
        >>> rule = lenet(28, 10, relu())
        >>> rule.apply(rule.init(jax.random.key(0)), jnp.ones((2, 784))).shape
        (2, 10)

    The paper averages, scales and squashes in its pooling and has radial outputs; here,
    as is usual now, the pools take the maximum and the outputs are logits.

    Reference: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86, 1998.
    """
    if side not in (28, 32):
        raise ValueError(f"lenet: side must be 28 or 32, got {side}")
    check_sizes("lenet", classes=classes)
    return chain(
        reshape((side, side, 1)),
        convolution(1, 6, (5, 5), padding="SAME" if side == 28 else "VALID"),
        activation,
        max_pool((2, 2)),
        convolution(6, 16, (5, 5), padding="VALID"),
        activation,
        max_pool((2, 2)),
        flatten(),
        perceptron((400, 120, 84, classes), activation),
    )
