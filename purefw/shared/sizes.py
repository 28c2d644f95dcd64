"""The one requirement that every width, count and length has to meet."""


def check_sizes(who: str, **sizes: int) -> None:
    """Raise ValueError, naming the first of the sizes that is below 1.

    Example:
        >>> check_sizes("linear", n_in=3, n_out=0)
        Traceback (most recent call last):
        ValueError: linear: n_out must be at least 1, got 0
    """
    for name, n in sizes.items():
        if n < 1:
            raise ValueError(f"{who}: {name} must be at least 1, got {n}")
