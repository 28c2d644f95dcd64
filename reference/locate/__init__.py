"""Which step of a network is wrong, and in which role; the chain rule, step by step."""

from reference.locate.locate import locate

__all__ = ["locate"]
