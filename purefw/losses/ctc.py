"""Connectionist temporal classification: labels without their places in time.

b counts the B sequences, t the frames 1..T_b of one, k the K classes, s the states
0..2 N_b of its path: the N_b labels with a blank before, between and after them. l_s is
the class of state s; r is 1 for the sum and 1/B for the mean over sequences. -inf is
the logarithm of 0.

    (1)  logp_tk  = log softmax over k of the logits of frame t
    (2)  skip_s   = [l_s is not blank and l_s ≠ l_{s-2}]
    (3)  α_0(s)   = 0 for s = 0, -inf else
    (4)  α_t(s)   = logp_t(l_s) + log(exp α_{t-1}(s) + exp α_{t-1}(s-1)
                                      + skip_s exp α_{t-1}(s-2))
    (5)  log P    = log Σ exp α_T(s) over s = 2N, 2N - 1
    (6)  loss     = -r Σ_b log P_b

    (7)  β_T(s)   = 0 for s = 2N, 2N - 1, -inf else
    (8)  β_t(s)   = log Σ exp(β_{t+1}(s') + logp_{t+1}(l_s')) over s' = s, s + 1, and
                    s + 2 where skip_{s+2}
    (9)  γ_t(s)   = softmax over s of α_t(s) + β_t(s)
    (10) dlogits_tk = r (exp logp_tk - Σ_{s: l_s = k} γ_t(s)) dloss

(4): a path stays, steps, or skips a blank; it may not skip the blank between two equal
labels, which would join them. P is the sum over paths of the product of their p_t.
(9): exp α_t(s) sums the beginnings of paths that are in s at frame t, exp β_t(s) their
ends, so that Σ_s exp(α_t(s) + β_t(s)) = P at every t, and γ_t(s) is the probability
that a path which spells the labels is in s at frame t.
(10): each path holds one factor of frame t, hence ∂log P/∂logp_tk is the share of paths
that are in class k there, Σ_{s: l_s = k} γ_t(s): a class that stands in several states
gets the sum of them. These shares sum to 1 over k, so the softmax turns them into
(10), as in softmax_cross_entropy.
A constant added to a frame's α, β or logp leaves (9) alone. So the recursions run on
logits less their frame's largest, and the largest entry of each α and β is subtracted;
(5) puts all of it back. Small numbers keep their digits.

Limits: too few frames for the labels (T < N + repeated neighbours) leave no path: P =
0, the loss is inf, as it is, and that sequence's gradient is 0. A length beyond the
array or below 0, a label that is not a class, or a label that is the blank makes the
loss NaN, and that sequence's gradient. Frames and labels beyond the lengths are not
read.
Invariants: rows of dlogits sum to 0; frames beyond T_b get 0.
Precision: 16-bit logits are computed in float32 and rounded once.
Memory: α and logp at the states are kept, B T (2N + 1) floats each, and the logits.
Convention: batch first, (B, T, K), blank 0 and a sum over frames not divided by
anything, as in optax.ctc_loss. torch.nn.CTCLoss is time-major, and its "mean" divides
each sequence by its number of labels first.

Reference: Graves et al., "Connectionist Temporal Classification", ICML 2006,
doi:10.1145/1143844.1143891.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Integer

from purefw.losses.reduction import (
    Reduction,
    RowStatistics,
    check_reduction,
    reduce,
    row_statistics,
    softmax,
    spread,
)
from purefw.rule import Loss


class CTCTarget(NamedTuple):
    """The target: labels, padded to one width, and how many frames and labels count."""

    labels: Integer[Array, "b n"]
    logit_lengths: Integer[Array, " b"]
    label_lengths: Integer[Array, " b"]


class Lattice(NamedTuple):
    """The states of the paths of each sequence."""

    classes: Integer[Array, "b s"]
    skip: Bool[Array, "b s"]
    end: Bool[Array, "b s"]
    live: Bool[Array, "t b"]


class CTCResiduals(NamedTuple):
    """What `backward` needs; see the module for what it costs."""

    logits: Float[Array, "b t k"]
    rows: RowStatistics
    emission: Float[Array, "t b s"]
    alpha: Float[Array, "t b s"]
    lattice: Lattice
    row_loss: Float[Array, " b"]


def ctc(reduction: Reduction = "mean", *, blank: int = 0) -> Loss[CTCResiduals]:
    """-log of the probability that the frames spell the labels, for transcription.

    Args:
        reduction: "mean" or "sum" over the sequences.
        blank: The class that stands for no label. At least 0.

    Returns:
        A loss on logits of shape (b, t, k) and a `CTCTarget`.

    Raises:
        ValueError: another reduction, blank < 0; in `forward`, shapes that do not fit,
            no frames, labels or lengths that are not integers, or no such blank class.

    Example:
        >>> target = CTCTarget(jnp.array([[1]]), jnp.array([2]), jnp.array([1]))
        >>> ctc().forward(jnp.zeros((1, 2, 2)), target)[0].round(4)  # -log 3/4
        Array(0.2877, dtype=float32)
    """
    check_reduction("ctc", reduction)
    if blank < 0:
        raise ValueError(f"ctc: blank must be at least 0, got {blank}")
    return Loss(
        name="ctc",
        forward=partial(forward, reduction=reduction, blank=blank),
        backward=partial(backward, reduction=reduction),
    )


def forward(
    logits: Float[Array, "b t k"],
    target: CTCTarget | tuple,
    *,
    reduction: Reduction,
    blank: int,
) -> tuple[Float[Array, ""], CTCResiduals]:
    """Equations (1) to (6)."""
    target = CTCTarget(*target)
    _check(logits, target, blank)
    rows = row_statistics(logits)  # (1)
    lattice = _lattice(target, logits.shape[1], blank)
    emission = _emission(logits - rows.m, lattice.classes)
    alpha, taken = _alpha(emission, lattice)
    tails = jnp.where(lattice.live.T, jnp.log1p(rows.s[:, :, 0]), 0)  # (1)
    taken = taken - jnp.sum(tails, axis=1)
    last = jnp.where(lattice.end, alpha[-1], -jnp.inf)
    ends = _log_sum(jnp.moveaxis(last, 1, 0))
    row_loss = jnp.where(ends == -jnp.inf, jnp.inf, -(taken + ends))  # (5)
    row_loss *= jnp.where(_valid(target, logits.shape, blank), 1, jnp.nan)
    residuals = CTCResiduals(logits, rows, emission, alpha, lattice, row_loss)
    return reduce(row_loss.astype(logits.dtype), reduction), residuals  # (6)


def backward(
    residuals: CTCResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "b t k"]:
    """Equations (7) to (10)."""
    logits, rows, emission, alpha, lattice, row_loss = residuals
    p, _ = softmax(jnp.exp(logits - rows.m), rows.s)
    path = alpha + _beta(emission, lattice)
    weight = jnp.exp(path - _peak(path))
    total = jnp.sum(weight, axis=2, keepdims=True)
    gamma = weight / jnp.where(total == 0, 1, total)  # (9)
    b, t, k = p.shape
    where = jnp.arange(b)[:, None], lattice.classes
    share = jnp.zeros((b, k, t), p.dtype).at[where].add(gamma.transpose(1, 2, 0))
    share = jnp.swapaxes(share, 1, 2)
    slope = jnp.where(lattice.live.T[:, :, None], p - share, 0)
    cost = row_loss[:, None, None]
    slope = jnp.where(jnp.isnan(cost), jnp.nan, jnp.where(jnp.isinf(cost), 0, slope))
    return (spread(dloss, b, reduction) * slope).astype(logits.dtype)  # (10)


def _check(logits: Array, target: CTCTarget, blank: int) -> None:
    if logits.ndim != 3 or logits.size == 0:
        raise ValueError(
            "ctc: logits must have shape (b, t, k) and not be empty, "
            f"got {logits.shape}"
        )
    b, _, k = logits.shape
    if blank >= k:
        raise ValueError(f"ctc: blank must be one of {k} classes, got {blank}")
    shapes = {"labels": (b, *target.labels.shape[1:2]), "logit_lengths": (b,)}
    for name, v in target._asdict().items():
        if v.shape != shapes.get(name, (b,)) or (name == "labels" and v.ndim != 2):
            want = f"({b}, n)" if name == "labels" else f"({b},)"
            raise ValueError(f"ctc: {name} must have shape {want}, got {v.shape}")
        if not jnp.issubdtype(v.dtype, jnp.integer):
            raise ValueError(f"ctc: {name} must hold integers, got {v.dtype}")


def _valid(target: CTCTarget, shape: tuple, blank: int) -> Bool[Array, " b"]:
    """Which sequences have lengths within the arrays, and labels that are classes."""
    labels, frames, length = target
    _, t, k = shape
    inside = (frames >= 0) & (frames <= t) & (length >= 0) & (length <= labels.shape[1])
    known = (labels >= 0) & (labels < k) & (labels != blank)
    return inside & jnp.all(known | ~_read(target), axis=1)


def _read(target: CTCTarget) -> Bool[Array, "b n"]:
    """Which labels are within their sequence's length."""
    labels, _, length = target
    return lax.broadcasted_iota(length.dtype, labels.shape, 1) < length[:, None]


def _lattice(target: CTCTarget, frames: int, blank: int) -> Lattice:
    """Equation (2): blank, label, blank, ..., label, blank."""
    labels = jnp.where(_read(target), target.labels, blank)
    b, n = labels.shape
    between = jnp.full_like(labels, blank)
    pairs = jnp.stack([between, labels], axis=2).reshape(b, 2 * n)
    classes = jnp.concatenate(
        [pairs, jnp.full_like(pairs, blank, shape=(b, 1))], axis=1
    )
    before = jnp.pad(classes, ((0, 0), (2, 0)), constant_values=blank)[:, :-2]
    skip = (classes != blank) & (classes != before)  # (2)
    length = target.label_lengths[:, None]
    s = lax.broadcasted_iota(length.dtype, classes.shape, 1)
    end = (s == 2 * length) | (s == 2 * length - 1)
    t = lax.broadcasted_iota(target.logit_lengths.dtype, (frames, b), 0)
    return Lattice(classes, skip, end, t < target.logit_lengths[None, :])


def _emission(
    logp: Float[Array, "b t k"], classes: Integer[Array, "b s"]
) -> Float[Array, "t b s"]:
    """logp, up to a constant a frame, of each state's class; time first, for scans."""
    shape = (*logp.shape[:2], classes.shape[1])
    place = jnp.broadcast_to(classes[:, None, :], shape)
    return jnp.moveaxis(jnp.take_along_axis(logp, place, axis=2), 1, 0)


def _alpha(
    emission: Float[Array, "t b s"], lattice: Lattice
) -> tuple[Float[Array, "t b s"], Float[Array, " b"]]:
    """Equations (3) and (4): α up to a constant, and the sum of what was taken.

    The states stand in reverse order within, so that s - 1 is ahead: see `_ahead`.
    """
    skip = lattice.skip[:, ::-1]

    def step(carry, frame):
        alpha, taken = carry
        e, live = frame
        two = jnp.where(skip, _ahead(alpha, 2), -jnp.inf)
        new = _log_sum_of_three(alpha, _ahead(alpha, 1), two)
        peak = _peak(new)
        alpha = jnp.where(live[:, None], new - peak + e, alpha)  # (4)
        return (alpha, taken + jnp.where(live, peak[:, 0], 0)), alpha

    first = jnp.arange(skip.shape[1]) == skip.shape[1] - 1
    start = jnp.where(first, jnp.zeros_like(emission[0]), -jnp.inf)  # (3)
    (_, taken), alpha = lax.scan(
        step,
        (start, jnp.zeros_like(emission[0, :, 0])),
        (emission[:, :, ::-1], lattice.live),
    )
    return alpha[:, :, ::-1], taken


def _beta(emission: Float[Array, "t b s"], lattice: Lattice) -> Float[Array, "t b s"]:
    """Equations (7) and (8): β up to a constant.

    What is carried is β + logp, the summand of (8): shifting a sum that is formed in
    the same loop made it five times as slow.
    """
    skip = jnp.pad(lattice.skip, ((0, 0), (0, 2)))[:, 2:]

    def step(later, frame):
        e, live = frame
        two = jnp.where(skip, _ahead(later, 2), -jnp.inf)
        beta = _log_sum_of_three(later, _ahead(later, 1), two)  # (8)
        beta = jnp.where(live[:, None], beta, last)
        return beta - _peak(beta) + e, beta

    last = jnp.where(lattice.end, jnp.zeros_like(emission[0]), -jnp.inf)  # (7)
    frames = emission[:-1], lattice.live[1:]
    _, beta = lax.scan(step, last + emission[-1], frames, reverse=True)
    return jnp.concatenate([beta, last[None]])


def _ahead(v: Float[Array, "b s"], by: int) -> Float[Array, "b s"]:
    """What stands so many states further, -inf where there is none.

    XLA's loops on the CPU are vectorised in this direction, not in the other, which
    took 1.7 times as long.
    """
    return lax.pad(v, jnp.array(-jnp.inf, v.dtype), ((0, 0, 0), (-by, by, 0)))


def _peak(v: Float[Array, "*b s"]) -> Float[Array, "*b 1"]:
    """The largest entry of the last axis; 0 where all are -inf."""
    peak = jnp.max(v, axis=-1, keepdims=True)
    return jnp.where(peak > -jnp.inf, peak, 0)


def _log_sum_of_three(
    a: Float[Array, "b s"], b: Float[Array, "b s"], c: Float[Array, "b s"]
) -> Float[Array, "b s"]:
    """The same of three arrays: the largest, and log1p of the other two over it."""
    is_a = (a >= b) & (a >= c)
    is_b = ~is_a & (b >= c)
    top = jnp.where(is_a, a, jnp.where(is_b, b, c))
    one, two = jnp.where(is_a, b, a), jnp.where(is_a | is_b, c, b)
    base = jnp.where(top > -jnp.inf, top, 0)
    return top + jnp.log1p(jnp.exp(one - base) + jnp.exp(two - base))


def _log_sum(v: Float[Array, "m *s"]) -> Float[Array, "*s"]:
    """log Σ exp over the first axis; -inf where all are -inf."""
    some = jnp.max(v, axis=0) > -jnp.inf
    _, lse = _log_softmax(jnp.moveaxis(jnp.where(some[None], v, 0), 0, -1))
    return jnp.where(some, lse, -jnp.inf)


def _log_softmax(
    z: Float[Array, "*b k"],
) -> tuple[Float[Array, "*b k"], Float[Array, "*b"]]:
    """The logarithm of the softmax and of the sum of exponentials.

    The largest entry's 1 stays the 1 of log1p, so that it hides no small summand; at
    its place the result is exactly 0 less the tail, or NaN.
    """
    a = jnp.argmax(z, axis=-1, keepdims=True)
    place = lax.broadcasted_iota(a.dtype, z.shape, z.ndim - 1)
    centred = jnp.where(place == a, 0 * z, z - jnp.take_along_axis(z, a, axis=-1))
    others = jnp.where(place == a, 0, jnp.exp(centred))
    tail = jnp.log1p(jnp.sum(others, axis=-1, keepdims=True))
    lse = jnp.take_along_axis(z, a, axis=-1) + tail
    return centred - tail, lse[..., 0]
