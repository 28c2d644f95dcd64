"""Where one form of a rule is best on a CPU and another elsewhere: the choice.

It is made when a program is traced, from JAX's default backend. What chooses:

    softmax_attention    one head after the other on a CPU, else all at once
"""

import jax


def on_cpu() -> bool:
    """Whether programs traced now run on a CPU unless told otherwise.

    Example:
        >>> on_cpu() == (jax.default_backend() == "cpu")
        True
    """
    return jax.default_backend() == "cpu"
