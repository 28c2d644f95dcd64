"""A GPT: blocks of causal attention and feed-forward layers between tied ends."""

from purefw import compose
from purefw.compose import chain, repeat, residual, tied
from purefw.layers.embedding import embedding
from purefw.layers.gelu import gelu
from purefw.layers.layer_norm import layer_norm
from purefw.layers.linear import linear
from purefw.layers.multi_head_attention import multi_head_attention
from purefw.layers.positional_embedding import positional_embedding
from purefw.layers.queries_keys_values import queries_keys_values
from purefw.layers.swiglu import swiglu
from purefw.layers.unembedding import unembedding
from purefw.rule import Rule
from purefw.shared.sizes import check_sizes

ROTARY_BASE = 10000.0


def gpt(
    n_ids: int,
    width: int,
    heads: int,
    blocks: int,
    *,
    length: int | None = None,
    feed_forward: str = "gelu",
    recompute: bool = False,
) -> Rule:
    """Scores of the next id after every id of a sequence.

    Each block adds causal self-attention to its input and then a feed-forward layer,
    each of them on layer-normed rows. The table of the ids serves at both ends.

    Args:
        n_ids: Size of the vocabulary. At least 1.
        width: Of an id's vector. A multiple of `heads`; of twice that where rotary.
        heads: Of attention. At least 1.
        blocks: How many. At least 1. Compile time does not depend on it.
        length: Longest sequence, for learned positions. None: rotary ones, for
            sequences of any length.
        feed_forward: "gelu", 4 width hidden units; "swiglu", 8/3 width of them, rounded
            down, so that the parameters are about as many.
        recompute: Whether the backward computes each block's residuals again instead of
            keeping them: see purefw.compose.recompute.

    Returns:
        A rule on integer ids of shape (batch, time), y of (batch, time, n_ids): row t
        holds the logits of the id at t + 1, and depends on ids up to t alone.

    Raises:
        ValueError: a number out of its range, another feed_forward, or `forward` gets
            ids that are not integers, or more than `length` of them.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = gpt(11, 12, 3, 48, feed_forward="swiglu")
        >>> ids = jnp.array([[7, 2, 7, 10]])
        >>> rule.apply(rule.init(jax.random.key(0)), ids).shape
        (1, 4, 11)

    Reference: Radford et al., "Language Models are Unsupervised Multitask Learners",
    2019, for the whole; rotary positions and SwiGLU: see their rules.
    """
    check_sizes("gpt", n_ids=n_ids, width=width, heads=heads, blocks=blocks)
    if width % heads:
        raise ValueError(f"gpt: heads must divide width {width}, got {heads}")
    if length is not None:
        check_sizes("gpt", length=length)
    elif width // heads % 2:
        raise ValueError(
            f"gpt: width must be an even number a head for rotary positions, "
            f"got {width} for {heads} heads"
        )
    block = _block(width, heads, feed_forward, None if length else ROTARY_BASE)
    positions = [] if length is None else [positional_embedding(length, width)]
    stack = repeat(compose.recompute(block) if recompute else block, blocks)
    middle = chain(*positions, stack, layer_norm(width))
    return tied(embedding(n_ids, width), middle, unembedding(n_ids, width))


def _block(
    width: int, heads: int, feed_forward: str, rotary_base: float | None
) -> Rule:
    attention = multi_head_attention(width, heads, causal=True, rotary_base=rotary_base)
    return chain(
        residual(chain(layer_norm(width), queries_keys_values(), attention)),
        residual(chain(layer_norm(width), *_feed_forward(feed_forward, width))),
    )


def _feed_forward(kind: str, width: int) -> tuple[Rule, Rule, Rule]:
    if kind == "gelu":
        return linear(width, 4 * width), gelu(), linear(4 * width, width)
    if kind == "swiglu":
        hidden = 8 * width // 3
        return linear(width, 2 * hidden), swiglu(), linear(hidden, width)
    raise ValueError(f"gpt: feed_forward must be 'gelu' or 'swiglu', got {kind!r}")
