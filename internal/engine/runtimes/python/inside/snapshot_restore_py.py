"""Functions to run before a snapshot is taken and after it is restored, as on Lambda: each is given with the arguments to call it with."""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """Registers func. The one registered last runs first."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Registers func. The one registered first runs first."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before_snapshot[::-1]


def get_after_restore():
    return list(_after_restore)
