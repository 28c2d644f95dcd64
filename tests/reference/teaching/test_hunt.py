"""Hunts: every class, different for every seed, found by what can be asked."""

import jax
import pytest

from reference.teaching.hunt.classes import CLASSES
from reference.teaching.hunt.game import ENOUGH, ask, hunt, reason

BY_CLASS = {hunt(seed).mistake.name: seed for seed in range(18)}


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    """Optax multiplies floats by counts."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_eighteen_seeds_in_a_row_have_eighteen_classes():
    assert len(BY_CLASS) == len(CLASSES) == 18
    assert {hunt(seed).mistake.name for seed in range(36, 54)} == set(CLASSES)


def test_hunts_differ_with_the_seed():
    found = [hunt(seed) for seed in range(54)]
    widths = [str(h.setting.parts["linear1"].init) for h in found]
    drawn = list(zip((h.mistake.name for h in found), (h.place for h in found), widths))
    assert len(set(drawn)) >= 50


def test_class_and_place_win_and_the_reveal_links():
    h = hunt(BY_CLASS["C2"])
    won, said = h.guess("C2", h.place)
    assert won and "numpy-ml/issues/94" in said
    for guess, answer in {
        ("C3", h.place): "The place is right",
        ("C2", "loss"): "The class is right",
        ("C3", "loss"): "Neither",
    }.items():
        won, said = h.guess(*guess)
        assert not won and answer in said and "http" not in said


def test_the_task_hides_what_it_is():
    h = hunt(BY_CLASS["C2"])
    assert h.mistake.sentence not in h.task and h.mistake.link not in h.task


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_every_mistake_shows_where_it_is(name):
    h = hunt(BY_CLASS[name])
    assert shows(h)
    assert not shows(with_nothing_wrong(h))


def with_nothing_wrong(h):
    return type(h)(h.seed, h.mistake, h.place, h.original, h.original)


def shows(h):
    kind = h.mistake.shows
    said = ask(h, f"{kind} {h.place}" if kind in ("step", "second") else kind)
    if kind == "check":
        return said.count("accepted") > 1
    if kind in ("optimiser", "second"):
        number = "apart by " if kind == "optimiser" else "error "
        errors = [float(line.split(number)[1].split()[0]) for line in said.splitlines()]
        return max(errors) > 1e-3
    return any(v in said for v in ("WRONG", "IMPRECISE", "CONTRACT"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_the_network_trains_or_the_hunt_says_why_not(name):
    h = hunt(BY_CLASS[name])
    wrong, right = (a[-1] for a in h.accuracy)
    assert right > 0.9
    assert (wrong >= ENOUGH * right) != ("because" in h.plausible)


def test_why_it_does_not_train_is_measured():
    h = hunt(BY_CLASS["C6"])
    assert (
        reason(with_nothing_wrong(h))
        == "the gradient's cosine to the right one is 1.00"
    )
    assert f"({h.place} 0." in reason(h)
    assert "learning rates" in reason(hunt(BY_CLASS["C17"]))


@pytest.mark.parametrize(
    "question,message",
    [("nothing", "hunt: PART must be one of"), ("step nowhere", "hunt: PLACE must")],
)
def test_what_cannot_be_asked_is_refused(question, message):
    with pytest.raises(ValueError, match=message):
        ask(hunt(0), question)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="hunt: seed must be at least 0, got -1"):
        hunt(-1)
