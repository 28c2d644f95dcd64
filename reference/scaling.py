"""From one device to 512 by compiling alone: what each holds, and what moves.

    python -m reference.scaling            # write docs/scaling.md
    python -m reference.scaling 1 8        # print the lines of 1 and 8 devices

A training step is compiled for so many devices, each with as many rows, and never run:
XLA says how many bytes a device needs, and the compiled program which collectives there
are. The devices are those that the CPU backend makes up, so no accelerator is needed;
another backend may split a collective or merge two.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import purefw
from purefw import mesh as many
from purefw.layers.relu import relu
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train import State, train_step
from reference.collectives import collectives

DOCUMENT = Path(__file__).parents[1] / "docs" / "scaling.md"
COUNTS = (1, 8, 512)
SIZES = (1024, 4096, 4096, 1024)
ROWS = 16  # A device, or, where devices share the parameters, a group of MODEL.
MODEL = 8
SEEN = ("all-reduce", "all-gather", "all-to-all")
HEAD = """# Weak scaling

A step of Adam on a perceptron {sizes} in float32, {rows} rows to every device along
`data` and `fsdp`, compiled for more and more devices and not run. In bytes a device:
what it holds (its part of parameters, moments and rows), what the step needs beside it,
and what each kind of collective leaves on it, with their number.

In `data` all of them hold everything, and the one all-reduce is as large on 512 devices
as on 8. In `fsdp` each holds a part that shrinks with their number. In `model` pairs of
layers share their numbers among {model} devices, and rows move, too.

| devices | mesh | holds | beside it | {kinds} |
| --- | --- | --- | --- | {rules} |
"""
FOOT = """
Made by `python -m reference.scaling` with jax {version}.
"""


def meshes(devices: int) -> list[dict[str, int]]:
    """The grids of so many devices that are shown."""
    if devices == 1:
        return [{"data": 1}]
    grids = [{"data": devices}, {"fsdp": devices}]
    rest = {"data": devices // MODEL} if devices > MODEL else {}
    return [*grids, rest | {"model": MODEL}]


def compiled(mesh: Mesh) -> jax.stages.Compiled:
    """A training step on a mesh; shapes alone, nothing is allocated."""
    network, loss = perceptron(SIZES, relu()), softmax_cross_entropy()
    optimiser = optax.adam(1e-3)
    step = partial(
        train_step,
        network=network,
        gradient=purefw.loss_and_grad(network, loss),
        optimiser=optimiser,
    )
    params = jax.eval_shape(network.init, jax.random.key(0))
    moments = jax.eval_shape(optimiser.init, params)
    specs = many.parameter_specs(params, mesh)
    specs = State(specs, many.optimiser_specs(optimiser, moments, specs))
    rows = ROWS * many.row_parts(mesh)
    state = _on(mesh, State(params, moments), specs)
    x = _on(mesh, jax.ShapeDtypeStruct((rows, SIZES[0]), jnp.float32), many.ROWS)
    labels = _on(mesh, jax.ShapeDtypeStruct((rows,), jnp.int32), many.ROWS)
    key = jax.eval_shape(lambda: jax.random.key(0))
    out = many.shardings((specs, PartitionSpec()), mesh)
    jitted = jax.jit(step, donate_argnums=0, out_shardings=out)
    return jitted.lower(state, x, labels, key).compile()


def _on(mesh: Mesh, tree: Any, specs: Any) -> Any:
    """Shapes, placed on a mesh."""
    if isinstance(specs, PartitionSpec):
        specs = jax.tree.map(lambda v: specs, tree)
    return jax.tree.map(
        lambda v, s: jax.ShapeDtypeStruct(
            v.shape, v.dtype, sharding=NamedSharding(mesh, s)
        ),
        tree,
        specs,
    )


def line(sizes: dict[str, int]) -> str:
    """One line of the table, for a mesh of all devices of this process."""
    program = compiled(many.make_mesh(sizes))
    memory = program.memory_analysis()
    moved, number = Counter(), Counter()
    for collective in collectives(program):
        moved[collective.kind] += collective.bytes
        number[collective.kind] += 1
    assert set(moved) <= set(SEEN), moved  # The table would be silent about it.
    kinds = [
        f"{amount(moved[kind])} in {number[kind]}" if number[kind] else "0"
        for kind in SEEN
    ]
    grid = ", ".join(f"{name}={n}" for name, n in sizes.items())
    cells = (amount(memory.argument_size_in_bytes), amount(memory.temp_size_in_bytes))
    return f"| {jax.device_count()} | {grid} | {' | '.join((*cells, *kinds))} |"


def amount(n: int) -> str:
    """Bytes for a person, to three digits.

    Example:
        >>> amount(999), amount(4_200_000), amount(301_990_000)
        ('999 B', '4.2 MB', '302 MB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n} B"


def lines(devices: int) -> list[str]:
    """Those of so many devices, from a process that has them."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, "-m", "reference.scaling", "here"],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"scaling: {devices} devices must compile, got {done.stderr}")
    return done.stdout.splitlines()


def document(table: Sequence[str]) -> str:
    """The page with its table."""
    head = HEAD.format(
        sizes="-".join(map(str, SIZES)),
        rows=ROWS,
        model=MODEL,
        kinds=" | ".join(SEEN),
        rules=" | ".join("---" for _ in SEEN),
    )
    return head + "\n".join(table) + "\n" + FOOT.format(version=jax.__version__)


def main(arguments: Sequence[str]) -> None:
    """Write the page, or print lines; see the module."""
    if list(arguments) == ["here"]:
        print(*(line(sizes) for sizes in meshes(jax.device_count())), sep="\n")
        return
    table = [row for n in map(int, arguments or COUNTS) for row in lines(n)]
    if arguments:
        print(*table, sep="\n")
    else:
        DOCUMENT.write_text(document(table))


if __name__ == "__main__":
    main(sys.argv[1:])
