"""What every store promises of a file that several want to write, wherever it keeps its files."""

from aks_audit.store.store import Store

LOCK = "scope/lock.json"


def of_several_who_create_a_file_one_does(store: Store) -> None:
    """Who comes second is told so, and changes nothing."""
    assert store.create(LOCK, b"mine")
    assert not store.create(LOCK, b"theirs")
    assert store.fetch(LOCK).data == b"mine"


def only_the_version_that_was_read_is_replaced_and_deleted(store: Store) -> None:
    """Who read another version is told so, and changes nothing."""
    store.create(LOCK, b"first")
    first = store.fetch(LOCK).version
    assert store.replace(LOCK, b"second", first)
    assert not store.replace(LOCK, b"third", first)
    assert not store.delete(LOCK, first)
    assert store.fetch(LOCK).data == b"second"
    assert store.delete(LOCK, store.fetch(LOCK).version)
    assert not store.delete(LOCK, first)
