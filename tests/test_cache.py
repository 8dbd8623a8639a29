"""The cache of compiled objects: what it finds, what it refuses to believe, and that no mishap does more than cost a compilation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.codegen import jit
from graphc.codegen import object_cache as cache
from graphc.codegen.entry import results
from graphc.codegen.target import host, named
from graphc.dims import fresh

ROOT = Path(__file__).parent.parent
MINIMAL = "define i64 @f(i64 %x) {{\n  %y = add i64 %x, {}\n  ret i64 %y\n}}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    results.symbols()  # the object that all functions of a process share: made before anything is counted
    monkeypatch.setattr(gx.cache, "directory", tmp_path / "objects")
    monkeypatch.setattr(gx.cache, "enabled", True)
    monkeypatch.setattr(gx.cache, "limit", 256 << 20)
    yield tmp_path / "objects"


def build(k: float = 1.0, name: str = "x", size: object = "n") -> gx.Function:
    x = gx.tensor(name, (size,))
    return gx.function([x], gx.sum(gx.tanh(x) * k), threads=1)


def right(f: gx.Function, k: float = 1.0) -> None:
    x = np.linspace(-2, 2, 37)
    np.testing.assert_allclose(f(x), np.sum(np.tanh(x) * k), rtol=1e-14, atol=1e-14)


def found(action: Callable[[], object]) -> tuple[int, int]:
    """How many hits and misses there are in `action`."""
    before = gx.cache.info()
    action()
    after = gx.cache.info()
    return after.hits - before.hits, after.misses - before.misses


def objects(place: Path) -> list[Path]:
    return sorted(place.glob("*.gxo"))


# -- what is found ----------------------------------------------------------------------------------------------


def test_the_second_time_it_is_found(place: Path) -> None:
    assert found(lambda: right(build())) == (0, 1)
    assert found(lambda: right(build())) == (1, 0)
    assert found(lambda: right(build(2.0), 2.0)) == (0, 1)
    info = gx.cache.info()
    assert info.files == len(objects(place)) == 2
    assert info.bytes == sum(p.stat().st_size for p in objects(place))
    assert info.directory == str(place) and not info.fault


def test_what_is_found_is_what_was_compiled() -> None:
    text = build().llvm
    assert cache.compiled(text, host()) == jit.compile_module(text, host())


def test_files_are_private(place: Path) -> None:
    build()
    assert place.stat().st_mode & 0o077 == 0
    assert [p.stat().st_mode & 0o077 for p in objects(place)] == [0]
    assert [p.name for p in place.iterdir()] == [objects(place)[0].name]


def test_names_do_not_matter() -> None:
    first = build(name="x", size="n")
    assert first.llvm == build(name="anything", size="rows").llvm == build(name="x", size=None).llvm
    assert found(lambda: right(build(name="z", size="m"))) == (1, 0)


def test_the_number_of_a_fresh_size_does_not_matter() -> None:
    def two() -> str:
        x, y = gx.vector("x"), gx.vector("y")
        return gx.function([x, y], gx.outer(x, y)).llvm

    texts = set()
    while int(repr(fresh())[2:]) % 10 != 7:  # _d9 and _d10 are as _d10 and _d11
        pass
    for _ in range(4):
        texts.add(two())
    assert len(texts) == 1


def test_no_name_or_address_is_in_the_text() -> None:
    x, s = gx.tensor("sesame", ("poppy", "linseed")), gx.shared(np.arange(100.0), "caraway")
    f = gx.function([x], {"fennel": x @ gx.ones(("linseed",)), "total": gx.sum(s)}, updates={s: s + 1}, name="cumin")
    assert [word for word in ("sesame", "poppy", "linseed", "caraway", "fennel", "cumin", str(ROOT)) if word in f.llvm] == []
    executable = f._native()
    addresses = [*executable.constant_addresses, s.value.ctypes.data, id(s), id(np.ndarray), id(None)]
    assert [a for a in addresses if str(a) in f.llvm] == []


def test_all_that_an_object_depends_on_is_in_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    text = MINIMAL.format(1)
    keys = [cache.key_of(text, host()), cache.key_of(MINIMAL.format(2), host()), cache.key_of(text, named("x86-64"))]
    keys += [cache.key_of(text, named("x86-64-v3")), cache.key_of(text, named("aarch64"))]
    monkeypatch.setattr(jit, "VERSION", jit.VERSION + 1)
    keys.append(cache.key_of(text, host()))
    cache._setting.cache_clear()
    monkeypatch.setattr(cache.llvmlite, "__version__", "0.0")
    keys.append(cache.key_of(text, host()))
    cache._setting.cache_clear()
    assert len(set(keys)) == len(keys)


def test_another_version_compiles_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    monkeypatch.setattr(jit, "VERSION", jit.VERSION + 1)
    assert found(lambda: right(build())) == (0, 1)


# -- what is not believed ---------------------------------------------------------------------------------------


def damaged(whole: bytes) -> dict[str, bytes]:
    middle = len(whole) // 2
    flipped = lambda at: whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    return {
        "empty": b"",
        "a piece of the header": whole[:20],
        "the header alone": whole[:48],
        "cut": whole[:-1],
        "longer": whole + b"\0",
        "zeros": bytes(len(whole)),
        "zeros at the end": whole[:middle] + bytes(len(whole) - middle),
        "another magic": b"x" + whole[1:],
        "another format": whole[:7] + bytes([whole[7] + 1]) + whole[8:],
        "another length": flipped(8),
        "another checksum": flipped(20),
        "a bit of the object": flipped(middle),
        "the last bit": flipped(len(whole) - 1),
        "not ours": b"#!/bin/sh\nexit 1\n" * 100,
    }


@pytest.mark.parametrize("kind", damaged(bytes(100)))
def test_a_damaged_file_is_replaced(kind: str, place: Path) -> None:
    text = MINIMAL.format(3)
    code = cache.compiled(text, host())
    (path,) = objects(place)
    whole = path.read_bytes()
    path.write_bytes(damaged(whole)[kind])
    assert found(lambda: cache.compiled(text, host())) == (0, 1)
    assert path.read_bytes() == whole
    assert cache.compiled(text, host()) == code


def test_an_object_under_another_name_is_not_believed(place: Path) -> None:
    one, two = MINIMAL.format(1), MINIMAL.format(2)
    cache.compiled(one, host())
    objects(place)[0].rename(place / f"{cache.key_of(two, host())}.gxo")
    assert cache.compiled(two, host()) == jit.compile_module(two, host())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "dangling"])
def test_what_is_no_file_is_not_read(kind: str, place: Path) -> None:
    text = MINIMAL.format(4)
    code = cache.compiled(text, host())
    (path,) = objects(place)
    aside = place / "aside"
    path.rename(aside)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(aside if kind == "link" else place / "nowhere")
    assert found(lambda: cache.compiled(text, host())) == (0, 1)
    assert cache.compiled(text, host()) == code
    gx.cache.info(), gx.cache.clear()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners and modes")
def test_a_directory_that_others_may_write_to_is_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    for mode in (0o720, 0o702, 0o777, 0o1777):
        place.chmod(mode)
        assert "others may write" in gx.cache.info().fault
        assert found(lambda: right(build())) == (0, 1)
        assert gx.cache.clear() == 0
    place.chmod(0o755)
    assert found(lambda: right(build())) == (1, 0)
    objects(place)[0].chmod(0o666)
    assert found(lambda: right(build())) == (0, 1)  # and written anew
    assert found(lambda: right(build())) == (1, 0)
    monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1)
    assert "another user" in gx.cache.info().fault
    assert found(lambda: right(build())) == (0, 1)


# -- where nothing can be kept ----------------------------------------------------------------------------------


def test_switched_off(place: Path) -> None:
    gx.cache.enabled = False
    assert found(lambda: right(build())) == (0, 0)
    gx.cache.enabled, gx.cache.directory = True, None
    assert found(lambda: right(build())) == (0, 0)
    assert not place.exists()
    assert gx.cache.info().directory is None and gx.cache.info().fault == "no directory"
    assert gx.cache.clear() == 0


@pytest.mark.parametrize("below", [True, False])
def test_a_place_that_cannot_be_a_directory(below: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    gx.cache.directory = tmp_path / "file" / "objects" if below else tmp_path / "file"
    for _ in range(2):
        assert found(lambda: right(build())) == (0, 1)
    assert gx.cache.info().fault and gx.cache.info().files == gx.cache.clear() == 0
    assert (tmp_path / "file").read_text() == "here"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a place where nobody can write")
def test_where_no_directory_can_be_made() -> None:
    gx.cache.directory = "/proc/self/graphc"
    assert found(lambda: right(build())) == (0, 1)
    assert "cannot be made" in gx.cache.info().fault


def test_a_directory_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    gx.cache.directory = tmp_path / "file" / "a" / "b"  # said before anything is compiled
    assert gx.cache.info().fault
    gx.cache.directory = tmp_path / "a" / "b"
    assert gx.cache.info().fault == "" and not (tmp_path / "a").exists()  # asking makes nothing


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_in_one_that_may_not_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    gx.cache.directory = tmp_path / "closed" / "objects"
    assert "may not be written to" in gx.cache.info().fault


def test_a_place_that_can_be_made_later_is_used_then(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    gx.cache.directory = tmp_path / "file" / "objects"
    assert found(lambda: right(build())) == (0, 1) and gx.cache.info().fault
    (tmp_path / "file").unlink()
    assert found(lambda: right(build())) == (0, 1) and gx.cache.info().fault == ""
    assert found(lambda: right(build())) == (1, 0)


def test_a_directory_that_can_only_be_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    before = sorted(place.iterdir())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")  # root may write whatever the mode says, so the refusal is ours

    for function in ("replace", "utime", "unlink", "makedirs"):
        monkeypatch.setattr(os, function, refuse)
    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    assert found(lambda: right(build())) == (1, 0)
    assert found(lambda: right(build(2.0), 2.0)) == (0, 1)
    assert gx.cache.clear() == 0 and sorted(place.iterdir()) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_of_mode_500(place: Path) -> None:
    place.mkdir(mode=0o500)
    for _ in range(2):
        assert found(lambda: right(build())) == (0, 1)
    assert list(place.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir(mode=0o700)

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "replace", full)
    right(build())
    assert list(place.iterdir()) == []


# -- how much is kept -------------------------------------------------------------------------------------------


def test_clear(place: Path) -> None:
    for k in range(3):
        cache.compiled(MINIMAL.format(k), host())
    (place / "mine.txt").write_text("stays")
    assert gx.cache.clear() == 3
    assert [p.name for p in place.iterdir()] == ["mine.txt"]
    assert found(lambda: cache.compiled(MINIMAL.format(0), host())) == (0, 1)


def test_what_was_used_longest_ago_goes_first(place: Path) -> None:
    paths = []
    for k in range(8):
        cache.compiled(MINIMAL.format(k), host())
        paths += [p for p in objects(place) if p not in paths]
        os.utime(paths[-1], (1e9 + k, 1e9 + k))
    size = paths[0].stat().st_size
    cache.compiled(MINIMAL.format(0), host())  # used now
    gx.cache.limit = 6 * size
    cache.compiled(MINIMAL.format(8), host())
    assert gx.cache.info().bytes <= gx.cache.limit
    left = objects(place)
    assert paths[0] in left and paths[7] in left and paths[1] not in left and paths[4] not in left


def test_the_limit_holds_over_a_long_time() -> None:
    gx.cache.limit = 20_000
    for k in range(200):
        cache.compiled(MINIMAL.format(k), host())
        assert gx.cache.info().bytes <= gx.cache.limit * 17 // 16 + 2000
    assert gx.cache.info().files > 5


def test_an_object_above_the_limit_is_not_kept(place: Path) -> None:
    gx.cache.limit = 100
    right(build())
    gx.cache.limit = 0
    right(build())
    assert not place.exists()


def test_abandoned_files_are_removed(place: Path) -> None:
    place.mkdir(mode=0o700)
    old, new = place / "old.part", place / "new.part"
    for path in (old, new):
        path.write_bytes(b"half an obj")
    os.utime(old, (1e9, 1e9))
    gx.cache.trim()
    assert not old.exists() and new.exists()  # the new one may still be written


# -- several processes ------------------------------------------------------------------------------------------

PROGRAM = """
    import sys
    import numpy as np, graphc as gx
    from graphc.codegen.entry import results
    results.symbols()  # the object that all functions of a process share
    before, gx.cache.directory = gx.cache.info(), sys.argv[1]
    x = np.linspace(-2, 2, 37)
    for k in map(int, sys.argv[2].split(",")):
        v = gx.vector("x")
        assert abs(gx.function([v], gx.sum(gx.tanh(v) * k), threads=1)(x) - np.sum(np.tanh(x) * k)) < 1e-12
    info = gx.cache.info()
    print(info.hits - before.hits, info.misses - before.misses)
"""


def start(code: str, *args: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def test_another_process_finds_it(place: Path) -> None:
    assert finish(start(PROGRAM, place, "1,2", PYTHONHASHSEED="1")) == "0 2"
    assert finish(start(PROGRAM, place, "2,1", PYTHONHASHSEED="2")) == "2 0"
    assert found(lambda: right(build(size=None))) == (1, 0)


def test_the_text_is_the_same_in_every_process(place: Path) -> None:
    code = """
        import hashlib, sys
        import numpy as np, graphc as gx
        gx.cache.directory, gx.calibration.enabled = sys.argv[1], False  # else the first measures, and others read what it found
        for k in range(int(sys.argv[2])):  # sizes, nodes and axes are numbered differently from then on
            gx.sum(gx.matrix("z") @ gx.matrix("z"))
        x, y = gx.tensor("x", (None, 5), "float32"), gx.vector("y", None, "int64")
        p = gx.shared([{"W": np.ones((a, b), "float32"), "b": np.zeros(b, "float32")} for a, b in ((5, 7), (7, 3))])
        h = gx.relu(x @ p[0]["W"] + p[0]["b"]) @ p[1]["W"] + p[1]["b"]
        loss = -gx.mean(gx.take_along_axis(gx.log(gx.softmax(h)), y[:, None], axis=1))
        new = gx.tree.map(lambda w, g: w - 0.1 * g, p, gx.grad(loss, p))
        f = gx.function([x, y], {"loss": loss, "norm": gx.norm(h, axis=0)}, updates=(p, new), threads=2)
        print(hashlib.sha256(f.llvm.encode()).hexdigest(), gx.cache.info().hits)
    """
    texts = [finish(start(code, place, k, PYTHONHASHSEED=str(k))).split() for k in (0, 7, 12)]
    assert len({text for text, _ in texts}) == 1
    assert [hits for _, hits in texts] == ["0", "3", "3"]  # the function, what all entries share, and the pool of threads that it may use


def test_many_processes_at_once(place: Path) -> None:
    lists = ["1,2,3,4,5", "5,4,3,2,1", "1,2,3,6,7", "3,1,4,1,5"]
    for process in [start(PROGRAM, place, listed) for listed in lists]:
        hits, misses = map(int, finish(process).split())
        assert hits + misses == 5
    assert len(objects(place)) == 7 == len(list(place.iterdir()))
    assert finish(start(PROGRAM, place, "1,2,3,4,5,6,7")) == "7 0"


def test_processes_that_write_while_others_clear_and_trim(place: Path) -> None:
    place.mkdir(mode=0o700)
    code = """
        import sys
        import graphc as gx
        from graphc.codegen import object_cache as cache, jit
        from graphc.codegen.target import host
        gx.cache.directory, gx.cache.limit = sys.argv[1], 5000
        for turn in range(60):
            text = "define i64 @f(i64 %x) {\\n  %y = add i64 %x, " + str(turn % 7) + "\\n  ret i64 %y\\n}\\n"
            assert cache.compiled(text, host()) == jit.compile_module(text, host())
            if turn % 10 == int(sys.argv[2]):
                gx.cache.clear()
    """
    for process in [start(code, place, k) for k in range(3)]:
        finish(process)
    assert not list(place.glob("*.part"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("where", ["write", "replace"])
def test_a_writer_killed_in_the_middle(where: str, place: Path) -> None:
    code = f"""
        import os, signal, sys, types
        import graphc as gx
        from graphc.codegen import object_cache as cache
        from graphc.codegen.target import host
        gx.cache.directory = sys.argv[1]
        die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        if "{where}" == "replace":
            os.replace = die  # all is written, but not in its place
        else:
            cache._HEADER = types.SimpleNamespace(size=48, pack=die)  # the file is there, and empty
        cache.compiled({MINIMAL.format(5)!r}, host())
    """
    process = start(code, place)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(list(place.glob("*.part"))) == 1 and not objects(place)
    assert found(lambda: cache.compiled(MINIMAL.format(5), host())) == (0, 1)
    assert found(lambda: cache.compiled(MINIMAL.format(5), host())) == (1, 0)


def test_writers_killed_at_any_time(place: Path) -> None:
    code = """
        import sys
        import graphc as gx
        from graphc.codegen import object_cache as cache, jit
        from graphc.codegen.target import host
        gx.cache.directory = sys.argv[1]
        jit.compile_module = lambda text, target: text.encode() * 100_000
        print("go", flush=True)
        for turn in range(10**9):
            cache.compiled(f"text {turn % 5}", host())
            gx.cache.clear()
    """
    writers = [start(code, place) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == "go\n"
        time.sleep(0.3)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate(timeout=60)
    for turn in range(5):
        text = f"text {turn}"
        kept = cache._find(cache.key_of(text, host()))
        assert kept is None or kept == text.encode() * 100_000
    right(build())
    assert found(lambda: right(build())) == (1, 0)


def test_where_it_is_by_default(tmp_path: Path) -> None:
    shown = "import graphc as gx; print(gx.cache.directory)"
    assert finish(start(shown, XDG_CACHE_HOME=str(tmp_path))) == str(tmp_path / "graphc")
    if sys.platform.startswith("linux"):
        for ignored in ("", "relative"):
            assert finish(start(shown, XDG_CACHE_HOME=ignored, HOME=str(tmp_path))) == str(tmp_path / ".cache" / "graphc")
    assert str(Path.home()) not in os.environ["XDG_CACHE_HOME"], "tests leave the user's cache alone"
