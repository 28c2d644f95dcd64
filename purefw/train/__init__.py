"""Training: `fit` to the end, `train` from rest to rest, `train_step` one step."""

from purefw.train.accumulate import accumulated
from purefw.train.callbacks import EarlyStopping
from purefw.train.fit import Fitted, fit
from purefw.train.logs import FileLog, TensorBoardLog
from purefw.train.loop import train
from purefw.train.moment import Epoch, Moment, NonFiniteLoss, Snapshot, Source
from purefw.train.optimisers import decayed, optimiser
from purefw.train.step import State, train_epoch, train_step

__all__ = [
    "EarlyStopping",
    "Epoch",
    "FileLog",
    "Fitted",
    "Moment",
    "NonFiniteLoss",
    "Snapshot",
    "Source",
    "State",
    "TensorBoardLog",
    "accumulated",
    "decayed",
    "fit",
    "optimiser",
    "train",
    "train_epoch",
    "train_step",
]
