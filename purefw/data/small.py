"""The two small sets, which need scikit-learn and no file."""

from purefw.data.dataset import Dataset, held_out_fifth


def toy(*, seed: int = 0) -> Dataset:
    """100 points of the plane in 2 classes, 20 % of the labels redrawn at random.

    Args:
        seed: Of the points and of the split into 80 and 20.

    Raises:
        ValueError: scikit-learn is not installed.

    Example:
        >>> data = toy()
        >>> data.train.x.shape, data.validation.x.shape, data.classes
        ((80, 2), (20, 2), 2)
    """
    x, labels = _sklearn("toy").make_classification(
        n_samples=100,
        n_features=2,
        n_informative=2,
        n_redundant=0,
        n_classes=2,
        flip_y=0.2,
        random_state=seed,
    )
    return held_out_fifth("toy", x, labels, classes=2, seed=seed)


def digits(*, seed: int = 0) -> Dataset:
    """1797 scanned digits of 8 x 8 pixels in 10 classes, each pixel in [0, 1].

    Args:
        seed: Of the split: 1438 to learn from, a fifth, 359, held out.

    Raises:
        ValueError: scikit-learn is not installed.

    Example:
        >>> data = digits()
        >>> data.train.x.shape, data.validation.x.shape, data.classes
        ((1438, 64), (359, 64), 10)
    """
    x, labels = _sklearn("digits").load_digits(return_X_y=True)
    return held_out_fifth("digits", x / 16, labels, classes=10, seed=seed)


def _sklearn(name: str):
    try:
        import sklearn.datasets
    except ImportError:
        raise ValueError(
            f"{name}: scikit-learn must be installed (pip install 'purefw[train]'), "
            "got no module sklearn"
        ) from None
    return sklearn.datasets
