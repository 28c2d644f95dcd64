"""What is measured and at which size: `CASES`, from a name to a Case.

The registry's inputs are small, because they are for judging. These are the sizes of
small real networks, at which memory traffic and products decide. The baseline of a
rule is its form in reference.baselines; where none is given, its own forward is what
people write.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from purefw.layers.attention import attention
from purefw.layers.average_pool import average_pool
from purefw.layers.batch_norm import batch_norm
from purefw.layers.bidirectional import BidirectionalPair, bidirectional
from purefw.layers.bilinear import bilinear
from purefw.layers.convolution import convolution
from purefw.layers.dropout import dropout
from purefw.layers.embedding import embedding
from purefw.layers.group_norm import group_norm
from purefw.layers.gru import gru
from purefw.layers.instance_norm import instance_norm
from purefw.layers.layer_norm import layer_norm
from purefw.layers.linear import linear
from purefw.layers.lstm import LSTMState, lstm
from purefw.layers.max_pool import max_pool
from purefw.layers.multi_head_attention import multi_head_attention
from purefw.layers.positional_embedding import positional_embedding
from purefw.layers.prelu import prelu
from purefw.layers.relu import relu
from purefw.layers.reshape import reshape
from purefw.layers.rms_norm import rms_norm
from purefw.layers.rnn import rnn
from purefw.layers.rotary_embedding import rotary_embedding
from purefw.layers.tanh import tanh
from purefw.layers.transposed_convolution import transposed_convolution
from purefw.layers.unembedding import unembedding
from purefw.layers.weight_norm import weight_norm
from purefw.losses.info_nce import Pairs
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.losses.triplet import Triplet
from purefw.models import autoencoder, char_lstm, gpt, lenet, perceptron, resnet
from reference import chance
from reference.baselines import FORMS, LOSS_FORMS, networks
from reference.baselines.recurrent import form_gru, form_lstm, form_rnn
from reference.baselines.sequence import (
    form_attention,
    form_multi_head,
    form_rotary,
)
from reference.baselines.spatial import (
    form_average_pool,
    form_convolution,
    form_max_pool,
    form_norm,
    form_transposed_convolution,
)
from reference.bench.case import Case, loss_case, network_case, rule_case
from reference.registry import LOSSES, RULES
from reference.registry import draws as draw
from reference.registry.entry import normal
from reference.registry.sequence import attended, ids, recurrent
from reference.registry.spatial import pair

ROWS = (4096, 1024)
IMAGES = (32, 28, 28, 32)


def registered(name: str, draw_x) -> Case:
    """A registered rule that fits any size, beside its registered form."""
    return rule_case(RULES[name].rule, draw_x, FORMS.get(name))


def registered_loss(name: str, draw_both) -> Case:
    """A registered loss beside its registered form."""
    return loss_case(LOSSES[name].loss, draw_both, LOSS_FORMS.get(name))


ENTRYWISE = """
relu tanh sigmoid leaky_relu prelu elu selu celu gelu gelu_tanh silu mish softplus
softsign log_sigmoid hard_tanh hard_sigmoid relu6 hard_swish squared_relu
""".split()
GATED = ("glu", "swiglu", "geglu")
ROWWISE = ("log_softmax", "logsumexp")

ACTIVATIONS = {
    **{name: registered(name, normal(*ROWS)) for name in ENTRYWISE},
    "prelu_of_each": rule_case(prelu(1024), normal(*ROWS), FORMS["prelu_of_each"]),
    **{name: registered(name, normal(4096, 2048)) for name in GATED},
    **{name: registered(name, normal(*ROWS)) for name in ROWWISE},
    "softmax": rule_case(
        RULES["softmax"].rule, normal(*ROWS), lambda params, x: jax.nn.softmax(x)
    ),
    "sparsemax": registered("sparsemax", normal(1024, 256)),
}

DENSE = {
    "linear": rule_case(linear(1024, 1024), normal(1024, 1024)),
    "weight_norm": rule_case(
        weight_norm(1024, 1024), normal(1024, 1024), FORMS["weight_norm"]
    ),
    "bilinear": rule_case(
        bilinear(64, 64, 64), pair(256, n_left=64, n_right=64), FORMS["bilinear"]
    ),
    "dropout": rule_case(dropout(0.1), normal(*ROWS)),
    "flatten": registered("flatten", normal(*IMAGES)),
    "reshape": rule_case(reshape((28 * 28, 32)), normal(*IMAGES)),
}

SPATIAL = {
    "convolution": rule_case(
        convolution(32, 32, (3, 3)),
        normal(*IMAGES),
        partial(form_convolution, window_strides=(1, 1), padding="SAME"),
    ),
    "convolution_5x5_of_grey": rule_case(
        convolution(1, 6, (5, 5)),
        normal(128, 28, 28, 1),
        partial(form_convolution, window_strides=(1, 1), padding="SAME"),
    ),
    "convolution_stride_2": rule_case(
        convolution(32, 64, (3, 3), stride=2),
        normal(*IMAGES),
        partial(form_convolution, window_strides=(2, 2), padding="SAME"),
    ),
    "convolution_depthwise": rule_case(
        convolution(32, 32, (3, 3), groups=32),
        normal(*IMAGES),
        partial(form_convolution, window_strides=(1, 1), padding="SAME", groups=32),
    ),
    "transposed_convolution": rule_case(
        transposed_convolution(32, 16, (4, 4), stride=2, padding="SAME"),
        normal(32, 14, 14, 32),
        partial(form_transposed_convolution, strides=(2, 2), padding="SAME"),
    ),
    "max_pool": rule_case(max_pool((2, 2)), normal(64, 28, 28, 32), FORMS["max_pool"]),
    "max_pool_overlapping": rule_case(
        max_pool((3, 3), stride=2, padding="SAME"),
        normal(64, 28, 28, 32),
        partial(form_max_pool, window=(3, 3), stride=(2, 2), padding="SAME"),
    ),
    "average_pool": rule_case(
        average_pool((2, 2)), normal(64, 28, 28, 32), FORMS["average_pool"]
    ),
    "average_pool_overlapping": rule_case(
        average_pool((3, 3), stride=2, padding="SAME"),
        normal(64, 28, 28, 32),
        partial(form_average_pool, window=(3, 3), stride=(2, 2), padding="SAME"),
    ),
    "global_max_pool": rule_case(
        RULES["global_max_pool"].rule,
        normal(64, 28, 28, 32),
        lambda params, x: jnp.max(x, (1, 2)),
    ),
    "global_average_pool": registered("global_average_pool", normal(64, 28, 28, 32)),
    "upsample_nearest": registered("upsample_nearest", normal(*IMAGES)),
    "upsample_bilinear": registered("upsample_bilinear", normal(*IMAGES)),
}

NORMS = {
    "layer_norm": rule_case(layer_norm(1024), normal(*ROWS), FORMS["layer_norm"]),
    "rms_norm": rule_case(rms_norm(1024), normal(*ROWS), FORMS["rms_norm"]),
    "batch_norm": rule_case(batch_norm(32), normal(*IMAGES), FORMS["batch_norm"]),
    "batch_norm_of_rows": rule_case(
        batch_norm(1024), normal(*ROWS), partial(form_norm, axes=(0,), eps=1e-5)
    ),
    "group_norm": rule_case(
        group_norm(32, 8),
        normal(32, 28 * 28, 32),
        partial(form_norm, axes=(1, 3), eps=1e-5, groups=8),
    ),
    "instance_norm": rule_case(
        instance_norm(32), normal(*IMAGES), FORMS["instance_norm"]
    ),
}


def heads(batch: int, steps: int, n: int, h: int):
    """Queries, keys and values of as many heads."""
    return attended(*((batch, steps, n, h),) * 3)


def recurrent_case(make, form, steps: int, batch: int, width: int, state) -> Case:
    """A recurrent rule with its state given."""
    return rule_case(make(width, width), recurrent(batch, steps, width, state), form)


def form_bidirectional(params, x):
    """Two scans, one of them over the sequence reversed; without lengths."""
    ahead = form_lstm(params[0], x._replace(state=x.state[0]))
    flipped = x._replace(sequence=x.sequence[:, ::-1], state=x.state[1])
    back = form_lstm(params[1], flipped)
    both = jnp.concatenate([ahead.sequence, back.sequence[:, ::-1]], axis=-1)
    return type(ahead)(both, BidirectionalPair(ahead.state, back.state))


SEQUENCE = {
    "embedding": rule_case(
        embedding(8192, 256), ids(32, 256, n=8192), FORMS["embedding"]
    ),
    "unembedding": rule_case(
        unembedding(8192, 256), normal(1024, 256), FORMS["unembedding"]
    ),
    "positional_embedding": rule_case(
        positional_embedding(512, 256), normal(8, 512, 256)
    ),
    "rotary_embedding": rule_case(
        rotary_embedding(64),
        normal(2, 1024, 8, 64),
        partial(form_rotary, base=10000.0),
    ),
    "queries_keys_values": registered("queries_keys_values", normal(8, 512, 256)),
    "attention": rule_case(
        attention(), heads(2, 512, 8, 64), partial(form_attention, causal=False)
    ),
    "causal_attention": rule_case(
        attention(causal=True),
        heads(2, 1024, 8, 64),
        partial(form_attention, causal=True),
    ),
    "multi_head_attention": rule_case(
        multi_head_attention(256, 4, causal=True),
        attended(*((4, 512, 256),) * 3),
        partial(form_multi_head, heads=4, causal=True),
    ),
    "rnn": recurrent_case(rnn, form_rnn, 64, 32, 128, 128),
    "gru": recurrent_case(gru, form_gru, 64, 32, 128, 128),
    "lstm": recurrent_case(lstm, form_lstm, 64, 32, 128, LSTMState(128, 128)),
    "lstm_large": recurrent_case(lstm, form_lstm, 128, 64, 256, LSTMState(256, 256)),
    "bidirectional": rule_case(
        bidirectional(lstm(128, 128), lstm(128, 128)),
        recurrent(32, 64, 128, BidirectionalPair(*(LSTMState(128, 128),) * 2)),
        form_bidirectional,
    ),
}

MANY = (4096, 1024)
CLASSES = (4096, 1000)
LOSS_CASES = {
    "absolute_error_mean": registered_loss("absolute_error_mean", draw.pair(*MANY)),
    "squared_error_mean": registered_loss("squared_error_mean", draw.pair(*MANY)),
    "huber": registered_loss("huber", draw.pair(*MANY)),
    "log_cosh": registered_loss("log_cosh", draw.pair(*MANY)),
    "quantile": registered_loss("quantile", draw.pair(*MANY)),
    "poisson": registered_loss("poisson", draw.pair(*MANY)),
    "gaussian_negative_log_likelihood": registered_loss(
        "gaussian_negative_log_likelihood", draw.gaussian(*MANY)
    ),
    "logistic_loss_mean": registered_loss(
        "logistic_loss_mean", draw.two_classes(*MANY)
    ),
    "logistic_loss_on_logits": registered_loss(
        "logistic_loss_on_logits", draw.binary(*MANY)
    ),
    "focal": registered_loss("focal", draw.binary(*MANY)),
    "hinge": registered_loss("hinge", draw.signed(*MANY)),
    "multiclass_hinge": registered_loss("multiclass_hinge", draw.labelled(*CLASSES)),
    "negative_log_likelihood": registered_loss(
        "negative_log_likelihood", draw.labelled(*CLASSES)
    ),
    "cross_entropy_mean": registered_loss("cross_entropy_mean", draw.judged(*CLASSES)),
    "softmax_cross_entropy": loss_case(
        softmax_cross_entropy(),
        draw.labelled(*CLASSES),
        lambda z, y: optax.softmax_cross_entropy_with_integer_labels(z, y).mean(),
    ),
    "linear_cross_entropy": registered_loss(
        "linear_cross_entropy", draw.layered(1024, width=256, classes=16384)
    ),
    "softmax_cross_entropy_soft": loss_case(
        softmax_cross_entropy(),
        draw.soft(*CLASSES),
        lambda z, t: optax.softmax_cross_entropy(z, t).mean(),
    ),
    "kl_divergence": registered_loss("kl_divergence", draw.soft(*CLASSES, log=True)),
    "jensen_shannon": registered_loss("jensen_shannon", draw.soft(*CLASSES, log=True)),
    "total_variation": registered_loss("total_variation", draw.simplex(*CLASSES)),
    "cosine_similarity": registered_loss("cosine_similarity", draw.pair(*MANY)),
    "triplet": registered_loss("triplet", draw.several(Triplet, 4096, 256)),
    "info_nce": registered_loss("info_nce", draw.several(Pairs, 1024, 128)),
    "dice": registered_loss(
        "dice", lambda key: tuple(chance.uniform(key, (2, 32, 128, 128)))
    ),
    "ctc": registered_loss(
        "ctc", draw.spelled([[1, 2, 3, 4] * 8] * 16, [128] * 16, [32] * 16, 128, 64)
    ),
}


def images(n: int, pixels: int = 784):
    """Images and their labels."""

    def both(key):
        image_key, label_key = jax.random.split(key)
        x = chance.uniform(image_key, (n, pixels))
        return x, chance.randint(label_key, (n,), 0, 10)

    return both


def text(batch: int, steps: int, n_ids: int):
    """Ids and those that follow."""

    def both(key):
        found = chance.randint(key, (batch, steps + 1), 0, n_ids)
        return found[:, :-1], found[:, 1:]

    return both


def image_and_itself(key):
    """What an autoencoder learns."""
    x = chance.uniform(key, (128, 784))
    return x, x


def form_autoencoder(params, x, target):
    """Two perceptrons."""
    for half in params:
        x = networks.perceptron(half, x, activation=jax.nn.relu)
    return jnp.mean((x - target) ** 2)


NETWORKS = {
    "perceptron": network_case(
        perceptron((784, 128, 10), tanh()),
        softmax_cross_entropy(),
        images(128),
        networks.labelled(partial(networks.perceptron, activation=jnp.tanh)),
    ),
    "autoencoder": network_case(
        autoencoder((784, 128, 16), relu()),
        squared_error(),
        image_and_itself,
        form_autoencoder,
    ),
    "lenet": network_case(
        lenet(28, 10, relu()),
        softmax_cross_entropy(),
        images(128),
        networks.labelled(networks.lenet),
    ),
    "resnet": network_case(
        resnet((28, 28, 1), (16, 32), 1, 10),
        softmax_cross_entropy(),
        images(32),
        networks.labelled(partial(networks.resnet, shape=(28, 28, 1))),
    ),
    "char_lstm": network_case(
        char_lstm(64, 32, 128),
        softmax_cross_entropy(),
        text(32, 64, 64),
        networks.labelled(networks.char_lstm),
    ),
    "gpt": network_case(
        gpt(8192, 256, 4, 4, length=512, recompute=True),
        softmax_cross_entropy(),
        text(2, 512, 8192),
        networks.labelled(partial(networks.gpt, heads=4)),
    ),
}

CASES: dict[str, Case] = {
    **ACTIVATIONS,
    **DENSE,
    **SPATIAL,
    **NORMS,
    **SEQUENCE,
    **LOSS_CASES,
    **NETWORKS,
}
