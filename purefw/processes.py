"""Several processes as one program: each with its devices, all with one mesh.

JAX's own runtime connects them (jax.distributed); this module only finds out who is
who, from arguments or from the environment that a launcher leaves.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax


class Place(NamedTuple):
    """A process among others; None where JAX itself reads it from the launcher.

    Attributes:
        coordinator: Address and port of process 0, "host:1234".
        num_processes: How many there are.
        process_id: Which one this is, from 0.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


# How many processes, under launchers that JAX knows: Slurm, Open MPI.
KNOWN = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")


def launched(environment: Mapping[str, str]) -> Place | None:
    """The place that a launcher gave this process; None where there is no launcher.

    Known are Slurm, Open MPI, and the variables that torchrun sets.

    Example:
        >>> launched({"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500",
        ...           "WORLD_SIZE": "2", "RANK": "1"})
        Place(coordinator='10.0.0.1:29500', num_processes=2, process_id=1)
        >>> launched({"SLURM_NTASKS": "4"})
        Place(coordinator=None, num_processes=None, process_id=None)
    """
    if int(environment.get("WORLD_SIZE", 1)) > 1 and "MASTER_ADDR" in environment:
        return Place(
            f"{environment['MASTER_ADDR']}:{environment.get('MASTER_PORT', 29500)}",
            int(environment["WORLD_SIZE"]),
            int(environment["RANK"]),
        )
    if any(int(environment.get(name, 1)) > 1 for name in KNOWN):
        return Place()
    return None


def join(place: Place) -> None:
    """Connect this process with the others; before anything else is asked of JAX.

    Args:
        place: From `launched`, or made by hand.

    Raises:
        ValueError: an incomplete or impossible place, or others that do not answer.
    """
    given = [v is not None for v in place]
    if any(given) and not all(given):
        raise ValueError(
            "processes: coordinator, num_processes and process_id must be given "
            f"together, got {place.coordinator}, {place.num_processes} and "
            f"{place.process_id}"
        )
    if all(given) and not 0 <= place.process_id < place.num_processes:
        raise ValueError(
            f"processes: process_id must be in [0, {place.num_processes}), "
            f"got {place.process_id}"
        )
    try:
        jax.distributed.initialize(*place)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"processes: coordinator {place.coordinator} must connect all "
            f"{place.num_processes}, got {reason}"
        ) from None
