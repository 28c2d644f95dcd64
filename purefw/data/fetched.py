"""Data that scikit-learn downloads once and keeps in its cache.

The cache is the folder ~/scikit_learn_data, or that of the environment variable
SCIKIT_LEARN_DATA. What lies there needs no network.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from purefw.data.dataset import Dataset, held_out_fifth, on_device, standardised
from purefw.data.small import sklearn_datasets

OPENML = {"mnist": "mnist_784", "fashion-mnist": "Fashion-MNIST"}


def california(*, seed: int = 0) -> Dataset:
    """California housing: 20,640 districts, 8 features, the median house value.

    Args:
        seed: Of the split: a fifth is held out.

    Returns:
        Features and value standardised over the rows to learn from: a squared error of
        1 is that of guessing the mean.

    Raises:
        ValueError: scikit-learn is not installed, or the data are neither in its cache
            nor to be reached.

    Reference: Pace and Barry, "Sparse Spatial Autoregressions", Statistics and
    Probability Letters 33, 1997.
    """
    x, value = _fetched(
        "california",
        lambda datasets: datasets.fetch_california_housing(
            return_X_y=True, n_retries=1, delay=0.1
        ),
    )
    labels = np.reshape(value, (-1, 1))
    return standardised(
        held_out_fifth("california", x, labels, classes=None, seed=seed)
    )


def images(name: str) -> Dataset:
    """MNIST or Fashion-MNIST from OpenML, 28 x 28 pixels in 10 classes.

    Args:
        name: One of OPENML.

    Returns:
        60,000 images to learn from and 10,000 as validation, each pixel in [0, 1].

    Raises:
        ValueError: scikit-learn is not installed, or the data are neither in its cache
            nor to be reached.
    """
    x, labels = _fetched(
        name,
        lambda datasets: datasets.fetch_openml(
            OPENML[name],
            version=1,
            return_X_y=True,
            as_frame=False,
            n_retries=1,
            delay=0.1,
            parser="liac-arff",  # The faster parser needs pandas.
        ),
    )
    x, labels = x.reshape(len(x), -1) / 255, labels.astype(np.uint8)
    cut = len(x) * 6 // 7
    splits = on_device(x[:cut], labels[:cut]), on_device(x[cut:], labels[cut:])
    return Dataset(name, *splits, classes=10)


def _fetched(name: str, fetch: Callable[[Any], Any]) -> Any:
    """What scikit-learn's fetch returns; without a network, one sentence."""
    datasets = sklearn_datasets(name)
    try:
        with warnings.catch_warnings():  # It warns before it tries a second time.
            warnings.simplefilter("ignore", UserWarning)
            return fetch(datasets)
    except OSError as error:  # urllib's errors are among them.
        reason = getattr(error, "reason", None) or error
        place = datasets.get_data_home()
        other = ", or in a folder that is named" if name in OPENML else ""
        raise ValueError(
            f"{name}: data must be in scikit-learn's cache {place}{other}, where the "
            f"network does not reach them, got {reason}"
        ) from None
