"""Layers that are objects, as in most courses: state inside, gradients in attributes.

    y  = layer.forward(x)       keeps what it needs in the layer
    dx = layer.backward(dy)     leaves the gradients of W and b in dW and db

The rule of such a layer works on copies. Its params are the layer's arrays, its
residuals all arrays that the layer holds after `forward`: so the layer's code is judged
as it is, and its state is a value like any other.

A list of layers is a network. Where one object stands in it twice, its second call
overwrites what the first has kept, and the rule shows just that: the residuals of both
calls are the state after the last.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from purefw.rule import Rule
from purefw.shared.structure import Static
from reference.interop.followed import numpy_followed
from reference.interop.traced import CannotFollow, Traced, raw

Arrays = dict[str, Any]


class LayerResiduals(NamedTuple):
    """The arrays in a layer by name, and the layer without them."""

    arrays: Arrays
    layer: Static


@dataclass(frozen=True)
class Hole:
    """Where in a layer an array has been taken out."""

    name: str


def from_numpy_layer(
    layer: Any | Sequence[Any], *, gradients: Mapping[str, str] | None = None
) -> Rule:
    """The rule of a layer object, or of a list of them, one after the other.

    Args:
        layer: It has `forward(x) -> y` and `backward(dy) -> dx`, in NumPy or jax.numpy,
            and is left as it is. It may hold other layers. In a list, one object may
            stand several times if it has no parameters.
        gradients: From the name of each parameter to the name of the attribute in which
            `backward` leaves its gradient. Where None, every float array N that the
            layer holds is a parameter and its gradient is dN; a layer that has run
            before holds more than that, so hand over a fresh one. A gradient that
            `backward` does not leave counts as zero.

    Returns:
        A rule for `check_rule`, `check_network`, `chain` and all else. Its params are a
        dict from names to arrays, for a list a tuple of one dict a distinct object;
        `init` returns the layer's own. Where jax.numpy can follow the code, the truth
        is autodiff of the layer's own forward, else differences.

    Raises:
        ValueError: a method is missing, the list is empty, or an object with parameters
            stands in it twice; in `forward`, a shared object that keeps a history.

    Example:
        >>> class Tanh:
        ...     def forward(self, x):
        ...         self.y = np.tanh(x)
        ...         return self.y
        ...     def backward(self, dy):
        ...         return (1 - self.y) * dy  # The square is missing.
        >>> from reference import check_rule
        >>> check_rule(from_numpy_layer(Tanh()), np.array([0.3, -1.2])).verdict
        <Verdict.WRONG: 'WRONG'>
    """
    if isinstance(layer, (list, tuple)):
        return _sequence(tuple(layer), gradients)
    for method in ("forward", "backward"):
        if not callable(getattr(layer, method, None)):
            raise ValueError(
                f"from_numpy_layer: layer must have a method {method}, got {layer!r}"
            )
    fresh = copy.deepcopy(layer)
    arrays = _take(fresh)
    names = _parameters(arrays) if gradients is None else dict(gradients)
    if missing := names.keys() - arrays.keys():
        raise ValueError(
            f"from_numpy_layer: gradients must name arrays of the layer, "
            f"{sorted(arrays)}, got {sorted(missing)}"
        )
    return Rule(
        name=type(layer).__name__,
        init=partial(init, initial={k: arrays[k] for k in names}),
        forward=partial(forward, layer=fresh, initial=arrays, gradients=names),
        backward=partial(backward, gradients=names),
    )


def init(key: Any, *, initial: Any) -> Any:
    """The parameters that the layers were handed over with."""
    del key
    return jax.tree.map(jnp.asarray, initial)


def forward(
    params: Arrays, x: Any, *, layer: Any, initial: Arrays, gradients: dict[str, str]
) -> tuple[Any, LayerResiduals]:
    """The layer's `forward` on a copy of it with these parameters, gradients zero."""
    zeros = {g: _zeros(params[k]) for k, g in gradients.items() if g in initial}
    arrays, x = _own(({**initial, **zeros, **params}, x))
    running = copy.deepcopy(layer)
    _put(running, arrays)
    y = _call(running.forward, x)
    return y, LayerResiduals(_take(running), Static(running))


def backward(
    residuals: LayerResiduals, dy: Any, *, gradients: dict[str, str]
) -> tuple[Arrays, Any]:
    """The layer's `backward` on a copy of it with this state."""
    arrays, dy = _own((residuals.arrays, dy))
    running = copy.deepcopy(residuals.layer.value)
    _put(running, arrays)
    dx = _call(running.backward, dy)
    after = _take(running)
    dparams = {
        name: after[gradient] if gradient in after else _zeros(residuals.arrays[name])
        for name, gradient in gradients.items()
    }
    return dparams, dx


def _zeros(v: Any) -> np.ndarray:
    return np.zeros(v.shape, v.dtype)


def _call(method: Callable[[Any], Any], argument: Any) -> Any:
    """The method's result.

    Raises:
        CannotFollow: it raises under jax.numpy. Whether it does so by its own fault is
            for NumPy to say.
    """
    if not any(isinstance(v, Traced) for v in jax.tree.leaves(argument)):
        return jax.tree.map(raw, method(argument))
    try:
        with numpy_followed(method):
            return jax.tree.map(raw, method(argument))
    except Exception as error:
        raise CannotFollow(str(error)) from error


def _own(tree: Any) -> Any:
    """Arrays for the layer: Traced while JAX traces, else NumPy's.

    Of JAX's arrays a copy is made, which the layer may write into.
    """
    leaves = jax.tree.leaves(tree)
    if any(isinstance(v, jax.core.Tracer) for v in leaves):
        return jax.tree.map(lambda v: Traced(jnp.asarray(v)), tree)
    return jax.tree.map(
        lambda v: np.array(v) if isinstance(v, jax.Array) else np.asarray(v), tree
    )


def _is_layer(value: Any) -> bool:
    return hasattr(value, "forward") and hasattr(value, "backward")


def _parameters(arrays: Arrays) -> dict[str, str]:
    """The float arrays that are no gradients, with the names of their gradients."""
    floats = [k for k, v in arrays.items() if jnp.issubdtype(v.dtype, jnp.floating)]
    named = {name: _gradient_of(name) for name in floats}
    return {k: g for k, g in named.items() if k not in named.values()}


def _gradient_of(name: str) -> str:
    """ "layers[0].W" -> "layers[0].dW"."""
    owner, dot, own = name.rpartition(".")
    return f"{owner}{dot}d{own}"


def _take(layer: Any) -> Arrays:
    """Take all arrays out of a layer and the layers inside it; holes are left."""
    arrays: Arrays = {}

    def out(name: str, leaf: Any) -> Any:
        if not isinstance(leaf, (np.ndarray, jax.Array, Traced)):
            return leaf
        arrays[name] = raw(leaf)
        return Hole(name)

    _replace(layer, out, "", set())
    return arrays


def _put(layer: Any, arrays: Arrays) -> None:
    """Fill the holes."""
    _replace(
        layer, lambda _, v: arrays[v.name] if isinstance(v, Hole) else v, "", set()
    )


def _replace(
    layer: Any, change: Callable[[str, Any], Any], prefix: str, seen: set[int]
) -> None:
    """Change every leaf of every attribute, in the layers inside too, once each."""
    seen.add(id(layer))
    for attribute, value in vars(layer).items():
        leaves, treedef = jax.tree.flatten_with_path(value)
        changed = []
        for path, leaf in leaves:
            name = prefix + attribute + keystr(path)
            if not _is_layer(leaf):
                leaf = change(name, leaf)
            elif id(leaf) not in seen:
                _replace(leaf, change, f"{name}.", seen)
            changed.append(leaf)
        setattr(layer, attribute, jax.tree.unflatten(treedef, changed))


def _sequence(layers: tuple, gradients: Mapping[str, str] | None) -> Rule:
    """The rule of layers one after the other; `owners` numbers the distinct ones."""
    if not layers:
        raise ValueError("from_numpy_layer: layer must be at least one, got none")
    distinct = list({id(v): v for v in layers}.values())
    owners = tuple(distinct.index(v) for v in layers)
    made = [from_numpy_layer(v, gradients=gradients) for v in distinct]
    rules = tuple(made[i] for i in owners)
    for i, rule in enumerate(made):
        if owners.count(i) > 1 and rule.init(None):
            raise ValueError(
                f"from_numpy_layer: a layer with parameters must stand once in the "
                f"list, got {rule.name} {owners.count(i)} times"
            )
    return Rule(
        name="layers(" + ", ".join(rule.name for rule in rules) + ")",
        init=partial(init, initial=tuple(rule.init(None) for rule in made)),
        forward=partial(forward_sequence, rules=rules, owners=owners),
        backward=partial(backward_sequence, rules=rules, owners=owners),
    )


def forward_sequence(
    params: tuple, x: Any, *, rules: tuple[Rule, ...], owners: tuple[int, ...]
) -> tuple[Any, tuple]:
    """Every layer in turn; a call's residuals are its layer's state after the last."""
    a, states = x, {}
    for rule, owner in zip(rules, owners):
        a, states[owner] = rule.forward(params[owner], a)
    return a, tuple(states[owner] for owner in owners)


def backward_sequence(
    residuals: tuple, dy: Any, *, rules: tuple[Rule, ...], owners: tuple[int, ...]
) -> tuple[tuple, Any]:
    """Every layer in reverse, from the state that it is left with."""
    da, dparams = dy, {}
    for rule, owner, r in reversed(list(zip(rules, owners, residuals))):
        dparams[owner], da = rule.backward(r, da)
    return tuple(dparams[i] for i in range(len(dparams))), da
