"""Exported parameters come back to the bit, and to no other architecture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from purefw.exports import load_params, save_params
from purefw.layers.tanh import tanh
from purefw.models import perceptron
from purefw.rule import Rule
from tests.models.tiny import NETWORKS
from tests.refute import random_params

NETWORK = perceptron((2, 5, 3), tanh())


def same(tree, other):
    """Whether two trees hold the same bits of the same dtypes."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("name", ["resnet", "gpt_learned", "perceptron"])
def test_parameters_come_back(name, suffix, tmp_path, keys):
    network, path = NETWORKS[name](), tmp_path / f"net.{suffix}"
    params = random_params(network, next(keys))
    save_params(path, params)
    assert same(load_params(path, network), params)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def _narrow():
    return Rule(
        "narrow",
        lambda key: jax.tree.map(lambda v: v.astype("bfloat16"), NETWORK.init(key)),
        NETWORK.forward,
        NETWORK.backward,
    )


def test_bfloat16_goes_to_safetensors_alone(tmp_path, keys):
    network = _narrow()
    params = network.init(next(keys))
    save_params(tmp_path / "net.safetensors", params)
    assert same(load_params(tmp_path / "net.safetensors", network), params)
    with pytest.raises(
        ValueError, match="0.weight must be of .* NumPy's own .* bfloat1"
    ):
        save_params(tmp_path / "net.npz", params)


def test_others_read_the_files(tmp_path, keys):
    params = random_params(NETWORK, next(keys))
    save_params(tmp_path / "net.npz", params)
    save_params(tmp_path / "net.safetensors", params)
    with np.load(tmp_path / "net.npz") as by_numpy:
        np.testing.assert_array_equal(by_numpy["2.weight"], params[2].weight)
    theirs = safetensors.numpy.load_file(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(theirs["0.bias"], params[0].bias)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_what_does_not_fit_is_refused_by_name(suffix, tmp_path, keys):
    path = tmp_path / f"net.{suffix}"
    save_params(path, NETWORK.init(next(keys)))
    other = perceptron((2, 7, 3), tanh())
    message = r"0.weight must be float64\[2,7\], got float64\[2,5\]"
    with pytest.raises(ValueError, match=message):
        load_params(path, other)
    with pytest.raises(
        ValueError, match=r"0.weight must be bfloat16\[2,5\], got float64"
    ):
        load_params(path, _narrow())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        ValueError, match=f"net.{suffix} must be a whole file of arrays"
    ):
        load_params(path, NETWORK)
    with pytest.raises(ValueError, match="whole file of arrays, got No such file"):
        load_params(tmp_path / f"gone.{suffix}", NETWORK)
    with pytest.raises(
        ValueError, match="must be a file to write to, got No such file"
    ):
        save_params(tmp_path / "nowhere" / f"net.{suffix}", NETWORK.init(next(keys)))


def test_a_failed_write_leaves_the_earlier_file(tmp_path, keys, monkeypatch):
    params = NETWORK.init(next(keys))
    save_params(tmp_path / "net.npz", params)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(ValueError, match="write to, got No space left on device"):
        save_params(tmp_path / "net.npz", jax.tree.map(jnp.zeros_like, params))
    assert same(load_params(tmp_path / "net.npz", NETWORK), params)
    assert len(list(tmp_path.iterdir())) == 1


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="must end with .safetensors or .npz, got a.pt"
    ):
        save_params(tmp_path / "a.pt", ())
