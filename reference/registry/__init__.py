"""Every rule and loss of purefw with the inputs that they must be judged on.

`RULES` and `LOSSES` map a name to its entry. A module of purefw.layers or purefw.losses
whose constructor is missing here fails the suite. To register: add an entry in the
module beside this file that fits.
"""

from reference.registry.activations import ACTIVATIONS
from reference.registry.compositions import COMPOSITIONS
from reference.registry.entry import LossEntry, RuleEntry
from reference.registry.layers import LAYERS
from reference.registry.losses import LOSSES
from reference.registry.norms import NORMS
from reference.registry.sequence import SEQUENCE
from reference.registry.spatial import SPATIAL

RULES: dict[str, RuleEntry] = {
    **ACTIVATIONS,
    **LAYERS,
    **SEQUENCE,
    **SPATIAL,
    **NORMS,
    **COMPOSITIONS,
}

__all__ = ["LOSSES", "RULES", "LossEntry", "RuleEntry"]
