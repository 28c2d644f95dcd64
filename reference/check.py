"""The entrances of the verifier: whatever has a backward pass, judged in one call.

Every entrance makes a Subject (reference.verifier.subject), judges it and returns a
Report. Nothing is left changed: JAX's configuration is as before, also when a check
raises.
"""

from collections.abc import Callable
from typing import Any

import jax

from purefw.rule import Loss, Rule
from reference.registry.entry import normal_like
from reference.report import Report
from reference.verifier.subject import (
    GradientBackward,
    KeyData,
    NetworkBackward,
    NetworkForward,
    ScalarForward,
    Subject,
    carried,
    loss_subject,
    rule_subject,
)
from reference.verifier.verify import POINTS, check_subject


def check_vjp(
    forward: Callable,
    backward: Callable,
    *args: Any,
    seed: int = 0,
    dtypes: tuple | None = None,
    points: int = POINTS,
    linear: bool = True,
) -> Report:
    """Judge the two functions that jax.custom_vjp takes.

    Args:
        forward: `forward(*args) -> (y, residuals)`.
        backward: `backward(residuals, dy) -> tuple`, one cotangent an argument; None
            stands for zero.
        *args: Pytrees of arrays, at which to judge; leaves that are not floats get no
            cotangent.
        seed: Of the probes.
        dtypes: Working dtypes for the judgement of rounding; those of `args` where
            None.
        points: How many points besides the given one are visited, at most.
        linear: False for a declared surrogate that is not linear in dy.

    Returns:
        A report with a leaf for each float leaf of the arguments.

    Example:
        >>> import jax.numpy as jnp
        >>> def forward(x):
        ...     return jnp.sin(x), x
        >>> def backward(x, dy):
        ...     return (jnp.cos(x) * dy,)
        >>> check_vjp(forward, backward, jnp.array([0.3, 1.2])).verdict
        <Verdict.RIGHT: 'RIGHT'>
    """
    names = tuple(f"args[{i}]" for i in range(len(args)))
    name = getattr(backward, "__name__", type(backward).__name__)
    subject = Subject(name, forward, backward, args, names, linear)
    return check_subject(subject, seed=seed, dtypes=dtypes, points=points)


def check_rule(
    rule: Rule,
    x: Any,
    *,
    params: Any = None,
    key: Any = None,
    seed: int = 0,
    dtypes: tuple | None = None,
    points: int = POINTS,
) -> Report:
    """Judge `rule.backward` against the derivative of `rule.forward` at x.

    Args:
        rule: The rule.
        x: Its input, a pytree of arrays; leaves that are not floats get no cotangent.
        params: Its parameters; standard normal ones where None, never the initial ones.
        key: What a random rule's forward takes as third argument; one from the seed
            where None.
        seed: Of the parameters and the probes.
        dtypes: Working dtypes for the judgement of rounding; those of the arguments
            where None.
        points: How many points besides the given one are visited, at most.

    Returns:
        A report with the leaves "dparams..." and "dx...".

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> check_rule(tanh(), jnp.array([0.3, 1.2])).verdict
        <Verdict.RIGHT: 'RIGHT'>
    """
    root = jax.random.key(seed)
    init_key, params_key, forward_key = jax.random.split(root, 3)
    if params is None:
        params = normal_like(rule.init(init_key), params_key)
    if rule.random and key is None:
        key = forward_key
    subject = rule_subject(rule, params, x, key)
    return check_subject(subject, seed=seed, dtypes=dtypes, points=points)


def check_loss(
    loss: Loss,
    prediction: Any,
    target: Any,
    *,
    seed: int = 0,
    dtypes: tuple | None = None,
    points: int = POINTS,
) -> Report:
    """Judge `loss.backward` against the derivative of `loss.forward`.

    Args:
        loss: The loss.
        prediction: Pytree of arrays.
        target: Pytree of arrays; it gets no cotangent.
        seed: Of the probes.
        dtypes: Working dtypes for the judgement of rounding.
        points: How many points besides the given one are visited, at most.

    Returns:
        A report with the leaf "dprediction" or its parts.
    """
    subject = loss_subject(loss, prediction, target)
    return check_subject(subject, seed=seed, dtypes=dtypes, points=points)


def check_network(
    network: Rule,
    loss: Loss,
    params: Any,
    x: Any,
    target: Any,
    *,
    key: Any = None,
    seed: int = 0,
    dtypes: tuple | None = None,
    points: int = POINTS,
) -> Report:
    """Judge the gradient of a whole network's loss in its parameters.

    Args:
        network: A rule from x to a prediction.
        loss: Judges the prediction.
        params: Of the network; random ones see more than initial ones.
        x: A batch.
        target: Its targets.
        key: For a network that is random; one from the seed where None.
        seed: Of the probes.
        dtypes: Working dtypes for the judgement of rounding.
        points: How many points besides the given one are visited, at most.

    Returns:
        A report with the leaves "dparams...".
    """
    if network.random and key is None:
        key = jax.random.key(seed)
    subject = Subject(
        f"{network.name} under {loss.name}",
        NetworkForward(network, loss, KeyData.of(key) if network.random else None),
        NetworkBackward(network, loss),
        (params, x, target),
        ("dparams", "dx", "dtarget"),
        frozen=(1, 2),
        call="check_network(network, loss, {args})",
    )
    return check_subject(subject, seed=seed, dtypes=dtypes, points=points)


def check_custom_vjp(
    f: Callable,
    *args: Any,
    seed: int = 0,
    dtypes: tuple | None = None,
    points: int = POINTS,
) -> Report:
    """Judge the derivative that a function carries, against its own primal.

    Args:
        f: A jax.custom_vjp or jax.custom_jvp function as found in any library, or any
            function that calls some.
        *args: Its arguments; those that its `nondiff_argnums` name may be anything.
        seed: Of the probes.
        dtypes: Working dtypes for the judgement of rounding.
        points: How many points besides the given one are visited, at most.

    Returns:
        A report with a leaf for each float leaf of the arguments.

    Example:
        >>> import jax.numpy as jnp
        >>> check_custom_vjp(jax.nn.relu, jnp.array([-1.5, 0.5])).verdict
        <Verdict.RIGHT: 'RIGHT'>
    """
    return check_subject(carried(f, args), seed=seed, dtypes=dtypes, points=points)


def check_gradient(
    f: Callable,
    gradient: Callable,
    *args: Any,
    argnums: int | tuple[int, ...] | None = None,
    seed: int = 0,
    dtypes: tuple | None = None,
    points: int = POINTS,
) -> Report:
    """Judge an explicit gradient of a scalar function, NumPy's or JAX's.

    Args:
        f: `f(*args)`, a scalar.
        gradient: `gradient(*args)`, the gradient in every argument: a tuple of one an
            argument, or the gradient itself where there is one argument.
        *args: Pytrees of arrays.
        argnums: Which arguments the gradient is in, as in `jax.grad`: of an integer it
            is the gradient itself, of several a tuple of them. None for every argument.
        seed: Of the probes.
        dtypes: Working dtypes for the judgement of rounding.
        points: How many points besides the given one are visited, at most.

    Returns:
        A report with a leaf for each float leaf of these arguments.

    Raises:
        ValueError: argnums names an argument that is not there.

    Example:
        >>> import numpy as np
        >>> check_gradient(lambda x: (x**3).sum(), lambda x: 3 * x**2,
        ...                np.array([0.3, -1.2])).verdict
        <Verdict.RIGHT: 'RIGHT'>
        >>> check_gradient(lambda w, x: (w @ x) ** 2, lambda w, x: 2 * (w @ x) * x,
        ...                np.array([0.3, -1.2]), np.array([1.0, 2.0]),
        ...                argnums=0).verdict
        <Verdict.RIGHT: 'RIGHT'>
    """
    judged = _judged(argnums, len(args))
    names = tuple(f"args[{i}]" for i in range(len(args)))
    name = getattr(gradient, "__name__", type(gradient).__name__)
    subject = Subject(
        name,
        ScalarForward(f),
        GradientBackward(gradient, argnums),
        args,
        names,
        frozen=tuple(i for i in range(len(args)) if i not in judged),
        call="check_gradient(f, gradient, {args})"
        if argnums is None
        else f"check_gradient(f, gradient, {{args}}, argnums={argnums})",
    )
    return check_subject(subject, seed=seed, dtypes=dtypes, points=points)


def _judged(argnums: int | tuple[int, ...] | None, count: int) -> tuple[int, ...]:
    """The arguments that a gradient is in."""
    if argnums is None:
        return tuple(range(count))
    named = (argnums,) if isinstance(argnums, int) else argnums
    if not all(0 <= i < count for i in named):
        raise ValueError(
            f"check_gradient: argnums must name arguments 0 to {count - 1}, "
            f"got {argnums}"
        )
    return named
