"""Compiled objects on disk, see `graphc.cache`: found by what they were compiled from, believed only if whole.

A file is `magic | length of the object | sha256 of key and object | object`, named by its key, the sha256 of all that the
object depends on. Files are written aside and renamed into place: whoever reads sees a whole file or none, however many
processes write, and wherever one of them is killed. Anything that is not as it should be counts as absent.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import stat
import struct
import tempfile

import llvmlite
import llvmlite.binding as llvm

from graphc import cache
from graphc.codegen import jit
from graphc.target import Target

FORMAT = 1  # of the file; raise it when the header changes
_HEADER = struct.Struct("<8sQ32s")
_MAGIC = b"graphc\0" + bytes([FORMAT])
_CHECKS = 16  # the size of the directory is looked at whenever this process has written a 16th of the limit, and at first
_written = [math.inf]  # bytes since then


def compiled(text: str, target: Target) -> bytes:
    """`jit.compile_module(text, target)`, from disk if it is there."""
    if not cache.enabled or cache.directory is None:
        return jit.compile_module(text, target)
    key = key_of(text, target)
    code = _find(key)
    cache.count(hit=code is not None)
    if code is None:
        code = jit.compile_module(text, target)
        _keep(key, code)
    return code


def key_of(text: str, target: Target) -> str:
    """The sha256 of all that an object depends on, in hexadecimal. The text has no names of the user's and no addresses."""
    digest = hashlib.sha256(_setting(target, jit.VERSION))
    digest.update(text.encode())
    return digest.hexdigest()


@functools.cache
def _setting(target: Target, version: int) -> bytes:
    parts = (target.triple, target.cpu, target.features, llvmlite.__version__, llvm.llvm_version_info, version)
    return repr(parts).encode() + b"\0"


def _path(key: str) -> str:
    assert cache.directory is not None
    return os.path.join(os.fspath(cache.directory), key + cache.SUFFIX)


def _check(key: str, code: bytes) -> bytes:
    return hashlib.sha256(bytes.fromhex(key) + code).digest()


def _find(key: str) -> bytes | None:
    if cache.fault():
        return None
    path = _path(key)
    try:
        number = os.open(path, cache.READ)
    except (OSError, ValueError):
        return None
    try:
        with open(number, "rb", buffering=0) as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode) or not cache.is_private(status):
                return None
            data = file.read(status.st_size)
    except OSError:
        return None
    if len(data) < _HEADER.size:
        return None
    magic, length, check = _HEADER.unpack_from(data)
    code = data[_HEADER.size :]
    if magic != _MAGIC or length != len(code) or check != _check(key, code):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now: `cache.trim` removes what was used longest ago
    return code


def _keep(key: str, code: bytes) -> None:
    if _HEADER.size + len(code) > cache.limit or cache.make():
        return
    path = _path(key)
    with contextlib.suppress(OSError, ValueError):
        number, aside = tempfile.mkstemp(cache.UNFINISHED, "", os.path.dirname(path))  # readable by its owner only
        try:
            with open(number, "wb") as file:
                file.write(_HEADER.pack(_MAGIC, len(code), _check(key, code)))
                file.write(code)
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise
        _trim(_HEADER.size + len(code))


def _trim(nbytes: int) -> None:
    _written[0] += nbytes
    if _written[0] > cache.limit // _CHECKS:
        _written[0] = 0
        cache.trim()
