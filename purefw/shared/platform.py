"""Where one form of a rule is best on a CPU and another elsewhere: the choice.

It is made when a program is traced, from JAX's default backend. What chooses:

    softmax_attention    heads one after the other and queries in blocks; else at once
    linear_cross_entropy chunks of classes that fit into a cache; else 64 times larger
    normalisation        sums over features as products; else as sums
    recomputation        elementwise backwards kept apart from their forwards; else not
    few_channels         convolutions of few channels as products with bands; else not
    few_rows             large weight gradients as a sum over few rows; else not

The first is a CPU's. What a GPU does with either: docs/performance.md.
"""

import jax


def on_cpu() -> bool:
    """Whether programs traced now run on a CPU unless told otherwise.

    Example:
        >>> on_cpu() == (jax.default_backend() == "cpu")
        True
    """
    return jax.default_backend() == "cpu"
