"""purefw never differentiates: not in its source, not in what it traces to.

Three witnesses, each with planted violations that it must catch: the syntax tree of
every file, the jaxpr of every registered rule and loss, and ruff's ban.
"""

import ast
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from purefw.rule import Loss, Rule
from reference import chance
from reference.registry import LOSSES, RULES
from reference.verifier.programs import equations

ROOT = Path(__file__).parents[1]
AUTODIFF = {
    "grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose", "jacfwd",
    "jacrev", "jacobian", "hessian", "custom_vjp", "custom_jvp", "custom_gradient",
    "custom_derivatives", "custom_transpose", "stop_gradient", "checkpoint", "remat",
    "ad_checkpoint", "interpreters",
}  # fmt: skip
PRIMITIVES = ("custom_jvp", "custom_vjp", "custom_lin", "stop_gradient", "checkpoint",
              "remat")  # fmt: skip


def breaches(source: str) -> list[str]:
    """What in a file's source crosses the wall."""
    tree = ast.parse(source)
    of_jax = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if _root(getattr(node, "module", None) or alias.name) == "jax"
    }
    return [b for node in ast.walk(tree) for b in _breaches_of(node, of_jax)]


def _breaches_of(node: ast.AST, of_jax: set[str]) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
        return [n for n in names if _root(n) == "reference" or _autodiff_path(n)]
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        names = [f"{module}.{alias.name}" for alias in node.names]
        return [n for n in names if _root(n) == "reference" or _autodiff_path(n)]
    if isinstance(node, ast.Attribute):
        # Orbax has a module `checkpoint` too: that name counts on JAX's modules alone.
        elsewhere = node.attr == "checkpoint" and _owner(node) not in of_jax
        return [node.attr] if node.attr in AUTODIFF and not elsewhere else []
    if isinstance(node, ast.Call):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in ("import_module", "__import__", "getattr"):
            return [s for s in _strings(node) if _root(s) == "reference" or _in_ad(s)]
    return []


def _root(name: str) -> str:
    return name.split(".")[0]


def _in_ad(name: str) -> bool:
    return bool(AUTODIFF & set(name.split(".")))


def _autodiff_path(name: str) -> bool:
    return _root(name) == "jax" and _in_ad(name)


def _owner(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _strings(call: ast.Call) -> list[str]:
    values = [a.value for a in call.args if isinstance(a, ast.Constant)]
    return [v for v in values if isinstance(v, str)]


FILES = sorted((ROOT / "purefw").rglob("*.py"))


def test_there_are_files_to_look_at():
    assert ROOT / "purefw" / "compose" / "chain.py" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_source_neither_differentiates_nor_imports_reference(path):
    assert breaches(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from jax import grad",
        "from jax import grad as slope",
        "from jax.lax import stop_gradient",
        "from jax import custom_derivatives",
        "from jax.interpreters import ad",
        "from jax.ad_checkpoint import checkpoint",
        "import jax.interpreters.ad as ad",
        "import jax\njax.grad(f)",
        "import jax\ny = jax.lax.stop_gradient(x)",
        "from jax import lax\ny = lax.stop_gradient(x)",
        "import jax as j\nj.checkpoint(f)",
        "import jax\nf = jax.custom_vjp\nf.defvjp(a, b)",
        "import jax\ndef inner():\n    return jax.vjp(f, x)",
        "import jax\ngetattr(jax, 'grad')(f)",
        "import reference",
        "import reference.check",
        "from reference import check_rule",
        "from reference.check import check_rule",
        "import importlib\nimportlib.import_module('reference.check')",
        "from importlib import import_module\nimport_module('reference')",
        "__import__('reference')",
    ],
)
def test_source_witness_catches(source):
    assert breaches(source)


@pytest.mark.parametrize(
    "source",
    [
        "import orbax.checkpoint as ocp\nocp.checkpoint(x)",
        "from purefw.compose import loss_and_grad",
        '"""Compared with jax.grad in reference."""',
    ],
)
def test_source_witness_lets_pass(source):
    assert breaches(source) == []


def differentiations(function, *args) -> list[str]:
    """The primitives of a trace that differentiate or steer differentiation."""
    names = {e.primitive.name for e in equations(jax.make_jaxpr(function)(*args))}
    return sorted(name for name in names if name.startswith(PRIMITIVES))


def in_rule(rule: Rule, params, x, key) -> list[str]:
    """What a rule's forward, backward and inference differentiate."""

    def both(params, x, key):
        args = (params, x, key) if rule.random else (params, x)
        y, residuals = rule.forward(*args)
        return rule.backward(residuals, y), rule.apply(params, x)

    return differentiations(both, params, x, key)


def in_loss(loss: Loss, prediction, target) -> list[str]:
    """What a loss's forward and backward differentiate."""

    def both(prediction, target):
        value, residuals = loss.forward(prediction, target)
        return loss.backward(residuals, value)

    return differentiations(both, prediction, target)


@pytest.mark.parametrize("name", RULES)
def test_rule_traces_to_no_differentiation(name, keys):
    entry = RULES[name]
    x = next(iter(entry.inputs.values()))(next(keys))
    assert in_rule(entry.rule, entry.draw_params(next(keys)), x, next(keys)) == []


@pytest.mark.parametrize("name", LOSSES)
def test_loss_traces_to_no_differentiation(name, keys):
    entry = LOSSES[name]
    assert in_loss(entry.loss, *next(iter(entry.inputs.values()))(next(keys))) == []


@jax.custom_vjp
def _halved(x):
    return x / 2


_halved.defvjp(lambda x: (x / 2, ()), lambda residuals, dy: (dy / 2,))

FORBIDDEN = {
    "jax.nn.relu": jax.nn.relu,
    "jax.nn.softmax": jax.nn.softmax,
    "jnp.logaddexp": lambda x: jnp.logaddexp(x, 1.0),
    "stop_gradient": jax.lax.stop_gradient,
    "checkpoint": jax.checkpoint(jnp.sin),
    "custom_vjp": _halved,
    "inside_a_scan": lambda x: jax.lax.map(jax.nn.relu, x),
    "inside_a_cond": lambda x: jax.lax.cond(x[0] > 0, jax.nn.relu, lambda x: x, x),
    "inside_jit": jax.jit(lambda x: jax.jit(jax.nn.relu)(x)),
}


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("where", ["forward", "backward", "inference"])
def test_trace_witness_catches(name, where, keys):
    same, planted = (lambda x: x), FORBIDDEN[name]
    inside = {place: same for place in ("forward", "backward", "inference")}
    inside[where] = planted
    rule = Rule(
        name="planted",
        init=lambda key: (),
        forward=lambda params, x: (inside["forward"](x), ()),
        backward=lambda residuals, dy: ((), inside["backward"](dy)),
        inference=lambda params, x: inside["inference"](x),
    )
    assert in_rule(rule, (), chance.normal(next(keys), (3,)), next(keys))


def test_trace_witness_catches_a_loss():
    loss = Loss(
        "planted",
        lambda prediction, target: (jnp.sum(jax.nn.softplus(prediction - target)), ()),
        lambda residuals, dloss: dloss,
    )
    assert in_loss(loss, jnp.zeros(3), jnp.ones(3))


def banned(source: str, path: str) -> str:
    """What ruff says of the source of a file at a path of the project."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--select",
        "TID251",
        "--no-cache",
    ]
    done = subprocess.run(
        [*command, "--stdin-filename", path, "-"],
        input=source,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return done.stdout if done.returncode else ""


@pytest.mark.parametrize(
    "source",
    [
        "import jax\n\njax.grad(abs)\n",
        "from jax import vjp\n\nvjp(abs, 1.0)\n",
        "from jax import lax\n\nlax.stop_gradient(1.0)\n",
        "import reference\n",
        "from reference.check import check_rule\n",
    ],
)
def test_ruff_bans(source):
    assert "TID251" in banned(source, "purefw/layers/planted.py")
    assert not banned(source, "reference/planted.py")


def test_ruff_finds_nothing_in_purefw():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache"]
    command += ["--select", "TID251", "purefw"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
