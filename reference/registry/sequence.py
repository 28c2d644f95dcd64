"""Entries of the rules that act along a sequence."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from purefw.layers.attention import attention
from purefw.layers.bidirectional import BidirectionalPair, bidirectional
from purefw.layers.embedding import embedding
from purefw.layers.gru import gru
from purefw.layers.lstm import LSTMState, lstm
from purefw.layers.multi_head_attention import multi_head_attention
from purefw.layers.positional_embedding import positional_embedding
from purefw.layers.queries_keys_values import queries_keys_values
from purefw.layers.rnn import rnn
from purefw.layers.rotary_embedding import rotary_embedding
from purefw.layers.unembedding import unembedding
from purefw.shared.recurrence import RecurrentInput
from purefw.shared.softmax_attention import AttentionInput, padding_mask
from reference import chance
from reference.registry.entry import Draw, RuleEntry, normal, normal_like
from reference.registry.invariants import (
    bias_of_the_keys_has_no_gradient,
    dparams_depend_on_dy_alone,
    dtable_sums_to_dy,
    homogeneous,
    keeps_the_length_of_rows,
    keys_move_together,
    linear_in_the_values,
)


def ids(*shape: int, n: int) -> Draw:
    """A draw of integers below n."""
    return lambda key: chance.randint(key, shape, 0, n)


def recurrent(
    batch: int,
    steps: int,
    width: int,
    state: Any = None,
    lengths: list[int] | None = None,
    scale: float = 1.0,
) -> Draw:
    """A draw of a RecurrentInput; `state` is a tree of widths, one an array."""

    def draw(key):
        x_key, state_key = jax.random.split(key)
        zeros = jax.tree.map(lambda n: jnp.zeros((batch, n)), state)
        return RecurrentInput(
            scale * chance.normal(x_key, (batch, steps, width)),
            normal_like(zeros, state_key),
            None if lengths is None else jnp.array(lengths),
        )

    return draw


def recurrent_inputs(width: int, state: Any) -> dict[str, Draw]:
    """The situations of a recurrent rule."""
    return {
        "typical": recurrent(3, 5, width, state),
        "zero_state": recurrent(2, 5, width),
        "one_step": recurrent(3, 1, width, state),
        "one_row": recurrent(1, 5, width, state),
        "unequal_lengths": recurrent(5, 7, width, state, [7, 3, 1, 0, 5]),
        "saturated": recurrent(2, 5, width, state, scale=30.0),
    }


def attended(
    queries: tuple[int, ...],
    keys: tuple[int, ...],
    values: tuple[int, ...],
    mask: Callable[[Any], Any] | None = None,
    scale: float = 1.0,
) -> Draw:
    """A draw of an AttentionInput of these shapes; `mask` draws from a key."""

    def draw(key):
        q, k, v, m = jax.random.split(key, 4)
        return AttentionInput(
            scale * chance.normal(q, queries),
            scale * chance.normal(k, keys),
            chance.normal(v, values),
            None if mask is None else mask(m),
        )

    return draw


def random_mask(*shape: int) -> Callable[[Any], Any]:
    """A mask that allows about two pairs in three, and no pair of query 0."""
    return lambda key: chance.bernoulli(key, 0.7, shape).at[..., :1, :].set(False)


HEADS = ((2, 5, 3, 7), (2, 11, 3, 7), (2, 11, 3, 13))
GROUPED = ((2, 5, 6, 7), (2, 11, 2, 7), (2, 11, 2, 13))
ROWS = ((2, 5, 12), (2, 7, 12), (2, 7, 12))

SEQUENCE = {
    "embedding": RuleEntry(
        embedding(11, 3),
        {
            "typical": ids(5, 7, n=11),
            "one_id": ids(1, n=11),
            "scalar": ids(n=11),
            "repeated": lambda key: jnp.array([[4, 4, 0], [4, 10, 0]]),
            "one_repeated_often": lambda key: jnp.full(1009, 7),
        },
        invariants=(dtable_sums_to_dy,),
    ),
    "unembedding": RuleEntry(
        unembedding(11, 3),
        {"typical": normal(2, 5, 3), "one_row": normal(1, 3), "vector": normal(3)},
        invariants=(homogeneous(1),),
    ),
    "positional_embedding": RuleEntry(
        positional_embedding(7, 3),
        {
            "typical": normal(2, 5, 3),
            "full_length": normal(2, 7, 3),
            "one_step": normal(2, 1, 3),
            "one_sequence": normal(5, 3),
        },
        invariants=(dparams_depend_on_dy_alone,),
    ),
    "rotary_embedding": RuleEntry(
        rotary_embedding(6),
        {
            "typical": normal(2, 5, 3, 6),
            "one_step": normal(2, 1, 3, 6),
            "no_batch": normal(5, 3, 6),
            "long": normal(1, 997, 1, 6),
        },
        invariants=(keeps_the_length_of_rows,),
    ),
    "rnn": RuleEntry(rnn(3, 2), recurrent_inputs(3, 2)),
    "gru": RuleEntry(gru(3, 2), recurrent_inputs(3, 2)),
    "lstm": RuleEntry(lstm(3, 2), recurrent_inputs(3, LSTMState(2, 2))),
    "bidirectional": RuleEntry(
        bidirectional(lstm(3, 2), gru(3, 5)),
        {
            "typical": recurrent(3, 5, 3, BidirectionalPair(LSTMState(2, 2), 5)),
            "unequal_lengths": recurrent(5, 7, 3, lengths=[7, 3, 1, 0, 5]),
        },
    ),
    "attention": RuleEntry(
        attention(),
        {
            "typical": attended(*HEADS),
            "padding": attended(
                *HEADS, mask=lambda key: padding_mask(jnp.array([11, 4]), 11)
            ),
            "all_masked_row": attended(*HEADS, mask=random_mask(2, 3, 5, 11)),
            "mask_of_all_heads": attended(*HEADS, mask=random_mask(1, 1, 5, 11)),
            "one_query": attended((1, 1, 1, 2), (1, 3, 1, 2), (1, 3, 1, 2)),
            "large_logits": attended(*HEADS, scale=10.0),
            "equal_keys": lambda key: AttentionInput(
                chance.normal(key, HEADS[0]),
                jnp.ones(HEADS[1]),
                chance.normal(jax.random.fold_in(key, 1), HEADS[2]),
                None,
            ),
        },
        invariants=(
            keys_move_together,
            linear_in_the_values,
        ),
    ),
    "causal_attention": RuleEntry(
        attention(causal=True),
        {
            "typical": attended((2, 5, 3, 7), (2, 5, 3, 7), (2, 5, 3, 13)),
            "more_keys": attended(*HEADS),
            "padding": attended(
                *HEADS, mask=lambda key: padding_mask(jnp.array([11, 2]), 11)
            ),
        },
        invariants=(
            keys_move_together,
            linear_in_the_values,
        ),
    ),
    "grouped_query_attention": RuleEntry(
        attention(),
        {
            "typical": attended(*GROUPED),
            "all_masked_row": attended(*GROUPED, mask=random_mask(2, 6, 5, 11)),
        },
        invariants=(
            keys_move_together,
            linear_in_the_values,
        ),
    ),
    "multi_head_attention": RuleEntry(
        multi_head_attention(12, 3),
        {
            "cross": attended(*ROWS),
            "all_masked_row": attended(*ROWS, mask=random_mask(2, 3, 5, 7)),
            "one_row": attended((1, 1, 12), (1, 3, 12), (1, 3, 12)),
        },
        invariants=(bias_of_the_keys_has_no_gradient,),
    ),
    "multi_head_causal_grouped_rotary": RuleEntry(
        multi_head_attention(
            12, 6, key_heads=2, causal=True, bias=False, rotary_base=100.0
        ),
        {
            "typical": attended((2, 5, 12), (2, 5, 12), (2, 5, 12)),
            "padding": attended(
                *ROWS, mask=lambda key: padding_mask(jnp.array([7, 3]), 7)
            ),
        },
    ),
    "queries_keys_values": RuleEntry(
        queries_keys_values(), {"typical": normal(2, 5, 3), "one_row": normal(1, 3)}
    ),
}
