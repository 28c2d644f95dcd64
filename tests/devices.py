"""Eight devices beside one: `python -m tests.devices gradients`, or `trainings`.

In a process of its own, because XLA decides at its start how many devices there are.
Prints a JSON object. gradients: for each mesh the largest deviation of a gradient's
leaf, in units in the last place of its largest entry, and [kind, bytes] of each
collective. trainings: for each mesh the same deviation of what `fit` leaves, of what it
leaves where its second epoch goes on from a checkpoint, and its accuracy; and the shape
of a device's share of an epoch.
"""

import json
import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax.sharding import PartitionSpec  # noqa: E402

import purefw  # noqa: E402
from purefw import mesh as many  # noqa: E402
from purefw.compose import chain  # noqa: E402
from purefw.data import digits  # noqa: E402
from purefw.layers.batch_norm import batch_norm  # noqa: E402
from purefw.layers.dropout import dropout  # noqa: E402
from purefw.layers.linear import linear  # noqa: E402
from purefw.layers.relu import relu  # noqa: E402
from purefw.leaves import gathered  # noqa: E402
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy  # noqa: E402
from purefw.models import gpt, perceptron  # noqa: E402
from purefw.train import fit  # noqa: E402
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


def compare(network, x, target) -> dict[str, tuple[float, list]]:
    """For each mesh the deviation and the collectives."""
    step = purefw.loss_and_grad(network, softmax_cross_entropy())
    params = random_params(network, jax.random.key(2))
    truth, results = jax.jit(step)(params, x, target), {}
    for text in MESHES:
        mesh = many.make_mesh(many.read_sizes(text))
        specs = many.parameter_specs(params, mesh)
        out = many.shardings((PartitionSpec(), specs), mesh)
        rows = many.place((x, target), many.ROWS, mesh)
        placed = many.place(params, specs, mesh)
        compiled = jax.jit(step, out_shardings=out).lower(placed, *rows).compile()
        moved = [(c.kind, c.bytes) for c in collectives(compiled)]
        results[text] = apart(compiled(placed, *rows), truth), moved
    return results


def apart(found, truth) -> float:
    """The largest deviation of a leaf, in units in the last place."""
    deviations = [
        float(np.abs(np.asarray(a) - b).max() / np.abs(b).max())
        for a, b in zip(*map(jax.tree.leaves, (found, truth)))
        if np.abs(b).max() > 1e-12  # The bias of the keys has a gradient of 0.
    ]
    return max(deviations) / float(jnp.finfo(float).eps)


def trainings() -> dict:
    """A network with a dropout and a batch norm, trained by `fit` on each mesh."""
    rules = linear(64, 32), batch_norm(32), relu(), dropout(0.2), linear(32, 10)
    network, data = chain(*rules), digits()

    def run(mesh, **settings):
        noisy = optax.chain(
            optax.add_noise(0.1, 0.5, jax.random.key(7)), optax.adam(1e-2)
        )
        return fit(
            network,
            softmax_cross_entropy(),
            data,
            optimiser=noisy,
            epochs=2,
            batch_size=64,
            key=jax.random.key(3),
            mesh=mesh,
            **settings,
        )

    truth, found = run(None), {}
    for text in ("data=8", "fsdp=8", "data=2,fsdp=2,model=2"):
        mesh, middle = many.make_mesh(many.read_sizes(text)), Middle()
        whole = run(mesh, callbacks=[middle])
        gone_on = run(mesh, resume=middle.snapshot)
        found[text] = [apart(part.params, truth.params) for part in (whole, gone_on)]
        found[text] += [whole.history[-1].validation_accuracy]
    return found | {"one": truth.history[-1].validation_accuracy}


class Middle:
    """Keeps the snapshot at the end of the first epoch, as a checkpoint holds it."""

    def __call__(self, moment) -> None:
        if moment.step == moment.snapshot.source.rows // 64:
            self.snapshot = moment.snapshot._replace(
                state=gathered(moment.snapshot.state)
            )


def share() -> list:
    """The shape of what the first device holds of an epoch of 3 minibatches of 16."""
    mesh = many.make_mesh({"data": 4, "fsdp": 2})
    order = np.arange(48).reshape(3, 16)[::-1]
    placed = many.batches(np.arange(96.0).reshape(48, 2), order, mesh)
    assert (np.asarray(placed)[0] == np.arange(64, 96).reshape(16, 2)).all()
    return placed.addressable_shards[0].data.shape


def main(what: str) -> None:
    """Every network on every mesh."""
    jax.config.update("jax_enable_x64", True)
    if what == "trainings":
        print(json.dumps(trainings() | {"share": share()}))
        return
    results = {
        f"{name} {text}": found
        for name, case in networks().items()
        for text, found in compare(*case).items()
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
