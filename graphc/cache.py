"""The cache of compiled objects on disk, as a user sees it: where it is, how big it may be, what is in it.

`gx.cache.directory`, `gx.cache.enabled` and `gx.cache.limit` are plain settings of this process, which hold for functions
compiled from then on. Objects are machine code that will run, so only a directory that nobody else can write to is used;
where it cannot be, everything is compiled as if there were no cache, and `gx.cache.info().fault` says why.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from graphc.forking import held_over_fork

READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe must not block
SUFFIX, UNFINISHED = ".gxo", ".part"
ABANDONED = 3600.0  # seconds: an unfinished file this old has no writer any more


def _default() -> Path | None:
    """The user's cache directory on this platform: the one place that looks at the environment."""
    try:
        if os.path.isabs(given := os.environ.get("XDG_CACHE_HOME", "")):  # a relative one is to be ignored, says XDG
            return Path(given, "graphc")
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local", "graphc", "cache")
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "graphc"
    except RuntimeError:  # nobody's home
        return None


directory: str | os.PathLike[str] | None = _default()
"""Where objects are kept; None keeps none."""
enabled: bool = True
"""Whether objects are looked for and kept."""
limit: int = 256 << 20
"""Bytes. Beyond it the files used longest ago are removed; checked now and then, so it may be passed for a while."""


class Info(NamedTuple):
    """What `info` returns. `hits` and `misses` are counted in this process; `fault` says why the directory is not used, "" if it is."""

    directory: str | None
    enabled: bool
    limit: int
    files: int
    bytes: int
    hits: int
    misses: int
    fault: str


def info() -> Info:
    """The settings, what the directory holds, and how often this process found what it looked for."""
    sizes = [status.st_size for _, status in _files(SUFFIX)]
    where = None if directory is None else os.fspath(directory)
    return Info(where, enabled, limit, len(sizes), sum(sizes), _counts[True], _counts[False], fault())


def clear() -> int:
    """Remove every object from the directory; how many. Functions that are compiled already do not need them."""
    if fault():
        return 0
    for path, status in _files(UNFINISHED):
        if time.time() - status.st_mtime > ABANDONED:  # a younger one may be about to become an object
            _remove(path)
    return sum(_remove(path) for path, _ in _files(SUFFIX))


def trim() -> None:
    """Bring the directory down to three quarters of the limit if it is above it, without what was used longest ago."""
    if fault():
        return
    for path, status in _files(UNFINISHED):
        if time.time() - status.st_mtime > ABANDONED:
            _remove(path)
    files = sorted(_files(SUFFIX), key=lambda f: (f[1].st_mtime_ns, f[0]))
    total = sum(status.st_size for _, status in files)
    wanted = total if total <= limit else limit * 3 // 4
    for path, status in files:
        if total <= wanted:
            break
        _remove(path)
        total -= status.st_size


def fault() -> str:
    """Why the directory is not used, "" if it is: it must be the user's, and nobody else may write to it."""
    if not enabled:
        return "switched off"
    if directory is None:
        return "no directory"
    try:
        status = os.stat(directory)
    except FileNotFoundError:
        return _unmade.get(os.fspath(directory), "") or _forbidden(os.path.dirname(os.path.abspath(directory)))
    except (OSError, ValueError) as error:
        return str(error)
    if not stat.S_ISDIR(status.st_mode):
        return "not a directory"
    return "" if is_private(status) else "it belongs to another user, or others may write to it"


def _forbidden(parent: str) -> str:
    """Why nothing can be made in `parent`, or in the nearest directory above it that exists; "" where nothing speaks against it."""
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent):
        return f"{parent} is not a directory"
    return "" if os.access(parent, os.W_OK | os.X_OK) else f"it cannot be made: {parent} may not be written to"


def make() -> str:
    """Make the directory where it is missing, as the first object that is kept asks for; why that failed, or "" and it can be used."""
    if directory is None or not enabled:
        return fault()
    where = os.fspath(directory)
    try:
        os.makedirs(where, mode=0o700, exist_ok=True)
        _unmade.pop(where, None)
    except (OSError, ValueError) as error:  # what the system says at the attempt, which permissions alone do not tell: /proc, a full disk
        _unmade[where] = f"it cannot be made: {error}"
    return fault()


_unmade: dict[str | bytes, str] = {}  # why the last attempt failed


def is_private(status: os.stat_result) -> bool:
    """Whether a file or directory is this user's, and no other may write to it."""
    if not hasattr(os, "geteuid"):
        return True  # where there are no such owners and modes, a profile's directories are its user's
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def count(hit: bool) -> None:
    """Note that an object was found, or not."""
    with _lock:
        _counts[hit] += 1


_lock = held_over_fork(threading.Lock())
_counts = {True: 0, False: 0}


def _files(suffix: str) -> Iterator[tuple[str, os.stat_result]]:
    if directory is None:
        return
    try:
        with os.scandir(directory) as entries:
            listed = [e for e in entries if e.name.endswith(suffix)]
    except (OSError, ValueError):
        return
    for entry in listed:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:  # another process removed it
            continue
        if stat.S_ISREG(status.st_mode):
            yield entry.path, status


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
