"""A text as rows of characters, each to be told from those before it."""

import codecs
import contextlib
import io
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from purefw.data.dataset import Dataset, Split


def text(path: str | Path | None = None, *, context: int = 64) -> Dataset:
    """The characters of a text as ids, and of each the next one as its label.

    The text is cut into rows of `context` characters, what is left over being dropped.
    The last fifth of the rows, at least one, is held out.

    Args:
        path: A file in UTF-8; the Zen of Python, which is in the standard library as
            the module `this`, where None.
        context: Characters a row. At least 1.

    Returns:
        Ids of shape (rows, context), labels alike; the classes are the characters that
        occur, in the order of their code points.

    Raises:
        ValueError: `context` is not positive; the file cannot be read, is not UTF-8, or
            has not enough characters for two rows and the label of the last.

    Example:
        >>> data = text()
        >>> data.train.x.shape, data.validation.x.shape, data.classes
        ((11, 64), (2, 64), 45)
    """
    if context < 1:
        raise ValueError(f"text: context must be at least 1, got {context}")
    name = "the Zen of Python" if path is None else str(path)
    content = zen() if path is None else read(path)
    if len(content) < 2 * context + 1:
        raise ValueError(
            f"text: {name} must hold at least {2 * context + 1} characters, for two "
            f"rows of {context}, got {len(content)}"
        )
    alphabet, ids = np.unique(list(content), return_inverse=True)
    rows = (len(ids) - 1) // context
    x, labels = (v[: rows * context].reshape(rows, context) for v in (ids, ids[1:]))
    x, labels = jnp.asarray(x, dtype=jnp.int32), jnp.asarray(labels, dtype=jnp.int32)
    held = max(1, rows // 5)
    train, validation = (
        Split(x[:-held], labels[:-held]),
        Split(x[-held:], labels[-held:]),
    )
    return Dataset("text", train, validation, classes=len(alphabet))


def zen() -> str:
    """The Zen of Python; its module prints it, and holds it in rot13."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13")


def read(path: str | Path) -> str:
    """The text in a file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"text: {path} must be a readable file, got {error.strerror}"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"text: {path} must be text in UTF-8, got byte "
            f"{error.object[error.start]:#x} at {error.start}"
        ) from None
