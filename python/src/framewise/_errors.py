"""The one error of this package."""

from __future__ import annotations


class FramewiseError(Exception):
    """A file that is not what it should be, or a frame that is not there: one line that says what, where and what to do."""


def reason(error: BaseException) -> str:
    """What HDF5 says, as one line."""
    text = " ".join(str(error).strip("'\"").split())
    return text or type(error).__name__
