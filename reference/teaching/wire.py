"""Arrays between the grader and the learner's process, as bytes that run nothing.

A message is four bytes of length, a JSON header and the arrays' bytes one after the
other. The header's "arrays" gives each one's dtype and shape; what it claims and what
is there must agree. Both processes use this file, so it imports NumPy alone.
"""

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

DTYPES = ("float64", "float32", "int64", "int32", "bool")


def packed(header: dict[str, Any], arrays: Sequence[Any] = ()) -> bytes:
    """A message.

    Args:
        header: What JSON can hold.
        arrays: Each of a dtype of DTYPES.

    Example:
        >>> header, arrays = unpacked(packed({"call": "f"}, [np.eye(2)])[4:])
        >>> header["call"], arrays[0].shape
        ('f', (2, 2))
    """
    found = [np.ascontiguousarray(a).reshape(np.shape(a)) for a in arrays]
    described = [[str(a.dtype), list(a.shape)] for a in found]
    head = json.dumps(header | {"arrays": described}).encode()
    body = b"".join([struct.pack(">I", len(head)), head, *(a.tobytes() for a in found)])
    return struct.pack(">I", len(body)) + body


def unpacked(body: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Header and arrays of a message without its length.

    Raises:
        ValueError: header and bytes do not agree.
    """
    (size,) = struct.unpack(">I", body[:4])
    header = json.loads(body[4 : 4 + size])
    start, arrays = 4 + size, []
    for dtype, shape in header["arrays"]:
        if dtype not in DTYPES or any(n < 0 for n in shape):
            raise ValueError(f"wire: dtype must be one of {DTYPES}, got {dtype}")
        count = math.prod(shape) * np.dtype(dtype).itemsize
        part = body[start : start + count]
        if len(part) != count:
            raise ValueError("wire: arrays must be as long as the header says")
        arrays.append(np.frombuffer(part, dtype).reshape(shape).copy())
        start += count
    return header, arrays
