"""Checkpoints: killed at any moment and resumed, a training ends with the same bits."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from purefw.checkpoint import (
    FILE,
    CheckpointError,
    Checkpoints,
    restore,
    settings_of,
    steps,
)
from purefw.checkpoint_manager import FileArgs, manager
from purefw.compose import chain
from purefw.data import toy
from purefw.layers.dropout import dropout
from purefw.layers.linear import linear
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron, resnet
from purefw.rule import Rule
from purefw.train import fit

ROOT = Path(__file__).parents[1]
NETWORK = perceptron((2, 5, 2), tanh())
OPTIMISER = optax.adam(1e-2)
EPOCH = 5  # Steps, at batch 16.


def _fit(directory=None, *, network=NETWORK, optimiser=OPTIMISER, epochs=4, **settings):
    """A training that keeps checkpoints in a directory."""
    kept = {k: settings.pop(k) for k in ("keep", "every") if k in settings}
    callbacks = [Checkpoints(directory, **kept)] if directory else []
    settings = {"batch_size": 16, "key": jax.random.key(0)} | settings
    return fit(
        network,
        softmax_cross_entropy(),
        toy(),
        optimiser=optimiser,
        epochs=epochs,
        callbacks=callbacks,
        **settings,
    )


def same(tree, other):
    """Whether two trees hold the same bits."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def _enlarged():
    """The points as images of 2 x 2 pixels, for a network with batch norms."""
    pad = Rule(
        "pad",
        lambda key: (),
        lambda p, x: (jnp.concatenate([x, x], axis=1), ()),
        lambda r, dy: ((), dy[:, :2] + dy[:, 2:]),
    )
    return chain(pad, resnet((2, 2, 1), (2,), 1, 2))


@pytest.mark.parametrize(
    "network",
    [NETWORK, chain(linear(2, 5), dropout(0.3), linear(5, 2)), _enlarged()],
    ids=["perceptron", "dropout", "batch_norm"],
)
def test_resumed_within_an_epoch_it_ends_with_the_same_bits(network, tmp_path):
    whole = _fit(network=network)
    _fit(tmp_path, network=network, epochs=2, every=7, keep=9)
    assert steps(tmp_path) == [0, 5, 7, 10]
    snapshot = restore(tmp_path, network, OPTIMISER, step=7)
    assert snapshot.step == 7 and [e.number for e in snapshot.history] == [0, 1]
    resumed = _fit(network=network, resume=snapshot)
    assert same(resumed.params, whole.params)
    assert resumed.history == whole.history


def test_the_newest_and_the_best_are_kept(tmp_path):
    losses = [
        e.validation_loss for e in _fit(epochs=7, optimiser=optax.sgd(3.0)).history
    ]
    best = losses.index(min(losses))
    assert best < 5  # Or the test would say nothing.
    _fit(tmp_path, epochs=7, optimiser=optax.sgd(3.0), keep=2)
    assert steps(tmp_path) == [best * EPOCH, 6 * EPOCH, 7 * EPOCH]
    snapshot = restore(tmp_path, NETWORK, optax.sgd(3.0), step="best")
    assert snapshot.step == best * EPOCH


def test_orbax_itself_reads_what_it_wrote(tmp_path):
    _fit(tmp_path, epochs=1)
    args = ocp.args.Composite(training=FileArgs())
    with manager(tmp_path, keep=3) as keeper:
        about, arrays = keeper.restore(5, args=args)["training"]
    assert about["step"] == 5 and about["settings"] == {}
    snapshot = restore(tmp_path, NETWORK, OPTIMISER)
    np.testing.assert_array_equal(
        arrays["params.0.weight"], snapshot.state.params[0].weight
    )


def test_settings_are_kept(tmp_path):
    settings = {"rate": 0.1, "name": None}
    callbacks = [Checkpoints(tmp_path, settings=settings)]
    task = NETWORK, softmax_cross_entropy(), toy()
    given = {"epochs": 1, "batch_size": 16, "key": jax.random.key(0)}
    fit(*task, optimiser=OPTIMISER, callbacks=callbacks, **given)
    assert settings_of(tmp_path) == settings


def test_an_optimiser_that_holds_a_key_is_kept(tmp_path):
    noisy = optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(7)), optax.sgd(0.1))
    whole = _fit(optimiser=noisy)
    _fit(tmp_path, optimiser=noisy, epochs=2)
    resumed = _fit(optimiser=noisy, resume=restore(tmp_path, NETWORK, noisy))
    assert same(resumed.params, whole.params)


def test_another_architecture_is_refused_with_the_first_leaf_that_differs(tmp_path):
    _fit(tmp_path, epochs=1)
    message = r"0/?.*params.0.weight must be float64\[2,3\], got float64\[2,5\]"
    with pytest.raises(ValueError, match=message):
        restore(tmp_path, perceptron((2, 3, 2), tanh()), OPTIMISER)
    message = r"params.2.weight must be absent, got float64\[5,2\]"
    with pytest.raises(ValueError, match=message):
        restore(tmp_path, chain(linear(2, 5), tanh()), optax.sgd(0.1))
    with pytest.raises(
        ValueError, match=r"optimiser.0.count must be absent, got int32"
    ):
        restore(tmp_path, NETWORK, optax.sgd(0.1))


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"batch_size": 20}, "batch_size of the data must be that of .*, 16, got 20"),
        (
            {"key": jax.random.key(1)},
            r"key must be that of the .*, \[0, 0\], got \[0, 1",
        ),
    ],
)
def test_another_order_of_the_rows_is_refused(settings, message, tmp_path):
    _fit(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=message):
        _fit(resume=restore(tmp_path, NETWORK, OPTIMISER), **settings)


def test_other_data_are_refused(tmp_path):
    _fit(tmp_path, epochs=1)
    snapshot = restore(tmp_path, NETWORK, OPTIMISER)
    settings = {"epochs": 2, "batch_size": 16, "key": jax.random.key(0)}
    task = NETWORK, softmax_cross_entropy(), toy(seed=5)
    with pytest.raises(ValueError, match="checksum of the data must be that of the"):
        fit(*task, optimiser=OPTIMISER, resume=snapshot, **settings)


def test_no_checkpoint_and_an_unknown_step_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="the latest step, got no checkpoint"):
        restore(tmp_path, NETWORK, OPTIMISER)
    with pytest.raises(CheckpointError, match="the latest step, got no checkpoint"):
        restore(tmp_path / "nowhere", NETWORK, OPTIMISER)
    _fit(tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="must hold the 3 step, got 0, 5"):
        restore(tmp_path, NETWORK, OPTIMISER, step=3)


def test_a_folder_with_later_steps_is_not_written_over(tmp_path):
    _fit(tmp_path, epochs=2)
    with pytest.raises(
        CheckpointError, match="hold no step after 0, got 10: resume it"
    ):
        _fit(tmp_path)
    assert steps(tmp_path) == [0, 5, 10]


def test_keep_must_be_positive(tmp_path):
    with pytest.raises(CheckpointError, match="keep must be at least 1, got 0"):
        Checkpoints(tmp_path, keep=0)


def _damages(content):
    """The file cut off, and with one byte changed, at many places."""
    places = range(0, len(content), len(content) // 23)
    for place in places:
        yield content[:place]
        yield content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def test_a_damaged_checkpoint_is_named_and_the_earlier_one_serves(tmp_path):
    _fit(tmp_path, epochs=2)
    file = tmp_path / "10" / FILE
    content, sound = file.read_bytes(), restore(tmp_path, NETWORK, OPTIMISER)
    refused = 0
    for damaged in _damages(content):
        file.write_bytes(damaged)
        try:
            snapshot = restore(tmp_path, NETWORK, OPTIMISER)
        except CheckpointError as error:
            assert str(error).startswith(f"checkpoint: {tmp_path / '10'} must be whole")
            assert "\n" not in str(error)
            refused += 1
        else:  # A byte that means nothing, as the date of an entry.
            assert same(snapshot.state, sound.state)
            assert snapshot.history == sound.history
    assert refused >= 30  # Of 46.
    file.unlink()
    with pytest.raises(CheckpointError, match="10 must be whole, got No such file"):
        restore(tmp_path, NETWORK, OPTIMISER)
    earlier = restore(tmp_path, NETWORK, OPTIMISER, step=5)
    assert same(_fit(resume=earlier).params, _fit().params)


@contextmanager
def small_disk(size):
    """A file system of a few hundred kilobytes."""
    folder = tempfile.mkdtemp()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if (
        shutil.which("mount") is None
        or subprocess.run(command, capture_output=True).returncode
    ):
        os.rmdir(folder)
        pytest.skip("no permission to mount a small disk")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


def test_a_full_disk_is_one_sentence_and_loses_no_earlier_checkpoint():
    with small_disk("400k") as folder:
        _fit(folder, epochs=2, keep=9)
        before = steps(folder)
        free = os.statvfs(folder)
        (folder / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 8192))
        snapshot = restore(folder, NETWORK, OPTIMISER)
        with pytest.raises(
            CheckpointError, match="take a checkpoint, got No space left"
        ):
            _fit(folder, resume=snapshot, keep=9)
        assert steps(folder) == before == [0, 5, 10]
        (folder / "ballast").unlink()
        resumed = _fit(folder, resume=restore(folder, NETWORK, OPTIMISER), keep=1)
    assert same(resumed.params, _fit().params)


@contextmanager
def nobody():
    """Without root's right to write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_permission_is_one_sentence():
    folder = Path(tempfile.mkdtemp())
    _fit(folder / "run", epochs=1)
    folder.chmod(0o755)
    for path in [folder / "run", *(folder / "run").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with nobody():
            snapshot = restore(folder / "run", NETWORK, OPTIMISER)
            with pytest.raises(CheckpointError, match="got Permission denied"):
                _fit(folder / "run", resume=snapshot, epochs=2)
            with pytest.raises(CheckpointError, match="got Permission denied"):
                Checkpoints(folder / "another")
        assert steps(folder / "run") == [0, 5]
    finally:
        for path in [folder / "run", *(folder / "run").rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file must be a folder to write to, got"):
        Checkpoints(tmp_path / "file")


SCRIPT = """
import sys
from pathlib import Path
import jax, numpy as np, optax
from purefw.checkpoint import Checkpoints, restore, steps
from purefw.data import toy
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train import fit

def about_to_save(moment):
    print("saving", flush=True)

about_to_save.every = 2
folder, out, epochs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
network, optimiser = perceptron((2, 5, 2), tanh()), optax.adam(1e-2)
resume = restore(folder, network, optimiser) if steps(folder) else None
params, history = fit(
    network, softmax_cross_entropy(), toy(), optimiser=optimiser, epochs=epochs,
    batch_size=16, key=jax.random.key(0), resume=resume,
    callbacks=[about_to_save, Checkpoints(folder, every=2, keep=2)],
)
np.savez(out, *jax.tree.leaves(params), np.array([e[1:] for e in history]))
"""


def _run(folder, out, epochs, kills):
    """Run the script, kill it while it writes, run it again; at last let it end."""
    command = [sys.executable, "-c", SCRIPT, folder, out, str(epochs)]
    environment, draw = os.environ | {"PYTHONPATH": str(ROOT)}, random.Random(kills)
    for killed in range(kills + 1):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            if killed == kills:
                process.communicate()
                assert process.returncode == 0
                return
            for _ in range(draw.randint(1, 4)):
                assert process.stdout.readline() == "saving\n"
            time.sleep(draw.uniform(0, 0.1))  # A write takes 0.03 to 0.1 s.
            assert process.poll() is None
            process.kill()


def _test_kills(tmp_path, epochs, kills):
    files = [tmp_path / "whole.npz", tmp_path / "resumed.npz"]
    _run(tmp_path / "a", files[0], epochs, 0)
    _run(tmp_path / "b", files[1], epochs, kills)
    assert steps(tmp_path / "b")[-1] == epochs * EPOCH
    with np.load(files[0]) as one, np.load(files[1]) as other:
        assert one.files == other.files and len(one.files) == 5
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_killed_while_writing_it_ends_with_the_same_bits(tmp_path):
    _test_kills(tmp_path, epochs=8, kills=2)


@pytest.mark.slow
def test_killed_twenty_times_while_writing_it_ends_with_the_same_bits(tmp_path):
    _test_kills(tmp_path, epochs=40, kills=20)
