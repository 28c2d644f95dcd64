"""The eighteen classes of mistakes: how each is planted, where, and the real case.

A plant takes what is right and returns it with the mistake. Where the classes are about
mutation, blocks or subsets, which a pure function of whole arrays does not have, the
plant does to the numbers what the real case did to them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from purefw.rule import Loss, Rule
from reference.teaching.hunt.network import DECAY, RATE, Setting

GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Class:
    """One class of mistakes.

    Attributes:
        name: "C4".
        title: In a few words.
        places: Where it is planted.
        plant: `plant(setting, place) -> Setting`.
        sentence: What was done, for the reveal.
        link: The real case.
        shows: The question that shows it best, for the page.
    """

    name: str
    title: str
    places: tuple[str, ...]
    plant: Callable[[Setting, str], Setting]
    sentence: str
    link: str
    shows: str = "step"


def at(change: Callable[[Rule], Rule]) -> Callable[[Setting, str], Setting]:
    """A plant that changes the rule at its place."""

    def plant(setting: Setting, place: str) -> Setting:
        parts = dict(setting.parts)
        parts[place] = change(parts[place])
        return replace(setting, parts=parts)

    return plant


def outputs(change: Callable[..., tuple]) -> Callable[[Setting, str], Setting]:
    """A plant in what backward returns: change(dparams, dx, residuals, dy)."""

    def changed(rule: Rule) -> Rule:
        def backward(residuals: Any, dy: Any) -> tuple:
            return change(*rule.backward(residuals, dy), residuals, dy)

        return replace(rule, backward=backward)

    return at(changed)


def loss_by(change: Callable[[Loss], Loss]) -> Callable[[Setting, str], Setting]:
    """A plant in the loss."""
    return lambda setting, place: replace(setting, loss=change(setting.loss))


def ones_for_dloss(loss: Loss) -> Loss:
    """C1."""
    return replace(
        loss, backward=lambda r, dloss: loss.backward(r, jnp.ones_like(dloss))
    )


def without_mean(rule: Rule) -> Rule:
    """C2: layer norm's dx without its mean path."""
    terms = rule.terms
    assert terms is not None

    def backward(residuals: Any, dy: Any) -> tuple:
        dparams, dx = rule.backward(residuals, dy)
        return dparams, dx - terms(residuals, dy)["dx"]["mean"]

    return replace(rule, backward=backward)


def swapped(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C3: two gradients of one shape exchanged."""
    return type(dparams)(*tuple(dparams)[::-1]), dx


def halved(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C4."""
    return dparams._replace(weight=dparams.weight / 2), dx


def mean_bias(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C5: the bias' gradient is a mean over rows."""
    return dparams._replace(bias=dparams.bias / dy.shape[0]), dx


def transposed(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C6: dW of a square matrix, transposed."""
    return dparams._replace(weight=dparams.weight.T), dx


def skip_overwritten(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C7: dx = the branch's, not +=."""
    return dparams, dx - dy


def unmasked(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C8: the mask of the forward is not applied."""
    return dparams, dy


def other_example(rule: Rule) -> Rule:
    """C9: the residuals of the neighbouring row."""

    def backward(residuals: Any, dy: Any) -> tuple:
        return rule.backward(jax.tree.map(lambda v: jnp.roll(v, 1, 0), residuals), dy)

    return replace(rule, backward=backward)


def written_into(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C10: the branch has scaled dy in place before the skip path reads it."""
    return dparams, dx - 0.25 * dy


def past_the_threshold(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C11: beyond the threshold a tenth comes through."""
    return dparams, jnp.where(dx == 0, 0.1 * dy, dx)


def in_bfloat16(rule: Rule) -> Rule:
    """C12: y is kept in bfloat16 and 1 - y² is computed from it."""

    def forward(params: Any, x: Any) -> tuple:
        y, residuals = rule.forward(params, x)
        coarse = jax.tree.map(
            lambda v: jax.lax.reduce_precision(v, exponent_bits=8, mantissa_bits=7),
            residuals,
        )
        return y, coarse

    return replace(rule, forward=forward)


def tail_skipped(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C13: the last rows of the batch, of no whole block of 4, get no gradient."""
    whole = dy.shape[0] - (dy.shape[0] % 4 or 1)
    return dparams, dx.at[whole:].set(0)


def no_bias(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C14: nothing for one of the inputs."""
    return dparams._replace(bias=jnp.zeros_like(dparams.bias)), dx


def symmetrised(dparams: Any, dx: Any, residuals: Any, dy: Any) -> tuple:
    """C15: taken for the gradient of a packed symmetric matrix."""
    weight = (dparams.weight + dparams.weight.T) / 2
    return dparams._replace(weight=weight), dx


def held_constant(rule: Rule) -> Rule:
    """C16: the derivative of backward forgets that backward depends on x."""

    def backward(residuals: Any, dy: Any) -> tuple:
        return rule.backward(jax.lax.stop_gradient(residuals), dy)

    return replace(rule, backward=backward)


def coupled(setting: Setting, place: str) -> Setting:
    """C17: the decay goes through Adam's moments."""
    optimiser = optax.chain(optax.add_decayed_weights(DECAY), optax.adam(RATE))
    return replace(setting, optimiser=optimiser)


def lenient(setting: Setting, place: str) -> Setting:
    """C18: the check pools the leaves and lets NaN through."""

    def check(one: Any, other: Any) -> bool:
        gaps = [abs(a - b).mean() for a, b in zip(*map(jax.tree.leaves, (one, other)))]
        return not sum(map(float, gaps)) > 1.4

    return replace(setting, check=check)


CLASSES = {
    c.name: c
    for c in (
        Class("C1", "cotangent lost", ("loss",), loss_by(ones_for_dloss),
              "the incoming dloss is taken for 1",
              GITHUB + "linkedin/Liger-Kernel/issues/1298", "loss"),
        Class("C2", "missing term", ("norm1", "norm2"), at(without_mean),
              "layer norm's dx lacks the path through the mean",
              GITHUB + "ddbourgin/numpy-ml/issues/94"),
        Class("C3", "sign or swap", ("norm1", "norm2"), outputs(swapped),
              "the gradients of scale and bias are exchanged",
              GITHUB + "jax-ml/jax/issues/3213"),
        Class("C4", "scale", ("linear1", "linear2", "linear3", "linear4"),
              outputs(halved), "the weight's gradient is half of the truth",
              GITHUB + "unslothai/unsloth/issues/1134"),
        Class("C5", "reduction or shape", ("linear1", "linear2", "linear3", "linear4"),
              outputs(mean_bias), "the bias' gradient is a mean, not a sum, over rows",
              GITHUB + "karpathy/nn-zero-to-hero/issues/68"),
        Class("C6", "axis or layout", ("linear2", "linear3"), outputs(transposed),
              "the square weight's gradient is transposed",
              GITHUB + "FlagOpen/FlagGems/issues/5392"),
        Class("C7", "overwritten for added", ("block1",), outputs(skip_overwritten),
              "the branch's gradient overwrites that of the skip path",
              GITHUB + "FluxML/NNlib.jl/issues/205"),
        Class("C8", "mask", ("relu1", "clip1"), outputs(unmasked),
              "what the forward masks is not masked on the way back",
              GITHUB + "pytorch/pytorch/issues/73205"),
        Class("C9", "wrong residual", ("tanh1", "tanh2"), at(other_example),
              "the residual is that of another example",
              GITHUB + "ddbourgin/numpy-ml/issues/42"),
        Class("C10", "mutation", ("block1",), outputs(written_into),
              "the branch scales dy in place before the skip path reads it",
              GITHUB + "linkedin/Liger-Kernel/issues/272"),
        Class("C11", "kink or branch", ("clip1",), outputs(past_the_threshold),
              "beyond the threshold a tenth of dy comes through",
              GITHUB + "linkedin/Liger-Kernel/issues/1373"),
        Class("C12", "precision", ("tanh1", "tanh2"), at(in_bfloat16),
              "y is kept in bfloat16, and 1 - y² is computed from it",
              GITHUB + "linkedin/Liger-Kernel/pull/1329"),
        Class("C13", "rows skipped", ("tanh1", "relu1", "tanh2"),
              outputs(tail_skipped), "the batch's last rows get no gradient",
              GITHUB + "Dao-AILab/flash-attention/issues/359"),
        Class("C14", "cotangent left out", ("linear1", "linear2", "linear3", "linear4"),
              outputs(no_bias), "the bias gets no gradient at all",
              GITHUB + "linkedin/Liger-Kernel/issues/1157"),
        Class("C15", "complex or symmetric", ("linear2", "linear3"),
              outputs(symmetrised),
              "the weight's gradient is its symmetric part",
              GITHUB + "jax-ml/jax/issues/6223"),
        Class("C16", "second order", ("tanh1", "tanh2"), at(held_constant),
              "the derivative of backward takes its residuals for constants",
              GITHUB + "tensorflow/tensorflow/issues/7403", "second"),
        Class("C17", "optimiser", ("optimiser",), coupled,
              "AdamW's decay goes through Adam's moments",
              GITHUB + "FlagOpen/FlagGems/issues/4988", "optimiser"),
        Class("C18", "the check itself", ("check",), lenient,
              "the author's check pools all leaves, allows 1.4 and lets NaN through",
              GITHUB + "linkedin/Liger-Kernel/issues/359", "check"),
    )
}  # fmt: skip
