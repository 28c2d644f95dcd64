"""The lab's trainings, its accident, its sentences and its page."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import purefw
from purefw.data import Dataset, Split, load
from purefw.layers.linear import LinearParams
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.train import State, train_epoch, train_step
from reference import chance
from reference.baselines.lesson import separate_activations, shared_activation
from reference.commands.lab import lesson_split
from reference.lab import accident, answers, sweep
from reference.lab.answers import spread
from reference.lab.sweep import ACTIVATIONS, Plan, build, keys_of, looks, slopes
from reference.lab.table import PUBLISHED, header, rows
from tests.data.test_mnist import real_directory


@pytest.fixture(scope="module")
def plan():
    """Three classes of 40 rows that a line nearly separates."""
    rng = np.random.default_rng([7, 1])
    labels = rng.integers(0, 3, 40)
    x = rng.standard_normal((40, 5)) + 2 * np.eye(3, 5)[labels]
    split = Split(jnp.asarray(x), jnp.asarray(labels))
    data = Dataset("blobs", Split(*(v[:29] for v in split)), split, 3)
    return Plan(data, epochs=2, batch_size=4, rate=0.1, seeds=(3, 5))


@pytest.fixture(scope="module")
def runs(plan):
    return list(sweep(plan, hidden=7))


@pytest.fixture(scope="module")
def mishap(plan, runs):
    last = runs[-1]
    return accident(plan, last.sizes, last.activation, last.accuracy)


def test_there_are_seven_networks_and_all_learn(runs):
    assert [run.name for run in runs][:2] == ["5-3 none", "5-7-3 tanh"]
    assert len({run.name for run in runs}) == 7
    for run in runs:
        assert run.looks[-1].loss.mean() < run.looks[0].loss.mean()
        assert run.looks[-1].epoch == 2 and len(run.looks) >= 11


def test_seeds_side_by_side_are_seeds_one_by_one(plan):
    together = list(looks(plan, (5, 7, 3), "relu"))[-1]
    network, loss = build((5, 7, 3), "relu"), softmax_cross_entropy()
    step = partial(
        train_step,
        network=network,
        gradient=purefw.loss_and_grad(network, loss),
        optimiser=optax.sgd(plan.rate),
    )
    for place, (init_key, order_key) in enumerate(zip(*keys_of(plan))):
        params = network.init(init_key)
        state = State(params, optax.sgd(plan.rate).init(params))
        for epoch in range(plan.epochs):
            key = jax.random.fold_in(jax.random.clone(order_key), epoch)
            state, _ = train_epoch(
                state, plan.data.train, key, step=step, batch_size=plan.batch_size
            )
        largest = [jnp.abs(p.weight).max() for p in state.params if p]
        np.testing.assert_allclose(together.largest[place], largest, rtol=1e-12)


def test_slopes_are_those_of_autodiff(plan, keys):
    x = chance.normal(next(keys), (11, 5))
    for name, activation in ACTIVATIONS.items():
        network = build((5, 7, 3), name)
        params = network.init(next(keys))
        a = x @ params[0].weight
        value = partial(activation().apply, ())
        found = slopes(network, params, x)[0]
        true = jax.vmap(jax.vmap(jax.grad(value)))(a)
        steepest = {"sigmoid": 0.25}.get(name, 1.0)
        np.testing.assert_allclose(found * steepest, true, rtol=1e-12)


def test_the_accident_spoils_what_lies_before_the_second_use(mishap):
    first, *rest = mishap.errors
    assert first > 0.1 and max(rest) < 1e-13
    assert max(mishap.pure_errors) < 1e-13


def test_two_objects_in_numpy_are_the_pure_function(mishap):
    """Where the accuracies differ, the NumPy is not the lesson's equations."""
    np.testing.assert_allclose(mishap.separate, mishap.pure, atol=1e-12)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_the_lessons_layers_have_the_gradient_of_autodiff(kind, plan, keys):
    network = build((5, 7, 7, 3), kind)
    params = network.init(next(keys))
    x, labels = plan.data.train
    _, true = purefw.loss_and_grad(network, softmax_cross_entropy())(params, x, labels)
    true = [p for p in true if isinstance(p, LinearParams)]
    pairs = [(np.asarray(p.weight), np.asarray(p.bias)) for p in params if p]
    for make, right in ((separate_activations, True), (shared_activation, False)):
        lesson = make(pairs, kind)
        lesson.gradient(np.asarray(x), np.asarray(labels))
        apart = [
            np.abs(layer.dW - t.weight).max() / np.abs(t.weight).max()
            for layer, t in zip(lesson.layers[::2], true)
        ]
        assert (max(apart) < 1e-12) == right, apart


def test_the_sentences_hold_the_figures(runs, mishap):
    found = answers(runs, mishap)
    assert len(found) == 5
    best = max(runs[1:4], key=lambda run: run.accuracy.mean())
    assert best.activation in found[0].sentence
    assert f"{100 * best.accuracy.mean():.1f}" in found[0].sentence
    assert f"{100 * mishap.errors[0]:.0f} %" in found[4].sentence


def test_the_table_has_the_accident_and_the_published_column_where_it_belongs(
    runs, mishap
):
    assert header(runs) == ["network", "held-out accuracy"]
    lines = rows(runs, mishap)
    assert len(lines) == 8 and "one shared object" in lines[-1][0]
    assert f"{100 * runs[0].accuracy.mean():.1f} ±" in lines[0][1]
    known = [
        run._replace(sizes=sizes)
        for run, sizes in zip(
            runs, [(784, 10), *[(784, 128, 10)] * 3, *[(784, 128, 128, 10)] * 3]
        )
    ]
    assert rows(known, mishap)[6][2] == "85.9 %" and header(known)[2] == "published"
    assert rows(known, mishap)[7][2] == ""


def test_the_page_of_mnist_holds_the_whole_table():
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text()
    measured = dict(re.findall(r"\| (784[^|]*) \| ([\d.]+) ±", page))
    assert len(measured) == 8 and set(PUBLISHED) < set(measured)
    for name, accuracy in PUBLISHED.items():
        assert f"| {name} | {measured[name]} ±" in page and f"| {accuracy} |" in page


@pytest.mark.slow
def test_a_line_of_the_page_of_mnist_is_current():
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text()
    data = lesson_split(load("mnist", directory=real_directory()))
    with jax.enable_x64(False):
        data = Dataset("mnist", *map(narrow, (data.train, data.validation)), 10)
        last = list(looks(Plan(data, 1, 4, 0.1, (0, 1, 2)), (784, 10), "none"))[-1]
    assert f"| 784-10 none | {spread(np.asarray(last.accuracy))} |" in page


def narrow(split):
    """In float32, as the command has it."""
    return Split(split.x.astype(jnp.float32), split.labels)


def test_the_page_holds_its_pictures_and_asks_for_nothing(runs, mishap, tmp_path):
    pytest.importorskip("matplotlib", reason="the figures need matplotlib")
    from reference.lab.page import write

    files = write(tmp_path / "new", "title & more", runs, mishap)
    page = files[-1].read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(files) - 1 == 5
    assert "title &amp; more" in page and not re.search(r"https?://", page)
    assert all(f.read_bytes()[:4] == b"\x89PNG" for f in files[:-1])


@pytest.mark.parametrize(
    "change,sentence",
    [
        ({"epochs": 0}, "lab: epochs must be at least 1, got 0"),
        ({"seeds": ()}, "lab: seeds must be at least 1, got 0"),
        ({"batch_size": 30}, r"lab: batch_size must be in \[1, 29\], got 30"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        next(sweep(plan._replace(**change), 7))


@pytest.mark.slow
def test_the_command_trains_the_digits_and_says_where_its_page_is(tmp_path):
    command = [sys.executable, "-m", "reference.cli", "lab", "--out", str(tmp_path)]
    done = subprocess.run([*command, "--seeds", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "one shared object" in done.stdout and (tmp_path / "lab.html").exists()
