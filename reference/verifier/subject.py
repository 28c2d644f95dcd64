"""What is judged: a forward, its hand-written backward, and the arguments.

Everything that has a backward pass is brought into one shape, that of jax.custom_vjp's
two functions. The small classes here do that; they are equal for equal parts, so that
what was compiled for one check serves the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purefw.rule import Loss, Rule
from reference.verifier.replay import Change, changed


@dataclass(frozen=True)
class Subject:
    """A backward pass in the shape of jax.custom_vjp's functions.

    Attributes:
        name: What the report calls it.
        forward: `forward(*args) -> (y, residuals)`.
        backward: `backward(residuals, dy) -> tuple`, one cotangent an argument.
        args: Pytrees of float, integer, bool or key arrays, NumPy's or JAX's.
        names: One an argument: ("dparams", "dx"), ("args[0]", "args[1]").
        linear: False for a declared surrogate, whose backward may clip or round.
        traceable: False for code that JAX cannot trace: NumPy, callbacks.
        frozen: Indices of arguments that get no cotangent, like a loss's target.
        primal: The function whose derivative is the truth, where it is not the first
            half of `forward`: the undecorated body of a custom_vjp.
        terms: `terms(residuals, dy)`, the named summands of a cotangent, as a Rule's.
        opened: The same with every custom derivative inside it opened, for where the
            body cannot be differentiated as it is.
        call: The call that makes this subject, its arguments by place or as {args}.
    """

    name: str
    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], tuple]
    args: tuple
    names: tuple[str, ...]
    linear: bool = True
    traceable: bool = True
    frozen: tuple[int, ...] = ()
    primal: Callable[..., Any] | None = None
    terms: Callable[[Any, Any], dict[str, dict[str, Any]]] | None = None
    opened: Callable[..., Any] | None = None
    call: str = "check_vjp(forward, backward, {args})"


@dataclass(frozen=True)
class KeyData:
    """A PRNG key as hashable numbers."""

    data: tuple[int, ...]
    impl: str

    @classmethod
    def of(cls, key: Any) -> "KeyData":
        """From a typed key."""
        data = tuple(int(k) for k in np.asarray(jax.random.key_data(key)).ravel())
        return cls(data, str(jax.random.key_impl(key)))

    def key(self) -> Any:
        """The key again."""
        data = np.array(self.data, np.uint32)
        return jax.random.wrap_key_data(data, impl=self.impl)


@dataclass(frozen=True)
class RuleForward:
    """A rule's forward with its key bound."""

    rule: Rule
    key: KeyData | None = None

    def __call__(self, params: Any, x: Any) -> tuple[Any, Any]:
        """`rule.forward`."""
        if self.key is None:
            return self.rule.forward(params, x)
        return self.rule.forward(params, x, self.key.key())


@dataclass(frozen=True)
class LossBackward:
    """A loss's backward; the target's cotangent is None."""

    loss: Loss

    def __call__(self, residuals: Any, dloss: Any) -> tuple[Any, None]:
        """`loss.backward`."""
        return self.loss.backward(residuals, dloss), None


def rule_subject(rule: Rule, params: Any, x: Any, key: Any = None) -> Subject:
    """A rule at its arguments; `key` is for a random one."""
    forward = RuleForward(rule, KeyData.of(key) if rule.random else None)
    return Subject(
        rule.name,
        forward,
        rule.backward,
        (params, x),
        ("dparams", "dx"),
        terms=rule.terms,
        call="check_rule(rule, {1}, params={0})",
    )


def loss_subject(loss: Loss, prediction: Any, target: Any) -> Subject:
    """A loss at its arguments; the target gets no cotangent."""
    return Subject(
        loss.name,
        loss.forward,
        LossBackward(loss),
        (prediction, target),
        ("dprediction", "dtarget"),
        frozen=(1,),
        call="check_loss(loss, {args})",
    )


@dataclass(frozen=True)
class NetworkForward:
    """A network's loss."""

    network: Rule
    loss: Loss
    key: KeyData | None = None

    def __call__(self, params: Any, x: Any, target: Any) -> tuple[Any, Any]:
        """Forward through the network, then the loss."""
        prediction, inner = RuleForward(self.network, self.key)(params, x)
        value, outer = self.loss.forward(prediction, target)
        return value, (inner, outer)


@dataclass(frozen=True)
class NetworkBackward:
    """The cotangent of the parameters under a network's loss."""

    network: Rule
    loss: Loss

    def __call__(self, residuals: Any, dloss: Any) -> tuple[Any, None, None]:
        """Backward through the loss, then the network."""
        inner, outer = residuals
        dprediction = self.loss.backward(outer, dloss)
        return self.network.backward(inner, dprediction)[0], None, None


@dataclass(frozen=True)
class ScalarForward:
    """A scalar function that keeps its arguments for its gradient."""

    f: Callable

    def __call__(self, *args: Any) -> tuple[Any, tuple]:
        """f(*args), checked to be a scalar."""
        value = self.f(*args)
        if np.shape(value) != ():
            raise ValueError(
                f"check_gradient: f must return a scalar, got shape {np.shape(value)}"
            )
        return value, args


@dataclass(frozen=True)
class GradientBackward:
    """dL/dargs = gradient(args) dL/df; None for what the gradient is not in.

    `argnums` is that of jax.grad, or None where the gradient is in every argument.
    """

    gradient: Callable
    argnums: int | tuple[int, ...] | None = None

    def __call__(self, args: tuple, dy: Any) -> Any:
        """The gradient times dy; what is no tuple of one an argument stays as it is."""
        found = jax.tree.map(lambda v: v * dy, self.gradient(*args))
        if self.argnums is None:
            one = args[:1] if len(args) == 1 else ()
            return (found,) if self._is_like(found, one) else found
        if isinstance(self.argnums, int):
            return _placed({self.argnums: found}, len(args))
        if not isinstance(found, (tuple, list)) or len(found) != len(self.argnums):
            return found
        return _placed(dict(zip(self.argnums, found)), len(args))

    @staticmethod
    def _is_like(found: Any, one: tuple) -> bool:
        """Whether this is the gradient in the one argument and no tuple around it."""
        is_tuple = isinstance(found, tuple)
        return bool(one) and (
            not is_tuple or jax.tree.structure(found) == jax.tree.structure(one[0])
        )


def _placed(cotangents: dict[int, Any], count: int) -> tuple:
    return tuple(cotangents.get(i) for i in range(count))


@dataclass(frozen=True, eq=False)
class Held:
    """An argument without a hash, say an array; equal to itself alone."""

    value: Any


def held(value: Any) -> Any:
    """The value, or what holds it where it has no hash."""
    try:
        hash(value)
    except TypeError:
        return Held(value)
    return value


@dataclass(frozen=True)
class CarriedForward:
    """A function with a derivative of its own, some arguments bound."""

    f: Callable
    bound: tuple[tuple[int, Any], ...] = ()

    def __call__(self, *args: Any) -> tuple[Any, tuple]:
        """f, which keeps its arguments."""
        return self.call(*args), args

    def call(self, *args: Any) -> Any:
        """f with the bound arguments back in their places."""
        every = list(args)
        for i, value in self.bound:
            every.insert(i, value.value if isinstance(value, Held) else value)
        return self.f(*every)


@dataclass(frozen=True)
class CarriedBackward:
    """The derivative that a function carries, as jax.vjp applies it."""

    forward: CarriedForward

    def __call__(self, args: tuple, dy: Any) -> tuple:
        """The pullback; what it gets may be NumPy's, what it calls is JAX's."""
        args, dy = jax.tree.map(to_jax, (args, dy))
        return jax.vjp(self.forward.call, *args)[1](dy)


def to_jax(v: Any) -> Any:
    """JAX's array of a NumPy array; float0, which has none, as it is."""
    return v if getattr(v, "dtype", None) == jax.dtypes.float0 else jnp.asarray(v)


@dataclass(frozen=True)
class OpenedPrimal:
    """What a function computes, its custom derivatives opened."""

    forward: CarriedForward

    def __call__(self, *args: Any) -> Any:
        """The primal."""
        arrays = jax.tree.map(jnp.asarray, args)
        return changed(self.forward.call, Change(inline=True))(*arrays)


def carried(f: Callable, args: tuple) -> Subject:
    """The subject of a function that carries its own derivative."""
    decorated = undecorated(f)
    places = getattr(decorated, "nondiff_argnums", ())
    bound = tuple((i, held(args[i])) for i in sorted(places))
    rest = tuple(a for i, a in enumerate(args) if i not in places)
    forward = CarriedForward(f, bound)
    primal = opened = OpenedPrimal(forward)
    if hasattr(decorated, "fun"):
        primal = CarriedForward(decorated.fun, bound).call
    return Subject(
        getattr(f, "__name__", type(f).__name__),
        forward,
        CarriedBackward(forward),
        rest,
        tuple(f"args[{i}]" for i in range(len(args)) if i not in places),
        primal=primal,
        opened=opened,
        call=f"check_custom_vjp({', '.join(['f', *written(args, places)])})",
    )


def written(args: tuple, places: tuple[int, ...]) -> list[str]:
    """The arguments of a call: what is bound as Python writes it, braces doubled."""
    return [
        repr(a).replace("{", "{{").replace("}", "}}") if i in places else f"arg_{i}"
        for i, a in enumerate(args)
    ]


def undecorated(f: Callable) -> Any:
    """The custom_vjp or custom_jvp object behind jit and other wrappers, or f."""
    found, kinds = f, (jax.custom_vjp, jax.custom_jvp)
    while not isinstance(found, kinds) and hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found if isinstance(found, kinds) else f
