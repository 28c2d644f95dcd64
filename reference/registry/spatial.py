"""Entries of the rules on (batch, *spatial, channels), of dropout and of bilinear."""

import jax
import jax.numpy as jnp

from purefw.layers.average_pool import average_pool
from purefw.layers.bilinear import bilinear
from purefw.layers.convolution import convolution
from purefw.layers.dropout import dropout
from purefw.layers.flatten import flatten
from purefw.layers.global_average_pool import global_average_pool
from purefw.layers.global_max_pool import global_max_pool
from purefw.layers.max_pool import max_pool
from purefw.layers.reshape import reshape
from purefw.layers.transposed_convolution import transposed_convolution
from purefw.layers.upsample_bilinear import upsample_bilinear
from purefw.layers.upsample_nearest import upsample_nearest
from reference import chance
from reference.registry.entry import Draw, RuleEntry, normal
from reference.registry.invariants import (
    blind_to_the_order_of_places,
    each_input_of_degree_one,
    homogeneous,
    keeps_the_length_of_rows,
    places_of_dx_sum_to_dy,
)


def pair(*leading: int, n_left: int, n_right: int) -> Draw:
    """A draw of two independent arrays with the same leading axes."""

    def draw(key):
        left, right = jax.random.split(key)
        return (
            chance.normal(left, (*leading, n_left)),
            chance.normal(right, (*leading, n_right)),
        )

    return draw


def ties(*shape: int) -> Draw:
    """A draw of small integers, so that most windows hold their maximum twice."""
    return lambda key: chance.randint(key, shape, -1, 2).astype(float)


CONVOLUTIONS = {
    "convolution": RuleEntry(
        convolution(3, 5, (3, 2), stride=(2, 1), padding="SAME"),
        {
            "typical": normal(2, 7, 11, 3),
            "one_example": normal(1, 5, 7, 3),
            "one_place": normal(2, 1, 1, 3),
            "large": normal(2, 7, 11, 3, scale=1e4),
        },
    ),
    "convolution_1d": RuleEntry(
        convolution(2, 3, (5,), padding=((4, 1),)),
        {
            "typical": normal(3, 11, 2),
            "one_example": normal(1, 7, 2),
            "shorter_than_window": normal(2, 1, 2),
        },
    ),
    "convolution_valid_without_bias": RuleEntry(
        convolution(1, 1, (2, 3), padding="VALID", bias=False),
        {"typical": normal(2, 5, 7, 1), "one_window": normal(1, 2, 3, 1)},
        invariants=(homogeneous(1),),
    ),
    "convolution_dilated": RuleEntry(
        convolution(2, 3, (3, 2), stride=2, padding=3, dilation=(2, 3)),
        {"typical": normal(2, 7, 5, 2), "one_example": normal(1, 3, 11, 2)},
    ),
    "convolution_groups": RuleEntry(
        convolution(6, 10, (3, 3), padding=1, groups=2, stride=(1, 2)),
        {"typical": normal(2, 5, 7, 6), "one_example": normal(1, 3, 2, 6)},
    ),
    "convolution_depthwise": RuleEntry(
        convolution(3, 6, (3,), groups=3), {"typical": normal(2, 7, 3)}
    ),
    "convolution_stride_beyond_window": RuleEntry(
        convolution(2, 3, (2,), stride=5, padding=1),
        {"typical": normal(2, 13, 2), "unread_end": normal(2, 11, 2)},
    ),
    "convolution_padding_beyond_window": RuleEntry(
        convolution(2, 3, (2,), padding=((3, 5),)), {"typical": normal(2, 5, 2)}
    ),
    "convolution_of_volumes": RuleEntry(
        convolution(2, 3, (2, 1, 3)), {"typical": normal(1, 3, 2, 5, 2)}
    ),
    "transposed_convolution": RuleEntry(
        transposed_convolution(3, 2, (3, 4), stride=(2, 3), padding="SAME"),
        {
            "typical": normal(2, 5, 3, 3),
            "one_example": normal(1, 2, 7, 3),
            "one_place": normal(2, 1, 1, 3),
            "large": normal(2, 5, 3, 3, scale=1e4),
        },
    ),
    "transposed_convolution_1d": RuleEntry(
        transposed_convolution(2, 3, (5,), stride=2, padding=((1, 2),)),
        {"typical": normal(3, 7, 2), "one_place": normal(1, 1, 2)},
    ),
    "transposed_convolution_valid_without_bias": RuleEntry(
        transposed_convolution(1, 1, (3, 2), padding="VALID", bias=False),
        {"typical": normal(2, 5, 3, 1)},
        invariants=(homogeneous(1),),
    ),
    "transposed_convolution_with_everything": RuleEntry(
        transposed_convolution(
            6,
            4,
            (3, 2),
            stride=(2, 3),
            padding=1,
            output_padding=(1, 2),
            dilation=(2, 3),
            groups=2,
        ),
        {"typical": normal(2, 5, 3, 6), "one_example": normal(1, 3, 2, 6)},
    ),
    "transposed_convolution_stride_beyond_window": RuleEntry(
        transposed_convolution(2, 3, (2,), stride=3, padding="SAME"),
        {"typical": normal(2, 5, 2)},
    ),
}

POOL_INPUTS = {
    "typical": normal(2, 7, 11, 3),
    "one_example": normal(1, 5, 7, 1),
    "ties": ties(2, 7, 11, 3),
    "constant": lambda key: jnp.full((2, 7, 11, 3), 0.5),
    "large": normal(2, 7, 11, 3, scale=1e4),
}

POOLS = {
    "max_pool": RuleEntry(
        max_pool((2, 2)), POOL_INPUTS, invariants=(places_of_dx_sum_to_dy,)
    ),
    "max_pool_overlapping": RuleEntry(
        max_pool((3, 3), stride=(2, 1), padding=((1, 2), (0, 1))),
        POOL_INPUTS,
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "max_pool_same": RuleEntry(
        max_pool((3, 2), stride=2, padding="SAME"),
        {"typical": normal(2, 7, 11, 3), "ties": ties(2, 7, 11, 3)},
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "max_pool_stride_beyond_window": RuleEntry(
        max_pool((2,), stride=3),
        {"typical": normal(2, 11, 3), "ties": ties(2, 11, 3)},
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "average_pool": RuleEntry(
        average_pool((2, 2)),
        {"typical": normal(2, 7, 11, 3), "large": normal(2, 7, 11, 3, scale=1e4)},
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "average_pool_overlapping": RuleEntry(
        average_pool((3, 3), stride=(2, 1), padding=((1, 2), (0, 1))),
        {"typical": normal(2, 7, 11, 3), "one_example": normal(1, 5, 7, 1)},
    ),
    "average_pool_of_inside": RuleEntry(
        average_pool((3, 2), stride=2, padding="SAME", count_include_pad=False),
        {"typical": normal(2, 7, 11, 3), "one_example": normal(1, 5, 7, 1)},
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "average_pool_stride_beyond_window": RuleEntry(
        average_pool((2,), stride=3),
        {"typical": normal(2, 11, 3)},
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "global_max_pool": RuleEntry(
        global_max_pool(),
        {
            "typical": normal(2, 5, 7, 3),
            "one_axis": normal(3, 7, 2),
            "ties": ties(2, 5, 7, 3),
            "one_place": normal(2, 1, 1, 3),
        },
        invariants=(
            places_of_dx_sum_to_dy,
            blind_to_the_order_of_places,
        ),
    ),
    "global_average_pool": RuleEntry(
        global_average_pool(),
        {
            "typical": normal(2, 5, 7, 3),
            "one_axis": normal(3, 7, 2),
            "one_place": normal(2, 1, 1, 3),
            "large": normal(2, 5, 7, 3, scale=1e4),
        },
        invariants=(
            places_of_dx_sum_to_dy,
            blind_to_the_order_of_places,
        ),
    ),
}

SHAPES = {
    "flatten": RuleEntry(
        flatten(),
        {"typical": normal(2, 3, 5, 7), "flat_already": normal(3, 5)},
        invariants=(keeps_the_length_of_rows,),
    ),
    "reshape": RuleEntry(
        reshape((5, 6)),
        {"typical": normal(2, 3, 10), "one_row": normal(1, 30)},
        invariants=(keeps_the_length_of_rows,),
    ),
    "upsample_nearest": RuleEntry(
        upsample_nearest((2, 3)),
        {"typical": normal(2, 5, 3, 2), "one_place": normal(1, 1, 1, 3)},
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "upsample_nearest_1d": RuleEntry(
        upsample_nearest((5,)),
        {"typical": normal(2, 3, 2)},
        invariants=(places_of_dx_sum_to_dy,),
    ),
    "upsample_bilinear": RuleEntry(
        upsample_bilinear((2, 3)),
        {
            "typical": normal(2, 5, 3, 2),
            "one_place": normal(1, 1, 1, 3),
            "one_row": normal(1, 1, 7, 2),
            "large": normal(2, 5, 3, 2, scale=1e4),
        },
        invariants=(places_of_dx_sum_to_dy,),
    ),
}

SPATIAL = {
    **CONVOLUTIONS,
    **POOLS,
    **SHAPES,
    "dropout": RuleEntry(
        dropout(0.3),
        {"typical": normal(5, 7), "image": normal(2, 3, 5)},
    ),
    "dropout_rate_zero": RuleEntry(dropout(0.0), {"typical": normal(5, 7)}),
    "bilinear": RuleEntry(
        bilinear(3, 5, 2),
        {
            "typical": pair(7, n_left=3, n_right=5),
            "one_row": pair(1, n_left=3, n_right=5),
            "leading_axes": pair(2, 7, n_left=3, n_right=5),
            "vectors": pair(n_left=3, n_right=5),
        },
        invariants=(each_input_of_degree_one,),
    ),
    "bilinear_without_bias": RuleEntry(
        bilinear(2, 3, 1, bias=False),
        {"typical": pair(5, n_left=2, n_right=3)},
        invariants=(each_input_of_degree_one,),
    ),
}
