"""A small residual network: convolutions with paths around them."""

from collections.abc import Sequence

from purefw.compose import chain, parallel, residual
from purefw.layers.batch_norm import batch_norm
from purefw.layers.convolution import convolution
from purefw.layers.global_average_pool import global_average_pool
from purefw.layers.linear import linear
from purefw.layers.relu import relu
from purefw.layers.reshape import reshape
from purefw.rule import Rule
from purefw.shared.sizes import check_sizes


def resnet(
    shape: tuple[int, int, int], widths: Sequence[int], blocks: int, classes: int
) -> Rule:
    """A residual network on images: a stem, stages of blocks, the mean, logits.

    A block is convolution, batch norm, ReLU, convolution, batch norm, with x added
    before a last ReLU. Where a stage begins, after the first, the block halves the
    image and widens it, and a convolution of one pixel does so on the path around it.

    Args:
        shape: Of an image: height, width, channels.
        widths: Channels of each stage, at least one: (16, 32, 64).
        blocks: Of each stage. At least 1.
        classes: Scores of an image. At least 1.

    Returns:
        A rule on x of shape (batch, height * width * channels), or any shape of as many
        numbers, y of (batch, classes). `forward` normalises by the batch, `apply` by
        the running statistics, which training moves: see purefw.running.

    Raises:
        ValueError: a number is not positive, there is no stage, or `forward` gets
            images of another size.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = resnet((8, 8, 1), (16, 32), 1, 10)
        >>> rule.apply(rule.init(jax.random.key(0)), jnp.ones((2, 64))).shape
        (2, 10)

    Reference: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
    2016, arXiv:1512.03385.
    """
    widths = tuple(widths)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"resnet: shape must be height, width and channels, all positive, "
            f"got {shape}"
        )
    if not widths or min(widths) < 1:
        raise ValueError(
            f"resnet: widths must be at least one, all positive, got {widths}"
        )
    check_sizes("resnet", blocks=blocks, classes=classes)
    stages = [*_normed(shape[2], widths[0], 3), relu()]
    for n_in, n_out in zip((widths[0], *widths), widths):
        halving = [] if n_in == n_out else [_halving_block(n_in, n_out)]
        same = [_block(n_out)] * (blocks - len(halving))
        stages += halving + same
    return chain(
        reshape(shape), *stages, global_average_pool(), linear(widths[-1], classes)
    )


def _normed(n_in: int, n_out: int, side: int, stride: int = 1) -> tuple[Rule, Rule]:
    """A convolution, without the bias that the norm would take away, and the norm."""
    window = (side, side)
    return convolution(n_in, n_out, window, stride=stride, bias=False), batch_norm(
        n_out
    )


def _block(width: int) -> Rule:
    both = chain(*_normed(width, width, 3), relu(), *_normed(width, width, 3))
    return chain(residual(both), relu())


def _halving_block(n_in: int, n_out: int) -> Rule:
    both = chain(*_normed(n_in, n_out, 3, 2), relu(), *_normed(n_out, n_out, 3))
    around = chain(*_normed(n_in, n_out, 1, 2))
    return chain(parallel(both, around), relu())
