"""The IDX format of the MNIST files, compressed by gzip or not.

A file is two zero bytes, a type (08: unsigned byte), the number of axes d, then d sizes
as 4-byte big-endian integers, then the entries, last axis fastest.
"""

import math
import struct
import zlib
from pathlib import Path

import numpy as np

GZIP = b"\x1f\x8b"


def read_idx(path: str | Path, *, axes: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file.

    Args:
        path: The file; whether it is compressed is seen from its first bytes.
        axes: How many it must have: 3 for images, 1 for labels.

    Raises:
        ValueError: the file is missing, damaged, truncated, too long, or of another
            magic number; the message holds the path, the expected and the found bytes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]))
        >>> read_idx(path, axes=1)
        array([7, 3], dtype=uint8)
    """
    content = read_bytes(path)
    magic = bytes([0, 0, 8, axes])
    if content[:4] != magic:
        raise ValueError(
            f"idx: {path} must begin with bytes {magic.hex(' ')}, "
            f"got {content[:4].hex(' ') or 'an empty file'}"
        )
    start = 4 + 4 * axes
    sizes = struct.unpack_from(f">{axes}I", content.ljust(start, b"\0"), 4)
    expected = start + math.prod(sizes)
    if len(content) < start or len(content) != expected:
        raise ValueError(
            f"idx: {path} must hold {max(expected, start)} bytes for an array of shape "
            f"{sizes}, got {len(content)}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def read_bytes(path: str | Path) -> bytes:
    """A file's bytes, uncompressed; of a compressed file cut off, what is there."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"idx: {path} must be a readable file, got {error.strerror}"
        ) from None
    if not content.startswith(GZIP):
        return content
    try:
        return zlib.decompressobj(wbits=31).decompress(content)
    except zlib.error as error:
        raise ValueError(
            f"idx: {path} must be a sound gzip file, got {error}"
        ) from None
