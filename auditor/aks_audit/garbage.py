"""When Python looks for garbage: cycles of objects. What an audit makes, facts, findings and reports, holds none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Let Python not look for cycles, then or later, among what is made; in a million objects that takes long."""
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
            gc.freeze()
            gc.enable()
