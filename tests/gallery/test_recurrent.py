"""Recurrent nets in the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import numpy as np

import graphc as gx
from tests.gallery.kit import figures, program


def test_rnn() -> None:
    """003 R3 to R6: gradients by hand, and the third wiring reads digits."""
    found = figures("rnn")
    assert found["by hand - grad"] < 1e-13 and found["output at the end"] < np.log(10) / 1.2


def test_teacher_forcing() -> None:
    """003 R4, R8, R10: a batched product equals the loop with chance 0; errors feed on errors."""
    found = figures("teacher_forcing")
    assert found["teacher forcing: fed the truth"] < found["teacher forcing: running free"]


def test_bit_detectors() -> None:
    """000-001 B46, 003 R13."""
    found = figures("bit_detectors")
    assert found["loss at last"] < found["loss at first"] / 5 and found["right on 500 bits"] > 0.9


def test_gated() -> None:
    """000-001 A52, B44, B45; 003 R14: cells copied exactly, one tanh more, and what is remembered."""
    found = figures("gated")
    assert found["the two LSTMs differ by"] > 0.01 and found["LSTM"] > 0.7


def test_variable_length() -> None:
    """000-001 B41, 003 R11: costs and gradients of a padded batch are those of its lines; buckets save steps."""
    found = figures("variable_length")
    assert found["steps by buckets"] * 1.5 < found["steps of mixed batches"] and found["right"] > 0.5


def test_echo_state() -> None:
    """003 I11, R1, R2: beginnings forgotten or not, by the spectral radius."""
    found = figures("echo_state")
    assert found["distance at radius 0.5"] < 1e-12 < 0.1 < found["distance at radius 3.0"]


def test_the_delayed_equation_is_that_of_mackey_and_glass() -> None:
    """Against a loop in NumPy."""
    x = np.full(171 + 10 * 210, 1.2)
    for k in range(171, len(x)):
        x[k] = x[k - 1] + (0.2 * x[k - 171] / (1 + x[k - 171] ** 10) - 0.1 * x[k - 1]) / 10
    np.testing.assert_allclose(program("echo_state").mackey_glass(10), np.tanh(x[171 + 2000 :: 10] - 1), rtol=1e-10)


def test_sequence_to_sequence() -> None:
    """000-001 A65: what it is to say, and that it begins to learn it."""
    found = figures("sequence_to_sequence")
    assert found["last loss"] < 0.9 * found["first loss"]
    assert program("sequence_to_sequence").backwards(np.array([[3, 1, 20, 0, 0]])).tolist() == [[20, 1, 3, 27, 0, 0]]


def test_attention() -> None:
    """Rows without numbers are a set; hidden rows do not count; weights sum to 1."""
    found = figures("attention")
    assert found["a set of rows: moved by a shuffle"] < 1e-10 and found["a set of rows"] > 0.4


def test_the_cells_are_those_of_gx_nn() -> None:
    """Three steps of each LSTM; there the gates come in another order."""
    module = program("gated")
    rng, n = np.random.default_rng(0), module.HIDDEN
    p, x = module.initial(5, 4), rng.normal(size=(3, 2, 5))
    order = np.concatenate([np.arange(n) + k * n for k in (1, 0, 3, 2)])
    q = {"weight": p["U"][:, order], "recurrent": p["W"][:, order], "bias": p["b"][order]}
    for cell, squash in ((module.lstm, "cell"), (module.lstm_of_leskovec, "product")):
        state = (np.zeros((2, n)),) * 2
        for row in x:
            state = tuple(part.eval() for part in cell(p, state, row))
        _, (h, c) = gx.nn.lstm(q, x, squash=squash)
        np.testing.assert_allclose([h.eval(), c.eval()], state, rtol=1e-12)


def test_attention_is_that_of_gx_nn() -> None:
    module = program("attention")
    q, k, v = np.random.default_rng(0).normal(size=(3, 2, module.HEADS, module.ROWS, module.WIDTH // module.HEADS))
    seen = np.arange(module.ROWS) < np.array([[3], [8]])
    mixed, weights = module.attend(gx.asarray(q), gx.asarray(k), gx.asarray(v), gx.asarray(seen))
    want = gx.nn.attention(q, k, v, mask=seen[:, None, None]).eval()
    np.testing.assert_allclose(mixed.eval(), want.transpose(0, 2, 1, 3).reshape(2, module.ROWS, module.WIDTH), rtol=1e-12)
    assert not weights.eval()[0, ..., 3:].any()
