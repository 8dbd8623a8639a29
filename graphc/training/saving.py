"""`save` and `load`: trees of arrays in files, `.npz` that NumPy reads as well, or `.safetensors`. Nothing in them is ever run."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from graphc import tree
from graphc.dims import format_shape
from graphc.errors import ArgumentError, FileError, fail
from graphc.ir import Node
from graphc.training.files import as_path, faults, write_whole
from graphc.training.layout import RESERVED, Plain, array_of, described, rebuilt
from graphc.tree import Tree

SUFFIXES = (".npz", ".safetensors")
CHECK = "crc32"


def save(path: Any, tree: Tree) -> None:
    """Write a tree of arrays, numbers and shared variables (their values) to a file, whole or, where that fails, not at all.

    path: ends in .npz (what numpy.load reads, an array for each leaf under its path: `layers.0.W`) or .safetensors (needs the package
    safetensors: pip install "graphc[safetensors]"). The structure is kept: dicts of str and int keys, lists, tuples, None; NamedTuples,
    dataclasses and subclasses of dict come back as dicts, but for `load(path, like=)`. Leaves come back as arrays of the same dtype,
    shape and bits. Raises ArgumentError for a leaf that is no array of numbers, FileError where the file cannot be written.

        gx.save("net.npz", p)
        gx.set_values(p, gx.load("net.npz", like=p))
    """
    where = as_path("save", path, SUFFIXES)
    structure, leaves = described("save", tree)
    arrays = {name: array_of("save", name, leaf) for name, leaf in leaves.items()}
    about = json.dumps(structure)
    check = _check_sum(arrays, about)
    if where.suffix == ".npz":
        write_whole("save", where, lambda file: _write_npz(file, arrays, about, check))
    else:
        packed = _in_order(_safetensors("save").numpy.save(arrays, {RESERVED: about, CHECK: check}))
        write_whole("save", where, lambda file: _write(file, packed))


def load(path: Any, like: Tree = None) -> Tree:
    """The tree of arrays that `save` wrote; of a file of another program the dict of its arrays.

    like: a tree of arrays, nodes or shared variables that the file must match leaf by leaf, in dtype and shape; its structure, with its
    NamedTuples and dataclasses, is what comes back. Raises ArgumentError, and FileError, which names the file, where there is none,
    where it is damaged, and where it is of another model: with the leaf.

        p = gx.load("net.npz")
    """
    where = as_path("load", path, SUFFIXES)
    with faults("load", where, "cannot be read"):
        read = _read_npz if where.suffix == ".npz" else _read_safetensors
        arrays, about, check = read(where)
        if (about is not None or check is not None) and check != _check_sum(arrays, about or ""):
            raise ValueError("its check sum is wrong")
        plain: Plain = {"dict": [[name, name] for name in arrays]} if about is None else json.loads(about)
        found = rebuilt(plain, arrays)
    return found if like is None else _fitted(where, like, found)


# -- the two formats: arrays by name, the structure, and a check sum, None in files of other programs -------------------
def _check_sum(arrays: Mapping[str, np.ndarray], about: str) -> str:
    """Of everything in the file: .safetensors has none, and zip archives have none of their list of entries."""
    total = zlib.crc32(about.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total = zlib.crc32(f"{name}: {array.dtype}{arrays[name].shape}".encode(), total)
        total = zlib.crc32(array.reshape(-1).view(np.uint8).data, total)
    return f"{total:08x}"


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray], about: str, check: str) -> None:
    """As numpy.savez, but for names that it takes for its own arguments, and for the date: equal trees are equal files."""
    everything = {**arrays, RESERVED: np.frombuffer(about.encode(), np.uint8)}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in everything.items():
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        archive.comment = f"{CHECK} {check}".encode()


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], str | None, str | None]:
    """Entry by entry to the end, where zipfile compares the check sums; numpy.load takes `x.npy` for `x`."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as entry:
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(entry, allow_pickle=False)
                if entry.read(1):
                    raise ValueError(f"{name!r} is longer than its array")
        marked, _, check = archive.comment.decode(errors="replace").partition(" ")
    about = arrays.pop(RESERVED, None)
    return arrays, None if about is None else about.tobytes().decode(), check if marked == CHECK else None


def _safetensors(what: str) -> ModuleType:
    try:
        import safetensors.numpy  # an extra: `import graphc` does without it
    except ImportError:
        hint = 'pip install "graphc[safetensors]", or use .npz'
        fail(ArgumentError, f"{what}: a .safetensors file needs the package safetensors", hint=hint)
    package: ModuleType = safetensors
    return package


def _in_order(packed: bytes) -> bytes:
    """The same file with the notes in its header, which the package writes in an order of the moment, by their names."""
    count = int.from_bytes(packed[:8], "little")
    header = json.loads(packed[8 : 8 + count])
    notes = {"__metadata__": dict(sorted(header["__metadata__"].items()))}
    text = json.dumps({**notes, **header, **notes}, separators=(",", ":"), ensure_ascii=False).encode().ljust(count)
    return packed[:8] + text + packed[8 + count :] if len(text) == count else packed


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], str | None, str | None]:
    with _safetensors("load").safe_open(path, framework="numpy") as file:
        beside = file.metadata() or {}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    return arrays, beside.get(RESERVED), beside.get(CHECK)


# -- what is asked for ------------------------------------------------------------------------------------------------
def _fitted(path: Path, like: Tree, found: Tree) -> Tree:
    """The arrays of `found` in the structure of `like`; FileError names the first leaf that does not fit."""
    _, wanted = described("load: like", like)
    _, have = described("load", found)
    missing, more = [n for n in wanted if n not in have], [n for n in have if n not in wanted]
    if missing or more:
        what = f"has no {missing[0]!r}" if missing else f"has {more[0]!r} besides"
        hint = f"the file holds {_few(list(have))}; wanted are {_few(list(wanted))}"
        fail(FileError, f"load: {str(path)!r} is of another model: it {what}", hint=hint)
    for name, leaf in wanted.items():
        array, other = have[name], leaf if isinstance(leaf, Node) else np.asarray(leaf)
        sizes = zip(array.shape, other.shape)
        same = array.ndim == other.ndim and all(a == b for a, b in sizes if isinstance(b, int))  # a symbolic size is any
        if not same or array.dtype != other.dtype:
            shown = [f"{a.dtype}[{format_shape(a.shape)}]" for a in (array, other)]
            fail(FileError, f"load: {str(path)!r} is of another model: {name!r} is {shown[0]}, where {shown[1]} is wanted")
    return tree.unflatten(tree.structure(like), [have[name] for name in wanted])


def _few(names: list[str]) -> str:
    return (", ".join(map(repr, names[:8])) or "no arrays") + (", ..." if len(names) > 8 else "")
