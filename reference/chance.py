"""Random arrays from a JAX key, drawn by NumPy.

`jax.random.normal` compiles a program for every new shape, which takes a quarter of a
second on a CPU: more than all else that a small rule costs. These compile nothing.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key


def generator(key: Key[Array, ""]) -> np.random.Generator:
    """NumPy's generator, seeded with all the bits of the key.

    >>> a, b = (generator(jax.random.key(seed)).random() for seed in (0, 1))
    >>> a == b
    False
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def normal(
    key: Key[Array, ""], shape: tuple[int, ...] = (), dtype: DTypeLike = float
) -> Float[Array, "..."]:
    """Standard normal numbers of this shape, independent.

    >>> normal(jax.random.key(0), (2, 3)).shape
    (2, 3)
    """
    return jnp.asarray(generator(key).standard_normal(shape), dtype)


def uniform(
    key: Key[Array, ""],
    shape: tuple[int, ...] = (),
    minval: float = 0.0,
    maxval: float = 1.0,
) -> Float[Array, "..."]:
    """Numbers of this shape in [minval, maxval), all equally likely.

    >>> bool(uniform(jax.random.key(0), minval=2.0, maxval=3.0) >= 2)
    True
    """
    return jnp.asarray(generator(key).uniform(minval, maxval, shape), float)


def randint(
    key: Key[Array, ""],
    shape: tuple[int, ...],
    minval: int,
    maxval: int,
    dtype: DTypeLike = int,
) -> Int[Array, "..."]:
    """Integers of this shape in [minval, maxval), all equally likely.

    >>> sorted(set(randint(jax.random.key(0), (50,), -1, 2).tolist()))
    [-1, 0, 1]
    """
    return jnp.asarray(generator(key).integers(minval, maxval, shape), dtype)


def bernoulli(
    key: Key[Array, ""], p: float, shape: tuple[int, ...]
) -> Bool[Array, "..."]:
    """True with probability p, independently for each place of this shape.

    >>> bool(bernoulli(jax.random.key(0), 1.0, (5,)).all())
    True
    """
    return jnp.asarray(generator(key).random(shape) < p)


def dirichlet(
    key: Key[Array, ""], alpha: ArrayLike, shape: tuple[int, ...] = ()
) -> Float[Array, "... k"]:
    """Distributions over k classes, from the Dirichlet distribution of alpha (k,).

    >>> round(float(dirichlet(jax.random.key(0), jnp.ones(3)).sum()), 6)
    1.0
    """
    return jnp.asarray(
        generator(key).dirichlet(np.asarray(alpha), shape or None), float
    )
