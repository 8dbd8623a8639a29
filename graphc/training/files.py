"""Files that are there whole or not at all, and whatever goes wrong with one as one kind of error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from graphc.errors import ArgumentError, FileError, GraphcError, compose, fail

PATH_LIKE = (str, os.PathLike)


def as_path(what: str, path: Any, suffixes: tuple[str, ...]) -> Path:
    """`path` as a Path; ArgumentError for anything that is none, or has another suffix."""
    if not isinstance(path, PATH_LIKE) or not isinstance(os.fspath(path), str):
        fail(ArgumentError, f"{what}: {path!r:.60} is not the path of a file")
    found = Path(path)
    if found.suffix not in suffixes:
        hint = "the suffix says how it is written: " + " or ".join(suffixes)
        fail(ArgumentError, f"{what}: {str(path)!r} has the suffix {found.suffix!r}", hint=hint)
    return found


def write_whole(what: str, path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Have `write` fill a file beside `path`, which takes its place when it is on the disk: a reader finds the old one or the new one.

    FileError where that fails; the old file stays then.
    """
    aside = path.with_name(path.name + ".part")
    with faults(what, path, "cannot be written"):
        try:
            with open(aside, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on the disk, too, where folders can be opened."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def faults(what: str, path: Path, how: str) -> Iterator[None]:
    """Whatever is raised inside is a FileError that names the path; errors of this package stay what they are."""
    try:
        yield
    except GraphcError:
        raise
    except Exception as reason:  # readers of damaged files raise what they like: zip, npy, json, memory
        raise FileError(compose(f"{what}: {str(path)!r} {how}: {type(reason).__name__}: {str(reason) or 'no reason given'}")) from reason
