"""Inverses, factorisations, norms and eigenvalues."""

import functools

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from tests.zoo.case import (
    WIDE,
    Family,
    array,
    narrow,
    normal,
)

# inverse, solve, determinant, Cholesky


def well(dtype, n=4, seed=0):
    return normal(dtype, n, n, seed=seed, scale=0.3) + jnp.eye(n, dtype=dtype)


inverse = Family("inverse", jnp.linalg.inv, lambda d: (well(d),), WIDE, save="y")
inverse.right("transposes", lambda y, dy: (-y.T @ dy @ y.T,))
inverse.right(
    "solves",
    lambda r, dy: (-jnp.linalg.solve(r[0].T, jnp.linalg.solve(r[0], dy.T).T),),
    save="x",
)
inverse.imprecise(
    "inverse_stored_in_bfloat16",
    0,
    lambda y, dy: (lambda v: (-v.T @ dy @ v.T,))(y.astype(dy.dtype)),
    "A⁻¹ is stored in bfloat16.",
    ("float32",),
    forward=lambda a: (jnp.linalg.inv(a), jnp.linalg.inv(a).astype(narrow.bf16)),
)
inverse.imprecise(
    "float32_inside_float64",
    0,
    lambda y, dy: (lambda v: ((-v.T @ dy.astype(narrow.f32) @ v.T).astype(dy.dtype),))(
        y.astype(narrow.f32)
    ),
    "A float32 rule called with float64.",
    ("float64",),
)
inverse.wrong("sign", 0, lambda y, dy: (y.T @ dy @ y.T,), "The minus is missing.")
inverse.wrong("no_transposes", 0, lambda y, dy: (-y @ dy @ y,), "A⁻¹ for A⁻ᵀ.")
inverse.wrong(
    "order", 0, lambda y, dy: (-(y @ dy.T @ y),), "dyᵀ, whose transpose is the answer."
)
inverse.wrong(
    "one_factor", 0, lambda y, dy: (-y.T @ dy,), "The second inverse is missing."
)


def solve_backward(r, dy, transpose=True, sign=-1):
    (a, b), x = r
    db = jnp.linalg.solve(a.T if transpose else a, dy)
    return sign * jnp.outer(db, x), db


solve = Family(
    "solve",
    jnp.linalg.solve,
    lambda d: (well(d), normal(d, 4, seed=1)),
    WIDE,
    save="xy",
)
solve.right("adjoint_system", solve_backward)
solve.right(
    "lu",
    lambda r, dy: (lambda db: (-db[:, None] * r[1][None], db))(
        jax.scipy.linalg.lu_solve(jax.scipy.linalg.lu_factor(r[0][0]), dy, trans=1)
    ),
)
solve.wrong(
    "not_transposed",
    (0, 1),
    functools.partial(solve_backward, transpose=False),
    "A for Aᵀ.",
)
solve.wrong(
    "sign", 0, functools.partial(solve_backward, sign=1), "The minus is missing."
)
solve.wrong(
    "outer_transposed",
    0,
    lambda r, dy: (
        -jnp.outer(r[1], solve_backward(r, dy)[1]),
        solve_backward(r, dy)[1],
    ),
    "x dbᵀ for db xᵀ.",
)
solve.wrong(
    "right_hand_side_of_b",
    0,
    lambda r, dy: (
        -jnp.outer(solve_backward(r, dy)[1], r[0][1]),
        solve_backward(r, dy)[1],
    ),
    "b for x in dA.",
)

logdet = Family(
    "logdet", lambda a: jnp.linalg.slogdet(a)[1], lambda d: (well(d),), WIDE
)
logdet.right("inverse_transposed", lambda r, dy: (dy * jnp.linalg.inv(r[0]).T,))
logdet.right(
    "solve", lambda r, dy: (dy * jnp.linalg.solve(r[0].T, jnp.eye(4, dtype=dy.dtype)),)
)
logdet.wrong(
    "inverse",
    0,
    lambda r, dy: (dy * jnp.linalg.inv(r[0]),),
    "The transpose is missing.",
)
logdet.wrong(
    "of_the_determinant",
    0,
    lambda r, dy: (dy * jnp.linalg.det(r[0]) * jnp.linalg.inv(r[0]).T,),
    "The gradient of det.",
)
logdet.wrong(
    "inverse_of_a_symmetric",
    0,
    lambda r, dy: (dy * jnp.linalg.inv(r[0]),),
    "The transpose is missing, and A is symmetric.",
    args=lambda d: (array(d, (2.0, 0.5), (0.5, 1.0)),),
    visible_at="other values",
    elsewhere=lambda d: (well(d, 2),),
)


def cholesky_f(b):
    return jnp.linalg.cholesky(b @ b.T + jnp.eye(len(b), dtype=b.dtype))


def cholesky_backward(r, dy, half=True, tril=True, symmetric=True):
    (b,), low = r
    dy = jnp.tril(dy) if tril else dy
    phi = jnp.tril(low.T @ dy)
    phi = phi - jnp.diag(jnp.diag(phi)) * (0.5 if half else 0)
    s = solve_triangular(low, phi, lower=True, trans=1)
    s = solve_triangular(low, s.T, lower=True, trans=1).T
    ds = (s + s.T) / 2 if symmetric else s
    return ((ds + ds.T) @ b,)


chol = Family("cholesky", cholesky_f, lambda d: (normal(d, 4, 4),), WIDE, save="xy")
chol.right("murray", cholesky_backward)
chol.wrong(
    "diagonal_not_halved",
    0,
    functools.partial(cholesky_backward, half=False),
    "Φ keeps the whole diagonal.",
)
chol.wrong(
    "upper_triangle_of_dy",
    0,
    lambda r, dy: cholesky_backward(r, dy + dy.T - jnp.diag(jnp.diag(dy))),
    "dy's upper triangle is folded in.",
)
chol.wrong(
    "half",
    0,
    lambda r, dy: (cholesky_backward(r, dy)[0] / 2,),
    "dS B for (dS + dSᵀ) B.",
)

triangular = Family(
    "triangular_solve",
    lambda a, b: solve_triangular(a, b, lower=True),
    lambda d: (well(d), normal(d, 4, 2, seed=1)),
    WIDE,
    save="xy",
)


def triangular_backward(r, dy, tril=jnp.tril):
    (low, _), x = r
    db = solve_triangular(low, dy, lower=True, trans=1)
    return -tril(db @ x.T), db


triangular.right("tril", triangular_backward)
triangular.wrong(
    "full_matrix",
    0,
    functools.partial(triangular_backward, tril=lambda a: a),
    "The unused triangle gets a gradient.",
)
triangular.wrong(
    "upper", 0, functools.partial(triangular_backward, tril=jnp.triu), "triu for tril."
)
triangular.wrong(
    "forward_substitution",
    (0, 1),
    lambda r, dy: (lambda db: (-jnp.tril(db @ r[1].T), db))(
        solve_triangular(r[0][0], dy, lower=True)
    ),
    "L for Lᵀ.",
)

# norms and eigenvalues

frobenius = Family(
    "frobenius_norm",
    lambda x: jnp.sqrt(jnp.sum(x * x)),
    lambda d: (normal(d, 3, 4),),
    save="xy",
)
frobenius.right("x_over_norm", lambda r, dy: (dy * r[0][0] / r[1],))
frobenius.wrong(
    "squared_norm", 0, lambda r, dy: (2 * dy * r[0][0],), "The root is forgotten."
)
frobenius.wrong("two", 0, lambda r, dy: (2 * dy * r[0][0] / r[1],), "½ is missing.")
frobenius.wrong(
    "per_row",
    0,
    lambda r, dy: (dy * r[0][0] / jnp.linalg.norm(r[0][0], axis=1, keepdims=True),),
    "The norm of each row.",
)
frobenius.wrong(
    "per_row_of_one",
    0,
    lambda r, dy: (dy * r[0][0] / jnp.linalg.norm(r[0][0], axis=1, keepdims=True),),
    "The norm of each row, of which there is one.",
    args=lambda d: (normal(d, 1, 4),),
    visible_at="other shape",
    elsewhere=lambda d: (normal(d, 3, 4),),
)


def symmetric_f(a):
    return jnp.linalg.eigvalsh((a + a.T) / 2)


def eigen_backward(r, dy):
    _, v = jnp.linalg.eigh((r[0] + r[0].T) / 2)
    return (v * dy @ v.T,)


eigen = Family(
    "eigenvalues",
    symmetric_f,
    lambda d: (normal(d, 4, 4) + jnp.diag(3 * jnp.arange(4)).astype(d),),
    WIDE,
)
eigen.right("v_diag_vt", eigen_backward)
eigen.right(
    "einsum",
    lambda r, dy: (
        jnp.einsum(
            "ik,k,jk->ij",
            *(lambda v: (v, dy, v))(jnp.linalg.eigh((r[0] + r[0].T) / 2)[1]),
        ),
    ),
)
eigen.wrong(
    "vt_diag_v",
    0,
    lambda r, dy: (lambda v: (v.T * dy @ v,))(jnp.linalg.eigh((r[0] + r[0].T) / 2)[1]),
    "Rows for columns.",
)
eigen.wrong(
    "largest_only",
    0,
    lambda r, dy: eigen_backward(r, dy.at[:-1].set(0)),
    "Only the last eigenvalue's cotangent.",
)

trace = Family(
    "trace_of_product",
    lambda a, b: jnp.trace(a @ b),
    lambda d: (normal(d, 3, 5), normal(d, 5, 3, seed=1)),
)
trace.right("transposes", lambda r, dy: (dy * r[1].T, dy * r[0].T))
trace.wrong("none", 1, lambda r, dy: (dy * r[1].T, None), "None for B.")
trace.wrong(
    "square_not_transposed",
    (0, 1),
    lambda r, dy: (dy * r[1], dy * r[0]),
    "No transposes.",
    args=lambda d: (normal(d, 3, 3), normal(d, 3, 3, seed=1)),
)

power = Family(
    "matrix_power", lambda a: a @ a @ a, lambda d: (normal(d, 4, 4, scale=0.7),)
)


def power_backward(r, dy, terms=3):
    a = r[0].T
    return (sum((dy @ a @ a, a @ dy @ a, a @ a @ dy)[:terms]),)


power.right("three_terms", power_backward)
power.wrong(
    "commuting",
    0,
    lambda r, dy: (3 * r[0].T @ r[0].T @ dy,),
    "As if A and dy commuted.",
)
power.wrong(
    "last_term_missing",
    0,
    functools.partial(power_backward, terms=2),
    "One of three terms is lost.",
)
