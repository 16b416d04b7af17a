"""When Python looks for garbage: cycles of objects. An audit makes few, and they are as large as its estate."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Let Python not look for cycles meanwhile; among a million objects that takes longer than to make them."""
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
            gc.enable()
