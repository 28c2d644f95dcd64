"""Gradients on many devices are one device's, and no more is sent than must be."""

import json
import os
import subprocess
import sys

import jax
import pytest

from purefw import mesh as many
from purefw import processes
from purefw.layers.batch_norm import batch_norm
from purefw.layers.relu import relu
from purefw.models import perceptron


@pytest.fixture(scope="module")
def eight():
    """The gradients that tests.devices finds."""
    return _found("gradients")


def _found(what):
    done = subprocess.run(
        [sys.executable, "-m", "tests.devices", what],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_mesh_gives_the_gradient_of_one_device(eight):
    """In units in the last place; another order of the sums, at worst 12 measured."""
    assert len(eight) == 8
    assert {name: v for name, (v, _) in eight.items() if v > 64} == {}


@pytest.mark.slow
def test_fit_on_every_mesh_leaves_what_it_leaves_on_one_device():
    """Dropout, batch norm, Adam and its noise included; at worst 4 units measured."""
    trained = _found("trainings")
    assert trained.pop("share") == [3, 2, 2]  # Steps, a share of 16 rows, features.
    one = trained.pop("one")
    assert len(trained) == 3
    for name, (whole, gone_on, accuracy) in trained.items():
        assert max(whole, gone_on) < 64 and accuracy == one, (name, whole, gone_on)


LEAVES = 8 * (24 * 32 + 32 + 32 * 16 + 16 + 16 * 8 + 8)  # Bytes of the gradient.
WEIGHTS = [8 * n for n in (24 * 32, 32 * 16, 16 * 8)]


def test_data_parallel_sends_the_gradient_once(eight):
    assert eight["perceptron data=8"][1] == [["all-reduce", LEAVES]]


def test_fsdp_joins_each_weight_where_it_is_used(eight):
    """Forward each, backward all but the first: dx of the data is not needed."""
    moved = eight["perceptron fsdp=8"][1]
    gathers = sorted(n for kind, n in moved if kind == "all-gather")
    assert gathers == sorted(WEIGHTS + WEIGHTS[1:])
    assert [n for kind, n in moved if kind == "all-reduce"] == [LEAVES]
    assert len(moved) == len(gathers) + 1


def test_tensor_parallel_adds_up_once_a_pair_of_layers(eight):
    """y of the second layer; dh that the third sends back; no parameters at all."""
    rows = {n: 8 * 64 * n for n in (8, 16, 32)}
    moved = eight["perceptron model=8"][1]
    assert all(n <= rows[32] for _, n in moved), moved
    assert ["all-reduce", rows[16]] in moved


def test_a_split_that_does_not_divide_is_left_out():
    mesh = jax.sharding.AbstractMesh((1, 2, 4), many.AXES)
    params = perceptron((6, 10, 7), relu()).init(jax.random.key(0))
    first, _, second = many.parameter_specs(params, mesh)
    assert first.weight == jax.P("fsdp", None) and first.bias == jax.P(None)
    assert second.weight == jax.P("fsdp", None) and second.bias == jax.P(None)
    norm = many.parameter_specs(batch_norm(8).init(jax.random.key(0)), mesh)
    assert set(norm) == {jax.P(None)}


BAD = {
    "mesh: sizes must read like data=8,model=2, got 'data:8'": lambda: many.read_sizes(
        "data:8"
    ),
    "mesh: axes must be among data, fsdp, model, got rows": lambda: many.make_mesh(
        {"rows": 1}
    ),
    "mesh: data must be at least 1, got 0": lambda: many.make_mesh({"data": 0}),
    "mesh: sizes must multiply to the number of devices": lambda: many.make_mesh(
        {"data": 3 * jax.device_count()}
    ),
    "mesh: batch_size must be a multiple of data x fsdp, 6, got 9": lambda: (
        many.check_batch_size(9, jax.sharding.AbstractMesh((2, 3, 1), many.AXES))
    ),
    "processes: coordinator, num_processes and process_id must be given": lambda: (
        processes.join(processes.Place("localhost:1", 2))
    ),
    r"processes: process_id must be in \[0, 2\), got 2": lambda: processes.join(
        processes.Place("localhost:1", 2, 2)
    ),
}


@pytest.mark.parametrize("sentence,call", BAD.items(), ids=BAD)
def test_what_cannot_be_is_refused(sentence, call):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_without_a_launcher_a_process_is_alone():
    assert processes.launched({"WORLD_SIZE": "1", "SLURM_NTASKS": "1"}) is None
    assert processes.launched({"OMPI_COMM_WORLD_SIZE": "3"}) == processes.Place()
