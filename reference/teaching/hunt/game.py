"""A hunt: drawn from a seed, questioned part by part, won by class and place.

train            accuracy epoch by epoch
network          the whole gradient beside autodiff's, leaf by leaf
step PLACE       one part under a true cotangent
loss             the loss under a cotangent that is not 1
second PLACE     the derivative of a part's backward
optimiser        three updates beside Optax's AdamW
check            what the author's own check says of a gradient that is off, and NaN
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from purefw.compose import loss_and_grad
from reference.check import check_loss, check_rule
from reference.registry.entry import normal_like
from reference.report import Report
from reference.teaching.hunt.classes import CLASSES, Class
from reference.teaching.hunt.network import (
    DECAY,
    RATE,
    Setting,
    accuracies,
    data,
    right,
)

ENOUGH = 0.8  # Of the right network's accuracy.
ALONG = 0.5  # Below this cosine a step does not go where it should.
ROWS = 7


@dataclass(frozen=True)
class Hunt:
    """One planted mistake.

    Attributes:
        seed: From which it was drawn.
        mistake: Its class.
        place: Where it is.
        setting: The network with it.
        original: Without it.
    """

    seed: int
    mistake: Class
    place: str
    setting: Setting
    original: Setting

    @property
    def task(self) -> str:
        """What the player is told."""
        places = " → ".join(self.setting.parts)
        return (
            f"Hunt {self.seed}. A network on the digits trains and looks plausible; "
            f"one of its places holds a mistake.\n  places: {places}; loss, optimiser, "
            "check\n  classes: "
            + ", ".join(f"{c.name} {c.title}" for c in CLASSES.values())
        )

    @cached_property
    def accuracy(self) -> tuple[list[float], list[float]]:
        """Of the network with the mistake and without, epoch by epoch."""
        return accuracies(self.setting, self.seed), accuracies(self.original, self.seed)

    @property
    def plausible(self) -> str:
        """Its accuracy beside the right one's; where it is too low, why."""
        wrong, true = (a[-1] for a in self.accuracy)
        said = f"{wrong:.1%} where the right network reaches {true:.1%}"
        if wrong >= ENOUGH * true:
            return said
        return f"{said}: less than {ENOUGH:.0%} of it, because {reason(self)}"

    def guess(self, mistake: str, place: str) -> tuple[bool, str]:
        """Whether class and place are named, and what is said."""
        right_class = mistake == self.mistake.name
        right_place = place == self.place
        if right_class and right_place:
            return True, f"Found. {self.reveal}"
        if right_class or right_place:
            which = "class" if right_class else "place"
            return False, f"The {which} is right, the other is not."
        return False, "Neither class nor place."

    @property
    def reveal(self) -> str:
        """What was planted, and the real case."""
        c = self.mistake
        return (
            f"{c.name}, {c.title}, at {self.place}: {c.sentence}.\n"
            f"  A real one: {c.link}"
        )


def hunt(seed: int) -> Hunt:
    """The hunt of a seed.

    Args:
        seed: Any integer from 0 on; eighteen in a row have eighteen classes.

    Example:
        >>> hunt(3).mistake.name == hunt(4).mistake.name
        False
    """
    if seed < 0:
        raise ValueError(f"hunt: seed must be at least 0, got {seed}")
    lap, turn = divmod(seed, len(CLASSES))
    order = np.random.default_rng([0xB06, lap]).permutation(list(CLASSES))
    mistake = CLASSES[str(order[turn])]
    rng = np.random.default_rng([0xB07, seed])
    original = right(int(rng.integers(12, 25)), int(rng.integers(8, 33)))
    place = str(rng.choice(mistake.places))
    return Hunt(seed, mistake, place, mistake.plant(original, place), original)


def train(h: Hunt, place: str) -> str:
    """Accuracy by epoch."""
    return "\n".join(f"epoch {k}: {a:.1%}" for k, a in enumerate(h.accuracy[0]))


def network(h: Hunt, place: str) -> str:
    """The whole gradient."""
    hand, true = gradients(h)
    names = [n for n, p in zip(h.setting.parts, true) for _ in jax.tree.leaves(p)]
    lines = []
    for name, (path, a), b in zip(
        names, jax.tree.leaves_with_path(hand), jax.tree.leaves(true)
    ):
        error = float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))
        leaf = jax.tree_util.keystr(path).rpartition(".")[2]
        lines.append(f"{name:<9}{leaf:<8} relative error {error:.1e}")
    return "\n".join(lines)


def gradients(h: Hunt) -> tuple[Any, Any]:
    """By hand and by autodiff, a tree of parameters each."""
    with jax.enable_x64(True):
        params, x, labels = minibatch(h)
        s = h.setting
        _, hand = loss_and_grad(s.network, s.loss)(params, x, labels)
        value = lambda p: s.loss.forward(s.network.forward(p, x)[0], labels)[0]  # noqa: E731
        return hand, jax.grad(value)(params)


def reason(h: Hunt) -> str:
    """Why it does not train: how its gradient lies to autodiff's, or its updates."""
    if h.place == "optimiser":
        return f"its updates are not AdamW's: {optimiser(h, '').splitlines()[-1]}"
    hand, true = gradients(h)
    off = [
        f"{place} {c:.2f}"
        for place, a, b in zip(h.setting.parts, hand, true)
        if jax.tree.leaves(b) and (c := cosine(a, b)) < ALONG
    ]
    said = f"the gradient's cosine to the right one is {cosine(hand, true):.2f}"
    return f"{said} ({', '.join(off)})" if off else said


def cosine(one: Any, other: Any) -> float:
    """Of two trees; 0 where one vanishes."""
    a, b = (
        np.concatenate([np.ravel(v) for v in jax.tree.leaves(tree)])
        for tree in (one, other)
    )
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else 0.0


def minibatch(h: Hunt) -> tuple[Any, Any, Any]:
    """Parameters away from their start, and some rows, in float64."""
    init_key, key = jax.random.split(jax.random.key(h.seed))
    initial = h.setting.network.init(init_key)
    moved = jax.tree.map(
        lambda v, n: v + 0.1 * n.astype(v.dtype), initial, normal_like(initial, key)
    )
    x, labels = data().train
    lifted = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), (moved, x[:ROWS]))
    return *lifted, labels[:ROWS]


def step(h: Hunt, place: str) -> str:
    """One part by the verifier, at what reaches it in this network."""
    if place not in h.setting.parts:
        raise ValueError(
            f"hunt: PLACE must be one of {', '.join(h.setting.parts)}, got {place}"
        )
    params, x, _ = minibatch32(h)
    for (name, rule), p in zip(h.setting.parts.items(), params):
        if name == place:
            return shown(check_rule(rule, x, params=p, seed=h.seed, points=3))
        x = rule.forward(p, x)[0]
    raise AssertionError("unreachable")


def minibatch32(h: Hunt) -> tuple[Any, Any, Any]:
    """The same in float32."""
    with jax.enable_x64(True):
        params, x, labels = jax.tree.map(np.asarray, minibatch(h))
    narrow = lambda v: v.astype(np.float32)  # noqa: E731
    return jax.tree.map(jnp.asarray, (*jax.tree.map(narrow, (params, x)), labels))


def loss(h: Hunt, place: str) -> str:
    """The loss by the verifier."""
    params, x, labels = minibatch32(h)
    prediction = h.setting.network.forward(params, x)[0]
    report = check_loss(h.setting.loss, prediction, labels, seed=h.seed, points=3)
    return shown(report)


def shown(report: Report) -> str:
    """Verdicts, and the sentences that say why; no source, which is hidden."""
    lines = [
        f"{v.verdict:<10} {name}"
        + (f": {v.sentence}" if v.sentence else "")
        + (f" (relative error {v.relative:.1e})" if v.units > 64 else "")
        + "".join(
            f"; {d} {r:.3g} times autodiff's error" for d, r in v.rounding.items()
        )
        for name, v in report.leaves.items()
    ]
    return "\n".join([*lines, *report.broken])


def second(h: Hunt, place: str) -> str:
    """jvp of backward beside jvp of the truth, along one direction."""
    params, x, _ = minibatch32(h)
    for (name, rule), p in zip(h.setting.parts.items(), params):
        if name == place:
            break
        x = rule.forward(p, x)[0]
    else:
        raise ValueError(f"hunt: PLACE must be a part of the network, got {place}")
    a, b = jax.random.normal(jax.random.key(h.seed), (2, *x.shape), x.dtype)
    dy = jnp.ones_like(rule.forward(p, x)[0])
    dy = dy + 0.5 * jnp.resize(b, dy.shape)

    def by_hand(v: Any) -> Any:
        return rule.backward(rule.forward(p, v)[1], dy)[1]

    def true(v: Any) -> Any:
        return jax.vjp(lambda w: rule.forward(p, w)[0], v)[1](dy)[0]

    hand, truth = (jax.jvp(f, (x,), (a,))[1] for f in (by_hand, true))
    size = float(jnp.linalg.norm(truth))
    error = float(jnp.linalg.norm(hand - truth)) / (size or 1.0)
    return f"the derivative of backward: relative error {error:.1e} (size {size:.2g})"


def optimiser(h: Hunt, place: str) -> str:
    """Three updates of one weight beside Optax's AdamW, with and without decay."""
    start = jnp.linspace(-2, 2, 5)
    gradients = jax.random.normal(jax.random.key(h.seed), (3, 5), start.dtype)
    mine = trajectory(h.setting.optimiser, start, gradients)
    known = trajectory(optax.adamw(RATE, weight_decay=DECAY), start, gradients)
    lines = [
        f"step {k}: apart by {float(jnp.abs(a - b).max()) / RATE:.1e} learning rates"
        for k, (a, b) in enumerate(zip(mine, known), 1)
    ]
    return "\n".join(lines)


def trajectory(made: optax.GradientTransformation, start: Any, gradients: Any) -> list:
    """The parameters after each update."""
    state, params, seen = made.init(start), start, []
    for gradient in gradients:
        update, state = made.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        seen.append(params)
    return seen


def check(h: Hunt, place: str) -> str:
    """The author's check before gradients that it must refuse."""
    key = jax.random.key(h.seed)
    true = {"weight": jax.random.normal(key, (3, 5)), "bias": jnp.ones(5)}
    tries = {
        "the gradient itself": true,
        "the bias' gradient doubled": true | {"bias": 2 * true["bias"]},
        "NaN in the bias' gradient": true | {"bias": jnp.nan * true["bias"]},
    }
    return "\n".join(
        f"{what}: {'accepted' if h.setting.check(v, true) else 'refused'}"
        for what, v in tries.items()
    )


ASK: dict[str, Callable[[Hunt, str], str]] = {
    f.__name__: f for f in (train, network, step, loss, second, optimiser, check)
}


def ask(h: Hunt, question: str) -> str:
    """The answer to "step norm1", "network", ...

    Raises:
        ValueError: there is no such question or place.
    """
    name, _, place = question.strip().partition(" ")
    if name not in ASK:
        raise ValueError(f"hunt: PART must be one of {', '.join(ASK)}, got {question}")
    return ASK[name](h, place.strip())
