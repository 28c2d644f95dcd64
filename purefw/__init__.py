"""Neural networks as pure functions of a parameter pytree, differentiated by hand."""

from purefw.compose import chain, loss_and_grad
from purefw.rule import Loss, Rule

__all__ = ["Loss", "Rule", "chain", "loss_and_grad"]
