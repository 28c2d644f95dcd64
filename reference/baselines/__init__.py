"""The same networks under jax.grad, with jax.nn and Optax: someone else's forward.

`FORMS` maps names of the registry to the usual JAX form of the rule, `(params, x) ->
y`; `LOSS_FORMS` does so for losses, `(prediction, target) -> loss`.
"""

from reference.baselines.activations import ACTIVATION_FORMS
from reference.baselines.losses import LOSS_FORMS
from reference.baselines.sequence import SEQUENCE_FORMS
from reference.baselines.spatial import SPATIAL_FORMS

FORMS = {**ACTIVATION_FORMS, **SEQUENCE_FORMS, **SPATIAL_FORMS}

__all__ = ["FORMS", "LOSS_FORMS"]
