"""What is computed again, and what is computed once.

An exponential of x that forward and backward both need is one expression in a program
that holds both. XLA would compute it once, write it to memory and read it twice: for
4096 x 1024 floats 16 MB more, and more time than the exponential takes. `again` keeps
the two apart, so that each pass is one loop that reads its arguments and writes its
result.
"""

from typing import Any

from jax import lax

from purefw.shared.platform import on_cpu


def again(*values: Any) -> tuple:
    """The same values, of which nothing has been computed yet as far as XLA can tell.

    Args:
        values: Residuals, and the cotangent: with it among them the computation cannot
            begin before the cotangent is known. Numbers that forward uses too, where it
            sums: XLA would write those out at the size of the array, for both.

    Example:
        >>> import jax.numpy as jnp
        >>> x, dy = again(jnp.array(2.0), jnp.array(3.0))
        >>> float(x), float(dy)
        (2.0, 3.0)
    """
    return lax.optimization_barrier(values)


def again_on_cpu(*values: Any) -> tuple:
    """`again` on a CPU; elsewhere the values as they are.

    A GPU's compiler makes one kernel of both passes of a rule that takes every entry by
    itself, and keeps what both need in registers; kept apart they are two kernels.

    Example:
        >>> x, dy = again_on_cpu(2.0, 3.0)
        >>> float(x), float(dy)
        (2.0, 3.0)
    """
    return again(*values) if on_cpu() else values


def once(row: Any) -> Any:
    """The same value, computed before anything that uses it.

    For a number of each row that many entries use: XLA would else compute it where they
    are, and spread it out in memory to the size of all of them.

    Example:
        >>> import jax.numpy as jnp
        >>> float(once(jnp.array(2.0)))
        2.0
    """
    return lax.optimization_barrier(row)
