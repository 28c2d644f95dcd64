"""Networks: compositions of the layers, one file each, without a backward of their own.

A network is a rule, so it is initialised, trained and judged as every rule is.
"""

from purefw.models.autoencoder import autoencoder
from purefw.models.char_lstm import char_lstm
from purefw.models.gpt import gpt
from purefw.models.lenet import lenet
from purefw.models.perceptron import perceptron
from purefw.models.resnet import resnet

__all__ = ["autoencoder", "char_lstm", "gpt", "lenet", "perceptron", "resnet"]
