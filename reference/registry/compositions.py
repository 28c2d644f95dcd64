"""Entries of the combinators, on small networks."""

from purefw.compose import (
    chain,
    over_axis,
    parallel,
    recompute,
    repeat,
    residual,
    sequence_only,
    tied,
    time_distributed,
)
from purefw.layers.embedding import embedding
from purefw.layers.linear import linear
from purefw.layers.lstm import lstm
from purefw.layers.multi_head_attention import multi_head_attention
from purefw.layers.queries_keys_values import queries_keys_values
from purefw.layers.tanh import tanh
from purefw.layers.unembedding import unembedding
from reference import chance
from reference.registry.entry import RuleEntry, normal


def perceptron(n_in: int, hidden: int, n_out: int):
    """Two linear layers and a tanh, smooth everywhere."""
    return chain(linear(n_in, hidden), tanh(), linear(hidden, n_out))


def block(width: int, heads: int):
    """Self-attention and a perceptron, each with a path around it."""
    mixing = chain(
        queries_keys_values(), multi_head_attention(width, heads, causal=True)
    )
    return chain(residual(mixing), residual(perceptron(width, 5, width)))


COMPOSITIONS = {
    "chain": RuleEntry(
        perceptron(7, 5, 3), {"typical": normal(2, 7), "one_row": normal(1, 7)}
    ),
    "residual": RuleEntry(
        residual(perceptron(7, 5, 7)),
        {"typical": normal(2, 7), "one_row": normal(1, 7)},
    ),
    "parallel_sum": RuleEntry(
        parallel(perceptron(7, 5, 3), linear(7, 3), perceptron(7, 2, 3)),
        {"typical": normal(2, 7), "one_row": normal(1, 7)},
    ),
    "parallel_concatenate": RuleEntry(
        parallel(linear(7, 2), tanh(), linear(7, 3), combine="concatenate"),
        {"typical": normal(5, 7), "one_row": normal(1, 7)},
    ),
    "repeat": RuleEntry(
        repeat(residual(perceptron(3, 5, 3)), 7),
        {"typical": normal(2, 3), "one_row": normal(1, 3)},
    ),
    "recompute": RuleEntry(
        repeat(recompute(block(6, 3)), 2),
        {"typical": normal(2, 5, 6), "one_row": normal(1, 3, 6)},
    ),
    "tied": RuleEntry(
        tied(embedding(11, 6), block(6, 2), unembedding(11, 6)),
        {
            "typical": lambda key: chance.randint(key, (2, 5), 0, 11),
            "repeated": lambda key: chance.randint(key, (3, 7), 0, 2),
        },
    ),
    "over_axis": RuleEntry(
        over_axis(perceptron(5, 2, 3), 1),
        {"typical": normal(2, 5, 7), "one_row": normal(1, 5, 1)},
    ),
    "time_distributed": RuleEntry(
        time_distributed(perceptron(3, 5, 2)),
        {"typical": normal(5, 7, 3), "one_step": normal(5, 1, 3)},
    ),
    "sequence_only": RuleEntry(
        chain(sequence_only(lstm(3, 5)), linear(5, 2)),
        {"typical": normal(2, 7, 3), "one_row": normal(1, 2, 3)},
    ),
}
