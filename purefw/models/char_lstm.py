"""A language model with memory: embedding, LSTM, scores of the next id."""

from purefw.compose import chain, sequence_only
from purefw.layers.embedding import embedding
from purefw.layers.linear import linear
from purefw.layers.lstm import lstm
from purefw.rule import Rule
from purefw.shared.sizes import check_sizes


def char_lstm(n_ids: int, width: int, hidden: int) -> Rule:
    """Scores of the next character after every character of a text.

    Args:
        n_ids: Size of the alphabet. At least 1.
        width: Of a character's vector. At least 1.
        hidden: Width of the hidden state and of the cell. At least 1.

    Returns:
        A rule on integer ids of shape (batch, time), at least one step, y of (batch,
        time, n_ids): row t holds the logits of the id at t + 1, and depends on ids up
        to t alone. Every sequence starts from a state of zeros.

    Raises:
        ValueError: a size is not positive, or `forward` gets ids that are not integers
            or not of two axes.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = char_lstm(11, 3, 5)
        >>> ids = jnp.array([[7, 2, 7, 10]])
        >>> rule.apply(rule.init(jax.random.key(0)), ids).shape
        (1, 4, 11)
    """
    check_sizes("char_lstm", n_ids=n_ids, width=width, hidden=hidden)
    return chain(
        embedding(n_ids, width),
        sequence_only(lstm(width, hidden)),
        linear(hidden, n_ids),
    )
