"""Calibration: what is measured is decided within bounds, kept whole or not at all, read again, and never changes a bit."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc import calibrate as command
from graphc import calibration
from graphc.calibration import CHOICES, DEFAULTS, Found
from graphc.codegen import object_cache
from graphc.codegen.calibration import first_use
from graphc.codegen.calibration.first_use import machine_key, this_machine
from graphc.codegen.calibration.probes import Copies, ProductProbe, ThreadProbe
from graphc.codegen.strategy.contract import K_BLOCK
from graphc.codegen.target import host, named
from graphc.options import default_options, set_default_options
from graphc.target import Measured, Target

ROOT = Path(__file__).parent.parent
KEY = machine_key(host())
FOUND = Found().decided({"crossing": 1.01, "packing": 26.0})


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine that was never calibrated, for a user who has switched nothing off."""
    monkeypatch.setattr(gx.cache, "directory", tmp_path / "objects")
    monkeypatch.setattr(gx.cache, "enabled", True)
    monkeypatch.setattr(calibration, "enabled", True)
    monkeypatch.setattr(first_use, "_KNOWN", {})
    yield tmp_path / "objects"


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[Found | None]:
    """What the probes of a product will find, first use by first use."""
    results: list[Found | None] = []
    monkeypatch.setattr(first_use, "_products", lambda target, before: results.pop(0))
    return results


def product() -> gx.Node:
    return gx.matrix("a") @ gx.matrix("b")


# -- what is decided --------------------------------------------------------------------------------------------
def test_choices_are_sane_and_hold_the_defaults() -> None:
    names = {f.name for f in fields(Measured)}
    assert set(CHOICES) <= names and set(command.MEANING) == names
    for name, choice in CHOICES.items():
        assert getattr(DEFAULTS, name) in choice.values and min(choice.values) > choice.origin


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("number", [-1e9, 0.0, 1e-300, 1.0, 3.0, 1e12, float("inf"), float("-inf"), float("nan")])
def test_nothing_beyond_the_choices_is_believed(name: str, number: float) -> None:
    value = getattr(Found().decided({name: number}).measured, name)
    assert value in CHOICES[name].values
    assert np.isfinite(number) or value == getattr(DEFAULTS, name)


@pytest.mark.parametrize("name", CHOICES)
def test_a_decision_holds_against_noise_at_a_border(name: str) -> None:
    choice = CHOICES[name]
    for low, high in zip(choice.values, choice.values[1:], strict=False):
        border = choice.origin + ((low - choice.origin) * (high - choice.origin)) ** 0.5
        for number in (0.95 * (border - choice.origin) + choice.origin, 1.05 * (border - choice.origin) + choice.origin):
            assert choice.nearest(number, low) == low and choice.nearest(number, high) == high
        assert choice.nearest(low, high) == low and choice.nearest(high, low) == high


def test_numbers_that_were_not_measured_stay() -> None:
    found = Found().decided({"threads": 1e6}).decided({"crossing": 1.5})
    assert found.measured == replace(DEFAULTS, threads=max(CHOICES["threads"].values))
    assert dict(found.numbers) == {"threads": 1e6, "crossing": 1.5}


# -- what is measured -------------------------------------------------------------------------------------------
def test_the_probe_of_products_measures_times() -> None:
    for target in (host(), named("x86-64"), named("x86-64-v3")) if host().vector_bytes == 64 else (host(),):
        probe = ProductProbe(target)
        times = probe.times(20)
        assert times.aligned > 0 and times.across > 0 and times.copied > 0 and times.rows % probe.rows == 0
        assert all(getattr(Found().decided(times.numbers()).measured, n) in CHOICES[n].values for n in times.numbers())


def test_the_probe_of_products_runs_the_tile() -> None:
    """Its sums are those of the operands that it was given, wherever b lies."""
    probe = ProductProbe(host())
    memory = probe.memory.view(np.float32)
    memory[:] = 2.0
    probe.times(1)
    assert (memory == 4.0 * K_BLOCK).sum() == 4 * probe.rows * probe.width


def test_the_probe_of_threads_computes_with_the_pool() -> None:
    numbers = ThreadProbe(host()).numbers(3)
    assert set(numbers) <= {"threads"} and all(0 < n < 1e9 for n in numbers.values())


# -- first use --------------------------------------------------------------------------------------------------
def test_the_first_product_measures_and_later_ones_read(probed: list[Found | None], place: Path) -> None:
    probed += [FOUND]
    assert this_machine((gx.exp(gx.vector("x")),)).measured == DEFAULTS and probed
    gx.function([], gx.ones(3) * 2.0)
    assert probed
    x = gx.tensor("x", (3, 3))
    gx.function([x], gx.scan(lambda c, _: (c @ x, c), x, length=2)[0])  # a product in a body counts
    assert not probed and this_machine().measured == FOUND.measured
    first_use._KNOWN.clear()  # as in another process
    assert this_machine((product(),)).measured == FOUND.measured == calibration.kept(KEY).measured  # type: ignore[union-attr]
    assert [p.suffix for p in place.iterdir()].count(".gxm") == 1


def test_a_disturbed_measurement_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, disturbed, late = Copies(1.0, 1.0, 0.5, 8), Copies(1.0, 9.0, 0.5, 8), Copies(8.0, 1.0, 8.0, 8)
    turns: Iterator[Copies]
    monkeypatch.setattr(ProductProbe, "times", lambda self, count: next(turns))
    turns = iter((late, quiet, quiet))
    assert first_use._products(host(), Found()) == Found().decided({"crossing": 1.0, "packing": 4.0})
    turns = iter((late, disturbed, quiet, quiet, late))  # two rounds: the least of each time counts, not of ratios
    assert first_use._products(host(), Found(), 2) == Found().decided({"crossing": 1.0, "packing": 4.0})
    turns = iter((late, quiet, disturbed))
    assert this_machine((product(),)).measured == DEFAULTS and calibration.kept(KEY) is None


def test_a_calibration_that_fails_fails_no_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_use, "ProductProbe", lambda target: 1 / 0)
    a = gx.tensor("a", (2, 2))
    np.testing.assert_array_equal(gx.function([a], a @ a, mode="verify")(np.eye(2)), np.eye(2))
    assert this_machine((product(),)).measured == DEFAULTS and calibration.kept(KEY) is None


def test_nothing_is_measured_where_it_is_switched_off_or_cannot_be_kept(
    probed: list[Found | None], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defaults() -> bool:
        first_use._KNOWN.clear()
        return this_machine((product(),)).measured == DEFAULTS

    probed += [FOUND] * 9
    monkeypatch.setattr(calibration, "enabled", False)
    calibration.keep(KEY, FOUND)
    assert defaults()
    monkeypatch.setattr(calibration, "enabled", True)
    assert not defaults()
    for name, value in (("enabled", False), ("directory", None), ("directory", "/proc/self/graphc"), ("directory", place / (KEY + ".gxm"))):
        with monkeypatch.context() as patch:
            patch.setattr(gx.cache, name, value)
            assert defaults() and calibration.keep(KEY, FOUND) and not calibration.forget(KEY), (name, value)
    calibration.forget(KEY)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a directory that may be read only
    assert defaults() and "may not be written to" in calibration.keep(KEY, FOUND)
    assert len(probed) == 9


# -- what is kept -----------------------------------------------------------------------------------------------
def test_what_is_kept_is_read_again(place: Path) -> None:
    assert calibration.kept(KEY) is None and calibration.keep(KEY, FOUND) == ""
    assert calibration.kept(KEY) == FOUND
    (file,) = place.iterdir()
    assert file.name == KEY + ".gxm" and file.stat().st_mode & 0o077 == 0
    assert gx.cache.clear() == 0 and calibration.kept(KEY) == FOUND, "it is no object"
    assert calibration.forget(KEY) and not calibration.forget(KEY) and calibration.kept(KEY) is None


def test_what_is_damaged_is_not_read(place: Path) -> None:
    calibration.keep(KEY, FOUND)
    (file,) = place.iterdir()
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        assert calibration.kept(KEY) is None, size
    for k in range(len(whole)):
        file.write_bytes(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])
        assert calibration.kept(KEY) is None, k
    file.write_bytes(b"\xff" * 10_000)
    assert calibration.kept(KEY) is None
    file.write_bytes(whole)
    assert calibration.kept(KEY) == FOUND
    file.rename(place / ("0" * 32 + ".gxm"))
    assert calibration.kept("0" * 32) is None, "of another machine"


def test_what_another_version_wrote_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "VERSION", calibration.VERSION + 1)
        calibration.keep(KEY, FOUND)
        assert calibration.kept(KEY) == FOUND
    assert calibration.kept(KEY) is None
    with monkeypatch.context() as patch:
        patch.setitem(CHOICES, "packing", calibration.Choice((3.0, 26.5)))
        calibration.keep(KEY, Found().decided({"packing": 26.0}))
    assert calibration.kept(KEY) is None, "no choice of this version"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such modes here")
def test_what_others_may_write_is_not_read(place: Path) -> None:
    calibration.keep(KEY, FOUND)
    (file,) = place.iterdir()
    file.chmod(0o666)
    assert calibration.kept(KEY) is None
    file.unlink()
    os.mkfifo(file, 0o600)
    assert calibration.kept(KEY) is None, "and nobody waits for a pipe"


def test_the_key_is_of_features_caches_and_cores_alone() -> None:
    base = host()
    assert machine_key(replace(base, cpu="another", measured=FOUND.measured)) == KEY
    others = [replace(base, features="+sse2"), replace(base, l1=1), replace(base, l2=1), replace(base, cores=99)]
    assert len({KEY, *map(machine_key, others)}) == 5


def test_writers_and_readers_at_the_same_time(place: Path) -> None:
    """Two processes write different decisions while this one reads: always one of them, whole."""
    others = Found().decided({"crossing": 2.0, "packing": 4.0, "threads": 1e3})
    program = f"""
        import sys, graphc as gx
        from graphc import calibration
        gx.cache.directory = sys.argv[1]
        found = calibration.Found().decided({{k: float(v) for k, v in (a.split("=") for a in sys.argv[2:])}})
        for _ in range(300):
            assert calibration.keep({KEY!r}, found) == ""
        """
    calibration.keep(KEY, FOUND)
    run = [sys.executable, "-c", textwrap.dedent(program), str(place)]
    given = [[f"{name}={number}" for name, number in one.numbers] for one in (FOUND, others)]
    writers = [subprocess.Popen([*run, *numbers], cwd=ROOT) for numbers in given]
    seen = set()
    while any(w.poll() is None for w in writers):
        seen.add(calibration.kept(KEY))
    assert seen <= {FOUND, others} and calibration.kept(KEY) in seen
    assert [w.returncode for w in writers] == [0, 0] and len(list(place.iterdir())) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_process_that_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork waits for the measurement, so the child finds the lock free and what was found."""
    started = threading.Event()

    def slowly(target: Target, before: Found) -> Found:
        started.set()
        time.sleep(0.2)
        return FOUND

    monkeypatch.setattr(first_use, "_products", slowly)
    node = product()
    thread = threading.Thread(target=this_machine, args=((node,),))
    thread.start()
    started.wait()
    child = os.fork()
    if child == 0:
        os._exit(this_machine((node,)).measured != FOUND.measured)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- the command ------------------------------------------------------------------------------------------------
def test_the_command(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*arguments: str) -> str:
        assert command.main(arguments) == 0
        return capsys.readouterr().out

    before = said("--show")
    assert "never calibrated: the defaults hold" in before and "measured" not in before
    assert all(f.name in before for f in fields(Measured))
    after = said()
    assert f"kept in {place / (KEY + '.gxm')}" in after and after == said("--show")
    found = calibration.kept(KEY)
    assert found is not None and all(f"measured {number:.4g}" in after for _, number in found.numbers)
    assert this_machine().measured == found.measured
    monkeypatch.setattr(calibration, "enabled", False)
    assert "switched off: the defaults hold" in said("--show")
    assert said("--forget") == "removed\n" and said("--forget") == "nothing was kept\n" and said("--show") == before


def test_the_command_says_what_cannot_be_kept(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gx.cache, "enabled", False)
    monkeypatch.setattr(command.sys, "argv", ["calibrate"])  # type: ignore[attr-defined]
    assert command.main() == 1 and "not kept: switched off" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["--show", "--forget"])


# -- the choice never changes a bit -----------------------------------------------------------------------------
LOW = Measured(crossing=1.0, packing=1e-9, threads=0.0)
HIGH = Measured(crossing=1e9, packing=1e9, threads=1e18)
SMALL = replace(host(), l1=1 << 13, l2=1 << 15)  # caches
EXTREMES = [
    (host(), DEFAULTS),
    (host(), LOW),
    (host(), HIGH),
    (SMALL, replace(LOW, crossing=1e9)),
    (SMALL, replace(HIGH, crossing=1.0)),
]
SHAPES = ((137, 301), (301, 70), (70,), (2, 3, 12, 13), (4, 3, 3, 3), (2, 2, 33, 16))


def programs(a: gx.Node, b: gx.Node, v: gx.Node, image: gx.Node, kernel: gx.Node, heads: gx.Node) -> list[gx.Node]:
    """Products of every orientation, reductions, elementwise chains, a convolution, attention, and gradients of some."""
    weights = gx.softmax(heads @ gx.swapaxes(heads, -1, -2) * 0.25, axis=-1)
    attended = weights @ heads
    loss = gx.mean(gx.square(gx.tanh(a @ b + v))) + gx.sum(gx.square(attended))
    centred = (a - gx.mean(a, axis=1, keepdims=True)) / gx.sqrt(gx.var(a, axis=1, keepdims=True) + 1e-3)
    return [
        a @ b, b.T @ a.T, a.T @ a, a @ gx.swapaxes(a, 0, 1), b @ v, loss, *gx.grad(loss, [a, b, v, heads]), centred, gx.cumsum(a, axis=1),
        gx.sum(gx.exp(a)), gx.max(b, axis=0), gx.exp(gx.sin(a) * 2 + a), gx.nn.conv(image, kernel), attended,
    ]  # fmt: skip


def at(array: np.ndarray, offset: int) -> np.ndarray:
    """A copy that begins so many bytes behind a cache line."""
    raw = np.empty(array.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_choice_never_changes_a_bit(dtype: str, measured: Callable[..., None]) -> None:
    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    threads, wanted = gx.get_num_threads(), None
    try:
        gx.set_num_threads(2)
        for base, extreme in EXTREMES:
            measured(base, **{f.name: getattr(extreme, f.name) for f in fields(Measured)})
            inputs = [gx.tensor(f"x{k}", shape, dtype) for k, shape in enumerate(SHAPES)]
            f = gx.function(inputs, programs(*inputs))
            assert ("pool.run" in f.llvm) == (extreme.threads < 1e9)
            for count in (1, 2):
                gx.set_num_threads(count)
                for offset in (0, 16):
                    got = [r.tobytes() for r in f(*[at(x, offset) for x in arrays])]
                    wanted = wanted or got
                    assert [k for k, (x, y) in enumerate(zip(got, wanted, strict=True)) if x != y] == [], (extreme, count, offset)
    finally:
        gx.set_num_threads(threads)


@pytest.mark.skipif(host().vector_bytes != 64, reason="needs a machine that runs both kinds of code")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_the_same_on_other_processors(dtype: str) -> None:
    """As the README says: caches and the name of the processor change nothing, the width of vectors nothing but sums and one function."""
    x, y = np.random.default_rng(6).normal(size=(2, 41, 37)).astype(dtype)
    a, b = gx.tensor("a", (41, 37), dtype), gx.tensor("b", (41, 37), dtype)
    exact = [a * b + 1.5, gx.exp(a) / b, gx.tanh(a), gx.sin(a * 9), gx.log(abs(b)), gx.special.erfc(a), abs(a) ** 1.7, gx.sort(a, axis=0)]
    others = [gx.special.erf(a), a @ b.T, gx.sum(a, axis=1), gx.softmax(a, axis=1), gx.cumsum(b, axis=1), gx.var(a)]
    before, results = default_options(), {}
    plain = named("x86-64-v4")
    for name, target in {"v4": plain, "v3": named("x86-64-v3"), "caches": replace(plain, l1=1 << 14, l2=1 << 16)}.items():
        set_default_options(replace(before, target=target))
        try:
            results[name] = gx.function([a, b], [*exact, *others], threads=1)(x, y)
        finally:
            set_default_options(before)
    assert [r.tobytes() for r in results["v4"]] == [r.tobytes() for r in results["caches"]]
    both = list(zip(results["v4"], results["v3"], strict=True))
    assert [k for k, (one, other) in enumerate(both[: len(exact)]) if one.tobytes() != other.tobytes()] == []
    eps = float(np.finfo(dtype).eps)
    for one, other in both[len(exact) :]:
        np.testing.assert_allclose(one, other, rtol=100 * eps, atol=100 * eps)


def test_the_measured_facts_reach_the_key_of_the_object(measured: Callable[..., None]) -> None:
    """By the text alone: where they decide nothing, one object serves all."""
    x = gx.tensor("x", ("n",))
    texts = []
    for facts in (DEFAULTS, replace(DEFAULTS, threads=1e5), replace(DEFAULTS, packing=4.0)):
        measured(**{f.name: getattr(facts, f.name) for f in fields(Measured)})
        texts.append(gx.function([x], gx.exp(x), threads=2).llvm)
    keys = [object_cache.key_of(text, host()) for text in texts]
    assert keys[0] == keys[2] != keys[1]
