"""Derivatives that other people wrote by hand, judged: JAX's own and its libraries'.

TABLE holds every jax.custom_vjp and jax.custom_jvp function that can be reached in the
modules of PACKAGES and can be called with arrays on a CPU; EXCLUDED says why the others
are left out, and the last test finds the functions that are in neither. They are called
as their users call them: float32, no x64, JAX's own promotion rules.
"""

import importlib.util
import pkgutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference import Verdict, check_custom_vjp

RIGHT, KINK, WRONG = Verdict.RIGHT, Verdict.KINK, Verdict.WRONG
CONTRACT = Verdict.CONTRACT
IMPRECISE = Verdict.IMPRECISE
PACKAGES = ("jax", "optax", "equinox", "flax", "lineax", "ott", "jaxopt", "jaxoplanet")
E4M3, E5M2 = jnp.float8_e4m3fn, jnp.float8_e5m2

rng = np.random.default_rng(20)


def normal(*shape):
    """Standard normal numbers."""
    return rng.standard_normal(shape).astype(np.float32)


def unit(*shape):
    """Numbers in [0.2, 0.8], inside the domain of whatever wants positive ones."""
    return rng.uniform(0.2, 0.8, shape).astype(np.float32)


def numbers(*values):
    """These, in float32."""
    return np.array(values, np.float32)


@dataclass(frozen=True)
class Case:
    """One function.

    Attributes:
        where: "module:name" of the object that carries the derivative.
        args: Arguments, those of `call` where it is given.
        verdict: What the report says.
        leaves: The leaves that carry the verdict; every leaf where empty.
        why: Where the verdict is not RIGHT, what is to blame.
        call: From the function to one of arrays alone.
        slow: Takes long, or is much like another that runs.
    """

    where: str
    args: tuple
    verdict: Verdict = RIGHT
    leaves: tuple[str, ...] = ()
    why: str = ""
    call: Callable = field(default=lambda f: f)
    slow: bool = False


def spd():
    """A symmetric positive definite matrix."""
    a = normal(3, 3)
    return a @ a.T + 3 * np.eye(3, dtype=np.float32)


def splash(cap):
    """Causal attention whose logits are capped or not."""
    mask = np.tril(np.ones((5, 5), bool))
    return lambda f: (
        lambda q, k, v: f(
            mask,
            q,
            k,
            v,
            None,
            None,
            mask_value=-1e9,
            save_residuals=False,
            custom_type="flash",
            attn_logits_soft_cap=cap,
        )
    )


def iterated_cosine(fewest):
    """Twenty times x <- cos(c x), by ott's loop."""
    return lambda f: (
        lambda c, x: f(
            lambda i, c, x: True, lambda i, c, x, e: jnp.cos(c * x), fewest, 20, 5, c, x
        )
    )


def five_sines(f):
    """Five times x <- sin(c x), by the loop of equinox that keeps checkpoints."""
    from equinox.internal import while_loop

    del f  # What while_loop calls.

    def loop(x, c):
        return while_loop(
            lambda state: state[0] < 5,
            lambda state: (state[0] + 1, jnp.sin(c * state[1])),
            (0, x),
            max_steps=8,
            kind="checkpointed",
            checkpoints=3,
        )[1]

    return loop


def cubic_root(f):
    """The root of x³ + x = c by Newton's method, differentiated implicitly."""
    del f  # What jax.lax.custom_root calls.

    def newton(g, x):
        step = lambda i, x: x - g(x) / (3 * x**2 + 1)  # noqa: E731
        return jax.lax.fori_loop(0, 30, step, x)

    def tangent(g, y):
        return y / g(jnp.ones_like(y))

    def root(c):
        g = lambda x: x**3 + x - c  # noqa: E731
        return jax.lax.custom_root(g, jnp.ones_like(c), newton, tangent)

    return root


def semidiscrete(f):
    """The loss of a potential between two clouds of points."""
    from ott.geometry import pointcloud
    from ott.problems.linear import linear_problem

    def loss(potential, x, y, weights):
        cloud = pointcloud.PointCloud(x, y, epsilon=0.1)
        return f(potential, linear_problem.LinearProblem(cloud, b=weights))

    return loss


def quantised_product(f):
    """A matrix product of two matrices that are rounded to eight bits."""
    one, dimensions = np.ones(1, np.float32), (((1,), (0,)), ((), ()))
    return lambda lhs, rhs, scale, history: f(
        lhs,
        lhs.astype(E4M3),
        one,
        rhs,
        rhs.astype(E4M3),
        one,
        scale,
        history,
        dimensions,
        jnp.float32,
    )


ATTENTION = "jax.experimental.pallas.ops.tpu."
SPLASH = ATTENTION + "splash_attention.splash_attention_kernel:"
FP8 = "flax.linen.fp8_ops:"
STATE = (
    "scale and history are not arguments but state: their next values leave through "
    "the cotangent, whatever dy is"
)
meta = np.ones(1, np.float32), np.zeros(4, np.float32)

CUSTOM_VJP = {
    "splash attention": Case(
        SPLASH + "_attention_reference_custom",
        (normal(5, 3), normal(5, 3), normal(5, 3)),
        call=splash(None),
    ),
    "splash attention, logits capped": Case(
        SPLASH + "_attention_reference_custom",
        (normal(5, 3), normal(5, 3), normal(5, 3)),
        call=splash(2.0),
        slow=True,
    ),
    "flash attention's reference": Case(
        ATTENTION + "flash_attention:_mha_reference",
        (normal(1, 2, 5, 3), normal(1, 2, 5, 3), normal(1, 2, 5, 3)),
        CONTRACT,
        why="cannot be differentiated at all: its forward calls itself with "
        "save_residuals=True, for which its forward raises NotImplementedError",
        call=lambda f: lambda q, k, v: f(q, k, v, None, None, True, -1e9, 0.7, False),
    ),
    "odeint": Case(
        "jax.experimental.ode:_odeint",
        (
            lambda y, t, rate: -rate * y,
            1e-6,
            1e-6,
            1000,
            np.inf,
            normal(3),
            numbers(0, 0.5, 1.2),
            unit(3),
        ),
        WRONG,
        why="solves the adjoint equation to a tolerance of 1e-6, and is the derivative "
        "of the exact solution, not of the steps that forward takes: off by 1e-5",
        slow=True,
    ),
    "optax.scale_gradient": Case(
        "optax._src.utils:_scale_gradient",
        (normal(5), numbers(0.5)[0]),
        WRONG,
        ("args[0]",),
        "scales the gradient and not the value, which is what it is for",
    ),
    "equinox.debug.backward_nan": Case(
        "equinox.debug._backward_nan:_backward_nan",
        (normal(3),),
        call=lambda f: lambda x: f(x, None, False),
    ),
    "equinox checkpointed loop": Case(
        "equinox.internal._loop.checkpointed:_checkpointed_while_loop",
        (unit(3), normal(3)),
        call=five_sines,
        slow=True,
    ),
    "fp8 in_qdq": Case(
        FP8 + "in_qdq",
        (jnp.float32, E4M3, normal(3, 5), *meta),
        WRONG,
        why="rounds to eight bits, and passes dy straight through where it clips; "
        + STATE,
        slow=True,
    ),
    "fp8 out_qdq": Case(
        FP8 + "out_qdq",
        (jnp.float32, E5M2, normal(3, 5), *meta),
        WRONG,
        why="the identity, whose cotangent is rounded to eight bits; " + STATE,
        slow=True,
    ),
    "fp8 out_dq": Case(
        FP8 + "out_dq",
        (jnp.float32, unit(1), unit(1), normal(5)),
        WRONG,
        why="a product of three, of which one gets dy and two get None",
    ),
    "fp8 quantized_dot": Case(
        FP8 + "quantized_dot",
        (normal(3, 5), normal(5, 2), *meta),
        WRONG,
        why="rounds dy to eight bits; " + STATE,
        call=quantised_product,
        slow=True,
    ),
    "ott loop that may end early": Case(
        "ott.math.fixed_point_loop:fixpoint_iter_backprop",
        (numbers(0.7)[0], normal(3)),
        call=iterated_cosine(0),
        slow=True,
    ),
    "ott loop of fixed length": Case(
        "ott.math.fixed_point_loop:fixpoint_iter_backprop",
        (numbers(0.7)[0], normal(3)),
        WRONG,
        why="a defect of ott-jax 0.6.0: where min_iterations == max_iterations its "
        "backward starts from the first checkpoint and not from the last, and visits "
        "0, -1, -2, -3; right for one checkpoint alone",
        call=iterated_cosine(20),
    ),
    "ott sqrtm": Case(
        "ott.math.matrix_square_root:sqrtm",
        (spd(), 1e-6, 0, 10, 1000, 1e-6),
        slow=True,
    ),
    "ott sqrtm_only": Case(
        "ott.math.matrix_square_root:sqrtm_only",
        (spd(), 1e-6, 0, 10, 1000, 1e-6),
        slow=True,
    ),
    "ott inv_sqrtm_only": Case(
        "ott.math.matrix_square_root:inv_sqrtm_only",
        (spd(), 1e-6, 0, 10, 1000, 1e-6),
        slow=True,
    ),
    "ott softmin": Case(
        "ott.math.utils:softmin",
        (normal(3, 5), numbers(0.7)[0], -1),
        WRONG,
        ("args[1]",),
        "gamma is taken for a constant: its cotangent is None, and the softmin does "
        "depend on it",
    ),
    "ott semidiscrete loss": Case(
        "ott.solvers.linear.semidiscrete:_semidiscrete_loss",
        (normal(3), normal(2, 2), normal(3, 2), numbers(0.2, 0.3, 0.5)),
        WRONG,
        ("args[1]", "args[2]", "args[3]"),
        "only the potential gets a cotangent; that of the points and weights is None",
        call=semidiscrete,
        slow=True,
    ),
}

SPECIAL = "jax._src.scipy.special:"
LINALG = "jax._src.numpy.linalg:"
NORM = "lineax._norm:"
CUSTOM_JVP = {
    "logaddexp": Case("jax._src.lax.other:logaddexp", (normal(5), normal(5))),
    "logaddexp2": Case("jax._src.lax.other:logaddexp2", (normal(5), normal(5))),
    "custom_root": Case(
        "jax._src.lax.control_flow.solves:_custom_root", (normal(5),), call=cubic_root
    ),
    "relu": Case("jax.nn:relu", (normal(7),)),
    "relu at 0": Case(
        "jax.nn:relu",
        (numbers(-1, 0, 2),),
        KINK,
        why="its derivative at 0 is 0, that of the maximum which it computes is 1/2",
    ),
    "relu6": Case("jax.nn:relu6", (4 * normal(7),)),
    "softmax": Case(
        "jax._src.nn.functions:_softmax",
        (normal(3, 5),),
        call=lambda f: lambda x: f(x, -1, None, -np.inf),
    ),
    "log1mexp": Case("jax.nn:log1mexp", (3 * unit(5),)),
    "i0": Case("jax._src.numpy.lax_numpy:_i0", (normal(5),)),
    "frexp": Case(
        "jax._src.numpy.ufuncs:_frexp",
        (normal(5),),
    ),
    "slogdet, small": Case(LINALG + "_slogdet_small", (normal(2, 2),)),
    "slogdet by LU": Case(LINALG + "_slogdet_lu", (normal(5, 5),)),
    "slogdet by QR": Case(LINALG + "_slogdet_qr", (normal(5, 5),)),
    "det": Case(LINALG + "_det", (normal(5, 5),)),
    "pinv": Case(
        LINALG + "_pinv", (normal(5, 3),), call=lambda f: lambda a: f(a, None, False)
    ),
    "wofz": Case(SPECIAL + "_wofz", (normal(3) + 1j * normal(3),)),
    "erfcx": Case(SPECIAL + "_erfcx", (normal(5),)),
    "dawsn": Case(SPECIAL + "_dawsn", (normal(5),)),
    "logit": Case(SPECIAL + "logit", (unit(5),)),
    "xlogy": Case(SPECIAL + "xlogy", (normal(5), unit(5))),
    "xlog1py": Case(SPECIAL + "xlog1py", (normal(5), unit(5))),
    "xlogx": Case(SPECIAL + "_xlogx", (unit(5),)),
    "zeta": Case(SPECIAL + "zeta", (2 + unit(5), 1 + unit(5))),
    "log_ndtr": Case(
        SPECIAL + "log_ndtr",
        (3 * normal(7), 3),
        IMPRECISE,
        why="exp(-x²/2 - log Φ(x)) loses digits as its two large terms cancel: between "
        "-4.9 and -2 up to 27 roundings of float32, autodiff of the series 5",
    ),
    "expi": Case(SPECIAL + "expi", (normal(5),)),
    "sici": Case(SPECIAL + "sici", (3 * normal(5),)),
    "poch": Case(SPECIAL + "poch", (1 + unit(5), unit(5))),
    "hyp1f1": Case(SPECIAL + "hyp1f1", (1 + unit(3), 2 + unit(3), unit(3))),
    "hyp2f1": Case(
        SPECIAL + "hyp2f1", (1 + unit(3), 1 + unit(3), 2 + unit(3), unit(3) / 2)
    ),
    "owens_t": Case(SPECIAL + "_owens_t_impl", (normal(5), unit(5))),
    "fresnel": Case("jax.scipy.special:fresnel", (normal(5),)),
    "weighted_logsoftmax": Case(
        "optax.losses._classification:weighted_logsoftmax", (normal(3, 5), unit(3, 5))
    ),
    "optax simplex": Case(
        "optax.projections._projections:_projection_unit_simplex", (normal(7),)
    ),
    "nextafter": Case("equinox.internal:nextafter", (normal(5),)),
    "prevbefore": Case("equinox.internal:prevbefore", (normal(5),)),
    "two_norm": Case(NORM + "_two_norm", (normal(5),)),
    "zero_grad_at_zero": Case(
        NORM + "_zero_grad_at_zero",
        (normal(5),),
        WRONG,
        why="the identity, whose derivative at exactly 0 is made 0 on purpose",
    ),
    "ott norm": Case("ott.math.utils:norm", (normal(5), None, None, False)),
    "ott logsumexp": Case(
        "ott.math.utils:logsumexp",
        (normal(3, 5), unit(3, 5)),
        call=lambda f: lambda mat, b: f(mat, -1, False, b, False),
    ),
    "ott lambertw": Case("ott.math.utils:lambertw", (unit(5), 1e-8, 100)),
    "jaxopt simplex": Case(
        "jaxopt._src.projection:_projection_unit_simplex", (normal(7),)
    ),
    "jaxopt sparse simplex": Case(
        "jaxopt._src.projection:_projection_unit_sparse_simplex", (normal(7), 3, False)
    ),
    "jaxopt isotonic": Case(
        "jaxopt._src.isotonic:_isotonic_l2_pav",
        (normal(7),),
        CONTRACT,
        why="for float32 it returns a float64 tangent where 64 bits are enabled, and "
        "jax.vjp raises; it divides by the length of a block plus 1e-8, too",
    ),
    "kepler": Case("jaxoplanet.core.kepler:_kepler", (3 * unit(5), unit(5))),
    "zero_safe_sqrt": Case("jaxoplanet.utils:zero_safe_sqrt", (unit(5),)),
    "limb darkening": Case(
        "jaxoplanet.core.limb_dark:_p_integral",
        (20, 3, True, numbers(0.7)[0], numbers(0.4)[0]),
    ),
}

GPU, TPU = "a kernel for GPUs", "a kernel for TPUs"
NO_ARRAYS = "takes programs, not arrays"
EXCLUDED = {
    "jax._src.cudnn.fused_attention_stablehlo:_dot_product_attention": GPU,
    "jax._src.cudnn.fused_attention_stablehlo:_dot_product_attention_fp8": GPU,
    "jax._src.cudnn.scaled_matmul_stablehlo:scaled_dot_general_fn": GPU,
    "jax.experimental.rnn:lstm": GPU,
    "jax.experimental.pallas.ops.gpu.attention:mha": GPU,
    "jax.experimental.pallas.ops.gpu.attention_mgpu:attention": GPU,
    "jax.experimental.pallas.ops.gpu.layer_norm:layer_norm": GPU,
    "jax.experimental.pallas.ops.gpu.rms_norm:rms_norm": GPU,
    ATTENTION + "flash_attention:_flash_attention": TPU,
    ATTENTION + "megablox.ops:gmm": TPU,
    SPLASH + "_splash_attention_custom": TPU,
    "jax._src.ad_checkpoint:primal_left_tangent_right": "its derivative is another "
    "argument, which is what it is for",
    "jax._src.state.discharge:_eval_jaxpr_ad_error": NO_ARRAYS,
    "jax._src.numpy.ufuncs:_sinc_maclaurin": "defined at 0 alone, for its derivatives",
    SPECIAL + "expn": "in float64 it takes 44 s itself for [2.38, 1e-9]: the continued "
    "fraction of large arguments runs for all, and hardly converges for small ones",
    "equinox._ad:_nondifferentiable": "raises where it is differentiated",
    "equinox._errors:_error": NO_ARRAYS,
    "equinox.internal._loop.checkpointed:_stop_gradient_on_unperturbed": NO_ARRAYS,
    FP8 + "in_q": "returns eight-bit numbers, which have no cotangent",
    FP8 + "dot_general_with_precision": "the derivative of a product at another "
    "precision: JAX's own rule",
    "lineax._misc:_asarray": "the identity",
    "ott.solvers.linear.sinkhorn:_iterations_implicit": NO_ARRAYS,
}


@pytest.fixture(autouse=True)
def the_defaults_of_jax():
    """Nobody here wrote this code, and it need not keep our conventions."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def found(where):
    """The object that "module:name" names; skips where the package is missing."""
    module, name = where.split(":")
    pytest.importorskip(module.split(".")[0], reason=f"for {where}")
    return getattr(importlib.import_module(module), name)


def cases(table):
    """The table for pytest."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.slow] if case.slow else [])
        for name, case in table.items()
    ]


def judge(case):
    """Compare the report with the table."""
    report = check_custom_vjp(case.call(found(case.where)), *case.args)
    assert report.verdict is case.verdict, report
    if case.leaves:
        blamed = {k for k, v in report.leaves.items() if v.verdict is case.verdict}
        assert blamed == set(case.leaves), report
        others = {v.verdict for k, v in report.leaves.items() if k not in case.leaves}
        assert others <= {RIGHT}, report


@pytest.mark.parametrize("case", cases(CUSTOM_VJP))
def test_every_custom_vjp_function_gets_the_verdict_that_it_deserves(case):
    judge(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(CUSTOM_JVP))
def test_every_custom_jvp_function_gets_the_verdict_that_it_deserves(case):
    judge(case)


def test_differences_acquit_where_autodiff_sees_nothing():
    """Bits moved by a cast have no derivative for autodiff; frexp's own is right."""
    judge(CUSTOM_JVP["frexp"])


def test_every_verdict_but_right_is_explained():
    for name, case in (CUSTOM_VJP | CUSTOM_JVP).items():
        assert (case.verdict is RIGHT) != bool(case.why), name


def carriers(value, depth=4):
    """The custom_vjp and custom_jvp objects behind jit, wrappers and equinox's own."""
    if isinstance(value, (jax.custom_vjp, jax.custom_jvp)):
        return [value]
    if isinstance(value, type) or not callable(value) or not depth:
        return []
    inner = [getattr(value, "__wrapped__", None)]
    if isinstance(value, FunctionType):
        inner += map(contents, value.__closure__ or ())
    if hasattr(value, "__dict__"):
        inner += [vars(value).get(name) for name in ("fn", "fn_wrapped")]
    return [f for v in inner if v is not None for f in carriers(v, depth - 1)]


def contents(cell):
    """What a closure's cell holds; None while it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def modules(package):
    """Every module of a package that can be imported here, but its tests."""
    path = importlib.import_module(package).__path__
    for info in pkgutil.walk_packages(path, f"{package}.", onerror=lambda name: None):
        if any(word in info.name for word in ("test", "__main__", "benchmark")):
            continue
        try:
            importlib.import_module(info.name)
        except Exception:  # It wants a package or a device that is not here.
            continue
    inside = (package, f"{package}.")
    return [m for n, m in sorted(sys.modules.items()) if n.startswith(inside) and m]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_custom_derivative_in_a_package_is_in_the_table_or_excluded(package):
    pytest.importorskip(package, reason="one of the packages whose code is judged")
    named = [c.where for c in (CUSTOM_VJP | CUSTOM_JVP).values()] + list(EXCLUDED)
    installed = [w for w in named if importlib.util.find_spec(w.split(".")[0])]
    known = {id(f) for where in installed for f in carriers(found(where))}
    assert len(known) > 60
    unknown = {
        f"{module.__name__}:{name}"
        for module in modules(package)
        for name, value in list(vars(module).items())
        for f in carriers(value)
        if id(f) not in known
    }
    assert not unknown
