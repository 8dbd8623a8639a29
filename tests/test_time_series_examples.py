"""The examples on the Nile: a Gaussian process and a Kalman filter do what they say, on the real data."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.stats

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import an example by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in ("gaussian_process", "kalman"):
        sys.modules.pop(name, None)


def test_gaussian_process(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    module = example("gaussian_process")
    years, flow = module.load_nile()
    assert (len(flow), flow.sum(), flow[0], flow[-1]) == (100, 91935, 1120, 740)
    parameters, values = module.main([])
    assert "-log likelihood" in capsys.readouterr().out
    assert max(np.diff(values)) <= 1e-12 * values[-1] and len(values) < 30  # the last steps may differ by a rounding
    y, process = flow - flow.mean(), module.build()
    value, slope, hessian = process.newton(years, y, parameters)
    s, length, r = np.exp(parameters)
    k = s**2 * np.exp(-0.5 * ((years[:, None] - years) / length) ** 2)
    whole = k + r**2 * np.eye(100)
    np.testing.assert_allclose(value, -scipy.stats.multivariate_normal(cov=whole).logpdf(y), rtol=1e-12)
    np.testing.assert_allclose(slope, 0, atol=1e-7)
    assert np.linalg.eigvalsh(hessian).min() > 0
    away = parameters + [0.1, -0.2, 0.05]  # gradient and Hessian where they are not 0
    _, slope, hessian = process.newton(years, y, away)
    steps = 1e-4 * np.eye(3)
    ahead, behind = ([process.newton(years, y, away + sign * h) for h in steps] for sign in (1, -1))
    np.testing.assert_allclose(slope, [(a[0] - b[0]) / 2e-4 for a, b in zip(ahead, behind)], rtol=1e-5)
    np.testing.assert_allclose(hessian, [(a[1] - b[1]) / 2e-4 for a, b in zip(ahead, behind)], rtol=1e-5, atol=1e-5)
    mean, deviation = process.predict(years, y, years, parameters)
    np.testing.assert_allclose(mean, k @ np.linalg.solve(whole, y), rtol=1e-8)
    np.testing.assert_allclose(deviation**2, np.diag(k - k @ np.linalg.solve(whole, k)), rtol=1e-7)


def test_a_plot_without_matplotlib_says_what_to_install(example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("gaussian_process")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match=r'pip install "graphc\[examples\]"'):
        module.main(["--plot", "nile.png"])


def test_kalman(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    module = example("kalman")
    (q, r), likelihood = module.main()
    assert "by hand" in capsys.readouterr().out
    assert (q, r) == (pytest.approx(1469.1, rel=2e-3), pytest.approx(15099, rel=2e-3))  # as published
    f, one = module.build(), np.eye(1)
    y = module.load_nile()[1][:, None]
    for q, r in ((1e2, 1e4), (5e3, 1e3)):
        twin = module.by_hand(y, one, one, q * one, r * one, np.zeros(1), module.DIFFUSE * one)
        assert f(y, np.log([q, r]))[0] == pytest.approx(twin, rel=1e-12)
        assert twin < likelihood


def test_kalman_of_several_states_and_observations(example: Callable[[str], ModuleType]) -> None:
    module, random = example("kalman"), np.random.default_rng(0)
    a, h = np.array([[1.0, 1, 0], [0, 0.9, 0.1], [0, 0, 0.8]]), random.normal(size=(2, 3))
    q, r = np.diag([0.1, 0.2, 0.3]), np.array([[1.0, 0.3], [0.3, 2.0]])
    y = random.normal(size=(7, 2))
    found = module.kalman(*map(module.gx.asarray, (y, a, h, q, r, np.zeros(3), 4 * np.eye(3))))
    likelihood, states = module.gx.function([], list(found))()
    assert likelihood == pytest.approx(module.by_hand(y, a, h, q, r, np.zeros(3), 4 * np.eye(3)), rel=1e-12)
    assert states.shape == (7, 3)
