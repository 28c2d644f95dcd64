"""What the docstrings of rules and losses promise, as equations to be evaluated.

An invariant of a rule is a function `(pull, params, x, dy) -> (got, expected)`: two
trees that are equal up to rounding, where `pull(params, x, dy) -> (y, dparams, dx)`.
One of a loss is `(pull, prediction, target, dloss) -> (got, expected)`, with
`pull(prediction, target, dloss) -> (loss, dprediction)`. All arrays are NumPy's.

A registered rule is held to those of its entry at a random point. What is promised at
special points only, or as an inequality, is tested with the rule.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

Invariant = Callable[..., tuple[Any, Any]]
SHIFT, FACTOR = 8.0, 3.0


def nothing_like(tree: Any) -> Any:
    """Zeros of its shapes."""
    return jax.tree.map(np.zeros_like, tree)


def inner(a: Any, b: Any) -> Any:
    """The sum over all entries of two trees' products."""
    products = jax.tree.map(lambda u, v: np.sum(u * v), a, b)
    return sum(jax.tree.leaves(products))


def odd(pull, params, x, dy):
    """y(-x) = -y(x), and the slopes are equal."""
    y, _, dx = pull(params, x, dy)
    mirrored, _, dx_there = pull(params, -x, dy)
    return (mirrored, dx_there), (-y, dx)


def differs_by_x_from_its_mirror(pull, params, x, dy):
    """y(x) - y(-x) = x, and the slopes at x and -x sum to 1."""
    y, _, dx = pull(params, x, dy)
    mirrored, _, dx_there = pull(params, -x, dy)
    return (y - mirrored, dx + dx_there), (x, dy)


def symmetric_about(centre: float, total: float) -> Invariant:
    """y(centre + u) + y(centre - u) = total, and the slopes are equal."""

    def symmetric(pull, params, x, dy):
        y, _, dx = pull(params, x, dy)
        mirrored, _, dx_there = pull(params, 2 * centre - x, dy)
        return (y + mirrored, dx_there), (np.full_like(x, total), dx)

    return symmetric


def homogeneous(degree: int) -> Invariant:
    """y(c x) = c^degree y(x) for c > 0, and dx one power less."""

    def scales(pull, params, x, dy):
        y, _, dx = pull(params, x, dy)
        larger, _, dx_there = pull(params, FACTOR * x, dy)
        power = FACTOR**degree
        return (larger, dx_there), (power * y, power / FACTOR * dx)

    return scales


def linear_in_its_value(pull, params, x, dy):
    """Σ value dvalue = Σ y dy, where value is the first half of the last axis."""
    y, _, dx = pull(params, x, dy)
    n = x.shape[-1] // 2
    return inner(x[..., :n], dx[..., :n]), inner(y, dy)


def keeps_the_length_of_rows(pull, params, x, dy):
    """y is as long as x and dx as long as dy, row by row."""
    y, _, dx = pull(params, x, dy)
    flat = (v.reshape(len(v), -1) for v in (y, dx, x, dy))
    squares = [np.sum(v * v, axis=1) for v in flat]
    return squares[:2], squares[2:]


def blind_to_a_shift_of_rows(pull, params, x, dy):
    """A constant added to all of x leaves y and dx alone."""
    y, _, dx = pull(params, x, dy)
    moved, _, dx_there = pull(params, x + SHIFT, dy)
    return (moved, dx_there), (y, dx)


def blind_to_a_shift_of_dy(pull, params, x, dy):
    """A constant added to all of dy leaves dx alone."""
    return pull(params, x, dy + SHIFT)[2], pull(params, x, dy)[2]


def shifts_with_x(pull, params, x, dy):
    """A constant added to all of x is added to y; dx stays."""
    y, _, dx = pull(params, x, dy)
    moved, _, dx_there = pull(params, x + SHIFT, dy)
    return (moved, dx_there), (y + SHIFT, dx)


def rows_of_y_sum_to_one(pull, params, x, dy):
    """Over the last axis."""
    total = np.sum(pull(params, x, dy)[0], axis=-1)
    return total, np.ones_like(total)


def rows_of_exp_y_sum_to_one(pull, params, x, dy):
    """Over the last axis."""
    total = np.sum(np.exp(pull(params, x, dy)[0]), axis=-1)
    return total, np.ones_like(total)


def dx_sums_to_zero(*axes: int) -> Invariant:
    """Over these axes."""

    def sums_to_zero(pull, params, x, dy):
        total = np.sum(pull(params, x, dy)[2], axis=axes)
        return total, nothing_like(total)

    return sums_to_zero


def rows_of_dx_sum_to_dy(pull, params, x, dy):
    """Over the last axis, which y has lost."""
    return np.sum(pull(params, x, dy)[2], axis=-1), dy


def places_of_dx_sum_to_dy(pull, params, x, dy):
    """Over the spatial axes, channel by channel; y may have lost them."""
    dx = pull(params, x, dy)[2]
    space = tuple(range(1, dx.ndim - 1))
    expected = np.sum(dy, axis=space) if dy.ndim == dx.ndim else dy
    return np.sum(dx, axis=space), expected


def blind_to_the_order_of_places(pull, params, x, dy):
    """Along the first spatial axis."""
    y, _, dx = pull(params, x, dy)
    turned, _, dx_there = pull(params, x[:, ::-1], dy)
    return (turned, dx_there[:, ::-1]), (y, dx)


def each_input_of_degree_one(pull, params, x, dy):
    """Σ left dleft = Σ right dright = Σ (y - bias) dy: one of a pair scales y."""
    y, _, (dleft, dright) = pull(params, x, dy)
    left, right = x
    without = y if params.bias is None else y - np.broadcast_to(params.bias, y.shape)
    total = inner(without, dy)
    return (inner(left, dleft), inner(right, dright)), (total, total)


def dtable_sums_to_dy(pull, params, x, dy):
    """Every row of dy is added to one row of the table."""
    _, dtable, _ = pull(params, x, dy)
    width = dy.shape[-1]
    return np.sum(dtable, axis=0), np.sum(dy.reshape(-1, width), axis=0)


def dparams_depend_on_dy_alone(pull, params, x, dy):
    """Neither on the parameters nor on x."""
    _, dparams, _ = pull(params, x, dy)
    _, elsewhere, _ = pull(nothing_like(params), FACTOR * x, dy)
    return elsewhere, dparams


def linear_in_its_slopes(pull, params, x, dy):
    """Σ slope dslope = Σ (y - max(x, 0)) dy."""
    y, dparams, _ = pull(params, x, dy)
    return inner(params, dparams), inner(y - np.maximum(x, 0), dy)


def blind_to_the_length_of_its_direction(pull, params, x, dy):
    """y stays, and columns of ddirection are at right angles to direction."""
    y, dparams, _ = pull(params, x, dy)
    longer = params._replace(direction=FACTOR * params.direction)
    along = np.sum(params.direction * dparams.direction, axis=0)
    return (pull(longer, x, dy)[0], along), (y, nothing_like(along))


def running_statistics_have_no_gradient(pull, params, x, dy):
    """And no part in y."""
    y, dparams, _ = pull(params, x, dy)
    other = params._replace(running_mean=params.scale, running_var=params.bias)
    running = dparams.running_mean, dparams.running_var
    return (pull(other, x, dy)[0], running), (y, nothing_like(running))


def keys_move_together(pull, params, x, dy):
    """One vector added to all keys changes nothing, so dkeys sums to zero over them."""
    y, _, dx = pull(params, x, dy)
    moved, _, dx_there = pull(params, x._replace(keys=x.keys + 1), dy)
    total = np.sum(dx.keys, axis=1)
    got = moved, dx_there.queries, total
    return got, (y, dx.queries, nothing_like(total))


def linear_in_the_values(pull, params, x, dy):
    """Σ values dvalues = Σ y dy."""
    y, _, dx = pull(params, x, dy)
    return inner(x.values, dx.values), inner(y, dy)


def bias_of_the_keys_has_no_gradient(pull, params, x, dy):
    """It moves every logit of a query equally."""
    dbias = pull(params, x, dy)[1].keys.bias
    return dbias, nothing_like(dbias)


def gradient_blind_to_the_size_of_errors(pull, prediction, target, dloss):
    """Only their sign matters."""
    _, there = pull(target + FACTOR * (prediction - target), target, dloss)
    return there, pull(prediction, target, dloss)[1]


def gradient_blind_to_the_prediction(pull, prediction, target, dloss):
    """The loss is linear in it."""
    _, there = pull(FACTOR * prediction, target, dloss)
    return there, pull(prediction, target, dloss)[1]


def same_both_ways(pull, prediction, target, dloss):
    """Prediction and target may be exchanged."""
    return pull(target, prediction, dloss)[0], pull(prediction, target, dloss)[0]


def blind_to_the_length_of_rows(pull, prediction, target, dloss):
    """The loss stays, and rows of dprediction are at right angles to the prediction."""
    loss, d = pull(prediction, target, dloss)
    longer, _ = pull(FACTOR * prediction, target, dloss)
    along = np.sum(prediction * d, axis=-1)
    return (longer, along), (loss, nothing_like(along))


def classes_move_together(pull, prediction, target, dloss):
    """A constant added to a row changes nothing, so rows of dprediction sum to zero."""
    loss, d = pull(prediction, target, dloss)
    moved, there = pull(prediction + SHIFT, target, dloss)
    total = np.sum(d, axis=-1)
    return (moved, there, total), (loss, d, nothing_like(total))


def classes_swap_with_the_sign(pull, prediction, target, dloss):
    """(-z, 1 - t) costs what (z, t) does and has the opposite gradient."""
    loss, d = pull(prediction, target, dloss)
    swapped, there = pull(-prediction, 1 - target, dloss)
    return (swapped, -there), (loss, d)


def blind_to_the_order_of_entries(pull, prediction, target, dloss):
    """Prediction and target turned round alike."""
    loss, d = pull(prediction, target, dloss)
    turned, there = pull(prediction[:, ::-1], target[:, ::-1], dloss)
    return (turned, there[:, ::-1]), (loss, d)


def other_units_cost_their_logarithm(pull, prediction, target, dloss):
    """Mean and target times c, the variance times c², add log c a summand."""
    mean, variance = prediction
    loss, _ = pull(prediction, target, dloss)
    scaled = type(prediction)(FACTOR * mean, FACTOR**2 * variance)
    return pull(scaled, FACTOR * target, dloss)[0], loss + np.log(FACTOR)


def parts_move_together(pull, prediction, target, dloss):
    """One vector added to all parts changes nothing, so their cotangents cancel."""
    loss, d = pull(prediction, target, dloss)
    moved, there = pull(jax.tree.map(lambda v: v + 1, prediction), target, dloss)
    total = sum(jax.tree.leaves(d))
    return (moved, there, total), (loss, d, nothing_like(total))


def shared_shift_of_keys_is_unseen(pull, prediction, target, dloss):
    """One vector added to all keys changes nothing, so dkey sums to zero over them."""
    loss, d = pull(prediction, target, dloss)
    moved, _ = pull(prediction._replace(key=prediction.key + 1), target, dloss)
    total = np.sum(d.key, axis=0)
    return (moved, total), (loss, nothing_like(total))
