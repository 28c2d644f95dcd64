"""Which layer, and what of it: the true cotangent injected at every boundary.

A network's gradient that is wrong is wrong in every layer before the mistake. So each
step is judged where nothing else can spoil it:

1.  the true cotangent of every boundary (reference.locate.true_cotangents)
2.  a pass in which every call gets the true params, x and dy, whatever its neighbours
    made, and gives on the true y, dparams and dx. A leaf that is off here is at fault
    itself. So is a combinator that hands its parts another dy than the true one, or
    does not add up what they return; or hands a part another call's residuals.
3.  every leaf under coded and random cotangents (reference.locate.faults)
4.  the network's own pass, to see what of it is infected, and by how much from which
    fault

The last is the error budget. E is the error of the network's gradient in one leaf of
the parameters, C_l what the error of step l alone makes of it along the true
derivative:

    share of l = ⟨C_l, E⟩ / ⟨E, E⟩

The shares sum to 1 for faults of a backward that is linear in dy, but for what one
fault makes of the error of another; that, and the error that a wrong forward causes, is
the rest.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from purefw.rule import Loss, Rule
from reference.contract.case import lift
from reference.locate.dissect import dissected
from reference.locate.dissection import Dissection
from reference.locate.parts import places
from reference.locate.trace import Trace
from reference.locate.true_cotangents import Truth, true_cotangents
from reference.locate.walk import Call, Walk, step_by_step
from reference.verifier.oracle import exact_arithmetic


@dataclass
class Forced(Walk):
    """A pass in which every call takes and gives the truth."""

    truth: Truth = field(kw_only=True)

    def enters(self, call: Call) -> tuple[Any, Any]:
        """The true params and x."""
        true = self.truth.calls[call.path]
        return true.params, true.x

    def leaves(self, call: Call) -> Any:
        """The true y."""
        return self.truth.calls[call.path].y

    def returns(self, call: Call) -> Any:
        """The true dy."""
        return self.truth.cotangents[call.path].y

    def returned(self, call: Call) -> tuple[Any, Any]:
        """The true dparams and dx."""
        true = self.truth.cotangents[call.path]
        return true.params, true.x

    def call_backward(self, call: Call, inner: Rule) -> tuple[Any, Any]:
        """What raises is noted, and the pass goes on."""
        try:
            return super().call_backward(call, inner)
        except Exception as error:  # Whatever the user's code raises.
            lines = str(error).strip().splitlines() or ["no message"]
            call.error = f"raises {type(error).__name__}: {lines[0]}"
            return None, None


def locate(
    network: Rule,
    loss: Loss,
    params: Any,
    x: Any,
    target: Any,
    *,
    reference: Rule | None = None,
    reference_loss: Loss | None = None,
    key: Any = None,
    seed: int = 0,
    jacobians: bool = False,
) -> Trace:
    """Take a network apart and judge every step of its forward and backward.

    Args:
        network: From x to a prediction. Combinators that bind their parts with
            functools.partial, as those of purefw do, are taken apart
            (reference.locate.parts), every other rule is one step.
        loss: Judges the prediction.
        params: Of the network; random ones see more than initial ones.
        x: A batch.
        target: Its targets.
        reference: The same network of rules that are right, or whose forward is. Where
            given, forwards and residuals are held against its own; otherwise the
            forward is what defines the truth, and residuals are judged only where the
            step is made from a rule of purefw (reference.known).
        reference_loss: Likewise.
        key: For a network that is random; one from the seed where None.
        seed: Of the probes.
        jacobians: Whether to keep the local derivative of small steps.

    Returns:
        The trace: `faults` from the loss backwards, `steps` with their state, `budget`.

    Raises:
        ValueError: reference and network are not made of the same parts, or JAX cannot
            trace a forward.

    Example:
        >>> import numpy as np
        >>> from dataclasses import replace
        >>> from purefw.compose import chain
        >>> from purefw.layers.linear import linear
        >>> from purefw.layers.tanh import tanh
        >>> from purefw.losses.squared_error import squared_error
        >>> wrong = replace(tanh(), backward=lambda y, dy: ((), (1 - y) * dy))
        >>> network = chain(linear(3, 5), wrong, linear(5, 2), tanh())
        >>> rng = np.random.default_rng(7)
        >>> params = network.init(jax.random.key(0))
        >>> trace = locate(network, squared_error(), params,
        ...                rng.standard_normal((4, 3)), rng.standard_normal((4, 2)))
        >>> trace.first.path, trace.first.rule, str(trace.first.role)
        ('[1]', 'tanh', 'dx')
        >>> [(step.number, str(step.state)) for step in trace.steps]
        [(1, 'infected'), (2, 'wrong'), (3, 'right'), (4, 'right'), (5, 'right')]
    """
    if reference is not None and places(reference) != places(network):
        raise ValueError(
            f"locate: reference must have the parts of {network.name}, "
            f"got {reference.name}"
        )
    with exact_arithmetic():
        params, x, target = map(lift, (params, x, target))
        if network.random and key is None:
            key = jax.random.key(seed)
        keys = [key] if network.random else []
        truth = true_cotangents(
            reference or network, reference_loss or loss, params, x, target, key
        )
        found = Dissection(
            network, loss, target, truth, forced_pass(network, truth, keys), seed=seed
        )
        if reference is not None:
            found.meant = {path: call.rule for path, call in truth.calls.items()}
        found.meant_loss = reference_loss
        found.free, found.dprediction = free_pass(
            network, loss, params, x, target, keys
        )
        return dissected(found, jacobians)


def forced_pass(network: Rule, truth: Truth, keys: list) -> Walk:
    """Step 2 of the module."""
    walk = Forced(truth=truth)
    rule, root = walk.network(network), truth.calls[truth.root]
    with step_by_step():
        _, residuals = rule.forward(root.params, root.x, *keys)
        rule.backward(residuals, truth.cotangents[truth.root].y)
    return walk


def free_pass(
    network: Rule, loss: Loss, params: Any, x: Any, target: Any, keys: list
) -> tuple[Walk | None, Any]:
    """Step 4: the pass and dprediction; None where it raises."""
    walk = Walk()
    rule = walk.network(network)
    try:
        with step_by_step():
            prediction, inner = rule.forward(params, x, *keys)
            value, outer = loss.forward(prediction, target)
            dprediction = loss.backward(outer, jnp.ones_like(value))
            rule.backward(inner, dprediction)
    except Exception:  # What raises is a fault, and was named by the forced pass.
        return None, None
    return walk, dprediction
