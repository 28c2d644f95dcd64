"""A gradient on eight devices beside one device's: `python -m tests.devices`.

In a process of its own, because XLA decides at its start how many devices there are.
Prints a JSON object: for each mesh the largest deviation of a gradient's leaf, in units
in the last place of its largest entry, and [kind, bytes] of each collective.
"""

import json
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import PartitionSpec  # noqa: E402

import purefw  # noqa: E402
from purefw import mesh as many  # noqa: E402
from purefw.layers.relu import relu  # noqa: E402
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy  # noqa: E402
from purefw.models import gpt, perceptron  # noqa: E402
from reference.collectives import collectives  # noqa: E402
from tests.refute import random_params  # noqa: E402

MESHES = ("data=8", "fsdp=8", "model=8", "data=2,fsdp=2,model=2")


def networks() -> dict:
    """Networks whose sizes 8 divides, and a minibatch larger than any weight."""
    x_key, id_key = jax.random.split(jax.random.key(1))
    x = jax.random.normal(x_key, (64, 24))
    ids = jax.random.randint(id_key, (64, 5), 0, 16)
    return {
        "perceptron": (perceptron((24, 32, 16, 8), relu()), x, ids[:, 0] % 8),
        "gpt": (gpt(16, 16, 8, 2, length=5), ids, ids),
    }


def compare(network, x, target, mesh) -> tuple[float, list]:
    """The deviation and the collectives."""
    step = jax.jit(purefw.loss_and_grad(network, softmax_cross_entropy()))
    params = random_params(network, jax.random.key(2))
    specs = many.parameter_specs(params, mesh)
    out = many.shardings((PartitionSpec(), specs), mesh)
    rows = many.place((x, target), many.ROWS, mesh)
    placed = many.place(params, specs, mesh)
    compiled = jax.jit(step, out_shardings=out).lower(placed, *rows).compile()
    found, truth = compiled(placed, *rows), step(params, x, target)
    deviations = [
        float(np.abs(np.asarray(a) - b).max() / np.abs(b).max())
        for a, b in zip(*map(jax.tree.leaves, (found, truth)))
        if np.abs(b).max() > 1e-12  # The bias of the keys has a gradient of 0.
    ]
    moved = [(c.kind, c.bytes) for c in collectives(compiled)]
    return max(deviations) / float(jnp.finfo(float).eps), moved


def main() -> None:
    """Every network on every mesh."""
    jax.config.update("jax_enable_x64", True)
    results = {
        f"{name} {text}": compare(*case, many.make_mesh(many.read_sizes(text)))
        for name, case in networks().items()
        for text in MESHES
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
