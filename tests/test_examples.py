"""Each example runs and does what it says."""

from __future__ import annotations

import importlib
import math
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.codegen.strategy.table import STRATEGIES
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
Layers = list[dict[str, np.ndarray]]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import an example by name; what it added to the registry goes when the test ends, for other tests walk the registry."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    ops, public, strategies = set(OPS), set(PUBLIC), set(STRATEGIES)
    yield importlib.import_module
    for name in set(OPS) - ops:
        del OPS[name]
    for name in set(PUBLIC) - public:
        del PUBLIC[name]
    for name in set(STRATEGIES) - strategies:
        del STRATEGIES[name]
    for name in NAMES:
        sys.modules.pop(name, None)


# -- convolution ------------------------------------------------------------------------------------------------------------
def test_cnn_digits_reaches_its_accuracy(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    """At least 98.5 % of the held-out fifth, which no epoch has seen."""
    module = example("cnn_digits")
    images, labels, test_images, test_labels = module.load_digits()
    assert images.shape == (1437, 1, 8, 8) and len(test_images) == 360 and set(labels) == set(test_labels) == set(range(10))
    assert module.main() >= 0.985
    losses = [float(x) for x in re.findall(r"loss (\d+\.\d+)", capsys.readouterr().out)]
    assert len(losses) == module.EPOCHS and losses[-1] < 0.02 < losses[0]


def test_edge_detection_finds_edges_and_writes_pictures(example: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """The numbers of the textbook's figure, the values of SciPy, and files that are PNG: every checksum and every pixel."""
    module = example("edge_detection")
    photograph = module.load_photograph()
    assert photograph.shape == (280, 320) and 0 <= photograph.min() < photograph.max() <= 1
    differences, strength, squares = module.build()(photograph)
    assert differences.shape == (280, 319) and 3 * differences.size == 267_960
    np.testing.assert_array_equal(differences, photograph[:, 1:] - photograph[:, :-1])
    wide = np.pad(photograph, 1, mode="edge")
    sides = [scipy.signal.correlate2d(wide, kernel, "valid") for kernel in (module.SOBEL, module.SOBEL.T)]
    np.testing.assert_allclose(strength, np.hypot(*sides), atol=2e-6)
    np.testing.assert_array_equal(squares, strength.reshape(35, 8, 40, 8).max((1, 3)))
    pictures = module.main(str(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"{name}.png" for name in pictures)
    for name, pixels in pictures.items():
        np.testing.assert_array_equal(read_png((tmp_path / f"{name}.png").read_bytes()), np.clip(np.rint(pixels * 255), 0, 255))


def read_png(data: bytes) -> np.ndarray:
    """The pixels of a grey PNG file without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        content, (check,) = data[at + 8 : at + 8 + length], struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(name + content)
        chunks[name], at = content, at + 12 + length
    width, height, bits, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (bits, colour, list(chunks)) == (8, 0, [b"IHDR", b"IDAT", b"IEND"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), "uint8").reshape(height, width + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:]


# -- digits ---------------------------------------------------------------------------------------------------------------
def test_digits_as_a_script_reaches_its_accuracy() -> None:
    """The README's first command: loss and accuracy for each of 30 epochs, at least 97 % on the held-out fifth."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "examples/digits.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    epochs = re.findall(r"epoch +(\d+) +loss (\d+\.\d+) +test accuracy (\d+\.\d+)%", done.stdout)
    assert [int(epoch) for epoch, _, _ in epochs] == list(range(1, 31))
    assert float(epochs[-1][1]) < 0.05 < float(epochs[0][1])
    assert float(epochs[-1][2]) >= 97


def test_digits_are_the_real_ones_and_held_out(example: Callable[[str], ModuleType]) -> None:
    images, labels, test_images, test_labels = example("digits").load_digits()
    assert (len(images), len(test_images)) == (1437, 360)
    assert images.dtype == np.float32 and images.min() == 0 and images.max() == 1
    assert np.bincount(np.concatenate([labels, test_labels])).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    rows = np.concatenate([images, test_images])
    assert len(np.unique(rows, axis=0)) == len(rows), "no test image is a training image"


def twin_step(layers: Layers, velocity: Layers, x: np.ndarray, y: np.ndarray, rate: float, momentum: float) -> float:
    """The same training step by hand in NumPy, float32 throughout; layers and velocity change in place."""
    values = [x]
    for layer in layers[:-1]:
        values.append(np.maximum(values[-1] @ layer["W"] + layer["b"], 0))
    logits = values[-1] @ layers[-1]["W"] + layers[-1]["b"]
    logits = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    loss = -log_probabilities[rows, y].mean()
    g = np.exp(log_probabilities)
    g[rows, y] -= 1
    g /= np.float32(len(y))
    for layer, v, value in zip(layers[::-1], velocity[::-1], values[::-1], strict=True):
        slope = {"W": value.T @ g, "b": g.sum(axis=0)}
        g = (g @ layer["W"].T) * (value > 0)
        for k in slope:
            v[k] = np.float32(momentum) * v[k] - np.float32(rate) * slope[k]
            layer[k] = layer[k] + v[k]
    return float(loss)


def test_digits_first_ten_steps_equal_a_numpy_twin(example: Callable[[str], ModuleType]) -> None:
    """Losses and all parameters to 1e-5 relative in float32, and so after the odd last minibatch through the same function."""
    digits = example("digits")
    images, labels, _, _ = digits.load_digits()
    initial = digits.initial_parameters()
    step, _, params = digits.build(initial)
    layers = gx.tree.map(np.copy, initial)
    velocity = gx.tree.map(np.zeros_like, initial)
    order = np.random.default_rng(1).permutation(len(images))
    parts = np.split(order, range(digits.BATCH, len(order), digits.BATCH))
    assert len(parts[-1]) == 29
    for part in [*parts[:10], parts[-1]]:
        loss = float(step(images[part], labels[part]))
        wanted = twin_step(layers, velocity, images[part], labels[part], digits.RATE, digits.MOMENTUM)
        assert loss == pytest.approx(wanted, rel=1e-5)
        for p, value in zip(gx.tree.leaves(params), gx.tree.leaves(layers), strict=True):
            assert value.dtype == np.float32
            assert np.abs(p.get_value() - value).max() <= 1e-5 * np.abs(value).max()


# -- Newton-CG ------------------------------------------------------------------------------------------------------------
def test_newton_cg_beats_gradient_descent(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    """Lower loss than the best rate of gradient descent for the same arithmetic, which is what products are counted in."""
    newton, plain = example("newton_cg").main(budget=300)
    assert newton < plain
    out = capsys.readouterr().out
    assert "17226 weights" in out and "the Hessian would have 1187 MB" in out
    rows = re.findall(r"^ +\d+ +\d+\.\d+ +\d+ +\d+\.\d+ +\d+(?: +\d+\.\d+){3}$", out, re.MULTILINE)
    assert len(rows) == 5


def test_newton_cg_has_no_hessian_however_wide_the_network(example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """`build` asserts memory linear in weights and activations; four times the width, whose Hessian would have 110 GB."""
    digits, newton_cg = example("digits"), example("newton_cg")
    for module in (digits, newton_cg):
        monkeypatch.setattr(module, "SIZES", (64, 512, 256, 10))
    images, labels, _, _ = digits.load_digits()
    problem = newton_cg.build(images[:50], labels[:50])
    n = len(problem.start)
    assert n == 167_178 and problem.memory["arena"] < n * n * 4 / 1000
    u, v = np.random.default_rng(0).standard_normal((2, n)).astype("float32")
    one, other = u @ problem.product(problem.start, v), v @ problem.product(problem.start, u)
    assert one == pytest.approx(other, rel=1e-3) and abs(one) > 0.1, "H is symmetric"
    with pytest.raises(AssertionError, match="intermediate"):
        newton_cg.check_memory({"largest": n * n * 4, "arena": n * n * 4}, weights=n, activations=0, itemsize=4)


def test_newton_cg_goes_down_where_the_hessian_curves_down(example: Callable[[str], ModuleType]) -> None:
    """On an indefinite quadratic the step ends on the boundary, lower than steepest descent goes inside the ball."""
    newton_cg = example("newton_cg")
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    H = basis @ np.diag([4.0, 1.0, -0.5, -2.0] * 3) @ basis.T
    g = rng.standard_normal(12)
    model = lambda s: g @ s + 0.5 * s @ H @ s
    path = newton_cg.conjugate_gradients(lambda v: H @ v, g, radius=10.0)
    assert path[-1].a == math.inf
    cauchy = min(model(-t * g) for t in np.linspace(0, 10.0 / np.linalg.norm(g), 1000))
    previous = 0.0
    for radius in (0.1, 1.0, 10.0):  # shorter steps come from the same path
        s, predicted, outside = newton_cg.walk(path, g, radius)
        assert outside and np.linalg.norm(s) == pytest.approx(radius)
        assert predicted == pytest.approx(model(s)) and predicted < previous
        previous = predicted
    assert previous <= cauchy


def test_newton_cg_solves_where_it_curves_up(example: Callable[[str], ModuleType]) -> None:
    newton_cg = example("newton_cg")
    H, g = np.diag([1.0, 2.0, 5.0]), np.array([1e-4, 2e-4, -1e-4])
    s, predicted, outside = newton_cg.walk(newton_cg.conjugate_gradients(lambda v: H @ v, g, radius=1.0), g, 1.0)
    assert not outside
    assert s == pytest.approx(-g / np.diag(H), rel=1e-9) and predicted == pytest.approx(0.5 * g @ s)


# -- the small ones -------------------------------------------------------------------------------------------------------
def test_xor_is_learnt(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    xor = example("xor")
    probabilities = xor.main()
    assert np.abs(probabilities - xor.TARGETS).max() < 0.05
    out = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", out)]
    assert len(losses) == 4 and losses == sorted(losses, reverse=True) and losses[-1] < 0.02
    assert "0 xor 0 = 0" in out and "1 xor 0 = 1" in out
    step, _ = xor.build()
    assert "softplus(" in step.graph and " log(" not in step.graph, "as the comment in the example says"


def test_look_inside_shows_every_stage(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    f: Any = example("look_inside").main()
    out = capsys.readouterr().out
    stages = re.split(r"^== +(\d+) .*$", out, flags=re.MULTILINE)[1:]
    text = {int(number): body for number, body in zip(stages[::2], stages[1::2], strict=True)}
    assert list(text) == list(range(1, 11))
    assert "= log(" in text[1] and "look_inside.py:" in text[1]
    assert "log1p x1" in text[2] and "softplus x1" in text[2]
    assert "= sigmoid(" in text[3] and "= log(" in text[3]
    assert "= softplus(" in text[4] and "= log(" not in text[4]
    assert "softplus(" in text[5] and text[5].count("sum[i0:1000]") == 3
    assert "for i0 in 1000 (vector" in text[6]
    assert "phi" in text[7] and "llvm.f" in text[7]
    assert re.search(r"\.LBB\w+:", text[8]) and re.search(r"\n\s+j\w+\s+\.LBB", text[8])
    assert "'kernels': 1" in text[9] and "'arena': 0" in text[9]
    x, y = np.resize(np.float32([0.5, -200.0, 2.0]), 1000), np.resize(np.float32([1, 1, -1]), 1000)
    loss, (dw, db) = f(x, y, 1.0, 0.25)
    z = -y.astype(float) * (x + 0.25)
    slope = -y / (1 + np.exp(-z))
    assert loss == pytest.approx(np.logaddexp(0, z).sum(), rel=1e-6)
    assert [dw, db] == pytest.approx([(slope * x).sum(), slope.sum()], rel=1e-5)


def test_a_users_op_is_fused_and_differentiated_twice(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    """Value and both derivatives against 40 digits; one kernel; at most 30 lines."""
    x, *results = example("add_your_own_op").main()
    with mpmath.workdps(40):
        formula = lambda t: mpmath.log(-mpmath.expm1(-t))
        wanted = [
            [formula(mpmath.mpf(t)) for t in x.tolist()],
            [1 / mpmath.expm1(mpmath.mpf(t)) for t in x.tolist()],
            [-mpmath.exp(mpmath.mpf(t)) / mpmath.expm1(mpmath.mpf(t)) ** 2 for t in x.tolist()],
        ]
    for got, exact in zip(results, wanted, strict=True):
        assert got == pytest.approx(np.array(exact, dtype="float64"), rel=2e-13)
    out = capsys.readouterr().out
    assert out.count("loops k") == 1 and "sum[i0:7] (b1[i0] * select(" in out
    source = (EXAMPLES / "add_your_own_op.py").read_text()
    row = re.split(r"^# --.*\n", source, flags=re.MULTILINE)[1]
    assert "elementwise(" in row and len(row.strip().splitlines()) <= 30


def test_a_users_kernel_learns_and_prints_its_loops(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    found = example("add_your_own_kernel").main()
    np.testing.assert_allclose(found["taps"], found["wanted"], atol=1e-12)
    assert found["losses"][-1] < 1e-20 < found["losses"][0]
    out = capsys.readouterr().out
    assert re.search(r"for i1 in n \(vector \d+ x 1\):\n +t0: f64 = neutral\(sum\)\n +for r0 in 5 \(serial\)", out)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (5, 5), (9, 3), (40, 16), (40, 17)])
def test_a_users_kernel_is_right(example: Callable[[str], ModuleType], dtype: str, n: int, m: int) -> None:
    """As a kernel, with what follows fused, as loops where its strategy declines, and mapped; against NumPy."""
    correlate = example("add_your_own_kernel").correlate
    x, w = gx.tensor("x", (2, n), dtype), gx.tensor("w", (2, m), dtype)
    out = correlate(x, w)
    over = gx.vmap(lambda row, taps: correlate(row, taps), in_axes=(0, None))(x, w[0])
    f = gx.function([x, w], [out, gx.exp(out), over, *gx.grad(gx.sum(gx.sin(out)), [x, w])], mode="verify")
    draw = np.random.default_rng(n)
    a, b = draw.normal(size=(2, n)).astype(dtype), draw.normal(size=(2, m)).astype(dtype) / m
    wanted = np.array([np.correlate(row, taps, "valid") for row, taps in zip(a, b)])
    slope = np.cos(wanted)
    cotangents = [
        np.array([np.convolve(g, taps) for g, taps in zip(slope, b)]),
        np.array([np.correlate(row, g, "valid") for row, g in zip(a, slope)]),
    ]
    each = np.array([np.correlate(row, b[0], "valid") for row in a])
    tolerance = {"rtol": 2e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    for got, exact in zip(f(a, b), [wanted, np.exp(wanted), each, *cotangents], strict=True):
        np.testing.assert_allclose(got, exact, **tolerance)


# -- loops ------------------------------------------------------------------------------------------------------------------
def test_the_pendulum_stands(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    """Upright and at rest after 200 steps, also by SciPy's integrator; with a motor that could not lift it; by one kernel each way."""
    pendulum = example("pendulum")
    found = pendulum.main()
    angle, speed = found["end"]
    assert abs(math.cos(angle) + 1) < 1e-3 and abs(speed) < 0.1
    assert found["exact"] == pytest.approx((angle, speed), abs=1e-3)
    assert np.abs(found["torques"]).max() < pendulum.GRAVITY / 3
    assert found["costs"][-1] < 2 < found["costs"][0]
    assert "180: upright" in capsys.readouterr().out
    step, _ = pendulum.build()
    assert step.graph.count("= scan(") == 2, "there and back"


def test_the_gradient_of_the_pendulum_is_that_of_its_unrolled_twin(example: Callable[[str], ModuleType]) -> None:
    pendulum = example("pendulum")
    torques = gx.vector("torques", 5)
    (angle, speed), _ = gx.scan(pendulum.runge_kutta, (0.1, 0.2), torques)
    state = (gx.asarray(0.1), gx.asarray(0.2))
    for k in range(5):
        state, _ = pendulum.runge_kutta(state, torques[k])
    at = np.random.default_rng(0).normal(size=5)
    results = [gx.grad(a**2 * b, torques) for a, b in ((angle, speed), state)]
    a, b = gx.function([torques], results)(at)
    np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_character_model_falls_below_three_bits(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    bits, written = example("char_rnn").main(steps=380)
    assert bits[0] > 6 and np.mean(bits[-40:]) < 3
    assert len(written) == 500 and "bits a character" in capsys.readouterr().out


def test_the_character_model_equals_a_numpy_twin(example: Callable[[str], ModuleType]) -> None:
    """Two windows: the second begins with the state that the first has left."""
    rnn = example("char_rnn")
    text, alphabet = rnn.corpus()
    initial, data = rnn.initial_parameters(len(alphabet)), rnn.windows(text)
    assert data.shape[1:] == (rnn.WINDOW + 1, rnn.BATCH) and (data[0][-1] == data[1][0]).all()
    step, _ = rnn.build(initial)
    h = c = np.zeros((rnn.BATCH, rnn.HIDDEN), "float32")
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    total = 0.0
    for t in range(rnn.WINDOW):
        gates = initial["read"][data[0][t]] + h @ initial["recur"] + initial["bias"]
        i, f, g, o = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        scores = h @ initial["write"] + initial["prior"]
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        total -= scores[np.arange(rnn.BATCH), data[0][t + 1]].mean()
    assert float(step(data[0])) == pytest.approx(total / rnn.WINDOW / np.log(2), rel=1e-5)
    assert float(step(data[1])) < 6.6


def test_every_example_is_tested_here() -> None:
    """Or in test_time_series_examples.py."""
    assert NAMES == [
        "add_your_own_kernel", "add_your_own_op", "char_rnn", "cnn_digits", "digits", "edge_detection", "gaussian_process", "kalman",
        "look_inside", "newton_cg", "pendulum", "xor",
    ]  # fmt: skip
