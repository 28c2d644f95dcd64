"""One network on eight devices: python examples/several_devices.py

Without accelerators XLA makes eight devices of one CPU, which shows where things lie,
not how fast it is. Takes any mesh of eight: data=2,fsdp=2,model=2.
"""

import os
import sys

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax  # noqa: E402

from purefw.data import digits  # noqa: E402
from purefw.layers.relu import relu  # noqa: E402
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy  # noqa: E402
from purefw.mesh import make_mesh, read_sizes  # noqa: E402
from purefw.models import perceptron  # noqa: E402
from purefw.train import fit  # noqa: E402


def main(sizes: str = "data=2,fsdp=2,model=2", epochs: int = 10) -> float:
    """Train; returns the accuracy on the rows held out."""
    mesh = make_mesh(read_sizes(sizes))
    params, history = fit(
        perceptron((64, 32, 10), relu()),
        softmax_cross_entropy(),
        digits(),
        optimiser="adam",
        epochs=epochs,
        batch_size=32,
        key=jax.random.key(0),
        mesh=mesh,
    )
    weight = params[0].weight
    jax.debug.visualize_array_sharding(weight)
    part = weight.addressable_shards[0].data.shape
    print(f"a device holds {part} of the first weight's {weight.shape}")
    print(f"{history[-1].validation_accuracy:.1%} of the digits held out")
    return history[-1].validation_accuracy


if __name__ == "__main__":
    main(*sys.argv[1:])
