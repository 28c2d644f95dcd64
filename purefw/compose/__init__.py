"""Rules made of rules, one file a combinator."""

from purefw.compose.chain import chain
from purefw.compose.computed_in import computed_in
from purefw.compose.keys import split_keys
from purefw.compose.loss_and_grad import loss_and_grad
from purefw.compose.over_axis import over_axis
from purefw.compose.parallel import parallel
from purefw.compose.recompute import recompute
from purefw.compose.repeat import repeat
from purefw.compose.residual import residual
from purefw.compose.sequence_only import sequence_only
from purefw.compose.tied import tied
from purefw.compose.time_distributed import time_distributed

__all__ = [
    "chain",
    "computed_in",
    "loss_and_grad",
    "over_axis",
    "parallel",
    "recompute",
    "repeat",
    "residual",
    "sequence_only",
    "split_keys",
    "tied",
    "time_distributed",
]
