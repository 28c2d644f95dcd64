"""The true cotangent at every boundary of a network, and what an error there costs.

For every call l of a rule, with params p_l, input x_l and output y_l, zeros are added

    (1)  p_l + ε_l,   x_l + ξ_l,   y_l + η_l

and one jax.vjp of the loss L in float64, through the network as a whole, gives

    (2)  ∂L/∂η_l = dy_l,   ∂L/∂ξ_l = dx_l,   ∂L/∂ε_l = dparams_l

of that call alone, however often its rule or its parameters occur elsewhere. No
backward of any rule takes part, nor of any combinator.

An error Δ in what call l adds to the cotangents of p_l, x_l or y_l reaches the gradient
of the parameters θ along the true derivative:

    (3)  ΔdΘ = (∂(p_l, x_l, y_l)/∂θ)ᵀ Δ
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purefw.rule import Loss, Rule
from reference.locate.walk import Call, Path, Walk, step_by_step
from reference.trees import added, filled, floats_of, zeros_of


class Boundary(NamedTuple):
    """One tree a place of a call: params, x and y, or their cotangents."""

    params: Any
    x: Any
    y: Any


@dataclass
class Truth:
    """The forward pass and the true cotangents of every call.

    Attributes:
        calls: In the order in which they began; the first is the network's own.
        cotangents: From a call to the truth about it.
        loss: The scalar.
        prediction: The network's output.
        pushed: (3), from cotangents at some boundaries to the network's dparams.
    """

    calls: dict[Path, Call]
    cotangents: dict[Path, Boundary]
    loss: float
    prediction: Any
    pushed: Callable[[dict[Path, Boundary]], Any]

    @property
    def root(self) -> Path:
        """The network's own call."""
        return next(iter(self.calls))


@dataclass
class Tapped(Walk):
    """A pass to whose boundaries something is added: (1)."""

    taps: dict[Path, Boundary] = field(default_factory=dict)
    met: dict[Path, Boundary] = field(default_factory=dict)

    def enters(self, call: Call) -> tuple[Any, Any]:
        """p + ε, x + ξ."""
        tap = self.taps[call.path]
        return added(call.params, tap.params), added(call.x, tap.x)

    def leaves(self, call: Call) -> Any:
        """y + η."""
        self.met[call.path] = Boundary(call.params, call.x, call.y)
        return added(call.y, self.taps[call.path].y)


def true_cotangents(
    network: Rule, loss: Loss, params: Any, x: Any, target: Any, key: Any
) -> Truth:
    """Run the network's forward, and (2)."""
    keys = [key] if network.random else []
    with step_by_step():
        plain = Walk()
        prediction, _ = plain.network(network).forward(params, x, *keys)
        zeros = {
            path: Boundary(*map(zeros_of, (c.params, c.x, c.y)))
            for path, c in plain.calls.items()
        }

        def tapped(taps: dict) -> tuple[Any, Tapped]:
            walk = Tapped(taps=taps)
            y, _ = walk.network(network).forward(params, x, *keys)
            return y, walk

        def value(taps: dict) -> Any:
            return loss.forward(tapped(taps)[0], target)[0]

        number, pullback = jax.vjp(value, zeros)
        (found,) = pullback(jnp.ones_like(number))

    def pushed(errors: dict[Path, Boundary]) -> Any:
        root = next(iter(zeros))

        def met(root_params: Any) -> dict:
            taps = {**zeros, root: zeros[root]._replace(params=root_params)}
            boundaries = tapped(taps)[1].met
            return {path: floats_of(boundaries[path]) for path in errors}

        with step_by_step():
            _, pullback = jax.vjp(met, zeros[root].params)
            (dtaps,) = pullback({p: floats_of(e) for p, e in errors.items()})
        return filled(params, dtaps)

    cotangents = {
        path: Boundary(*map(filled, (c.params, c.x, c.y), found[path]))
        for path, c in plain.calls.items()
    }
    return Truth(plain.calls, cotangents, float(number), prediction, pushed)
