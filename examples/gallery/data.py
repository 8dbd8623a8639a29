"""The real data that the programs of the gallery read: pictures, tables and a text, all shipped or on every machine that runs Python.

Where they come from and under which licence: examples/data/README.md.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "data"


def digits(dtype: str = "float32", seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Handwritten digits: images (n, 64) in [0, 1] and labels (n,), shuffled; four fifths to train on, one to test."""
    with np.load(FOLDER / "digits.npz") as data:
        images, labels = data["images"].reshape(-1, 64).astype(dtype) / 16, data["labels"].astype("int64")
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], labels[order]
    cut = len(images) * 4 // 5
    return images[:cut], labels[:cut], images[cut:], labels[cut:]


def photograph(dtype: str = "float32") -> np.ndarray:
    """A portrait: 280 x 320 brightnesses in [0, 1]."""
    with np.load(FOLDER / "photograph.npz") as data:
        return data["pixels"].astype(dtype) / 255


def table(name: str) -> dict[str, np.ndarray]:
    """The columns of `geyser`, `iris`, `nile`, `orings`, `stackloss` or `stopping`, by the names in the file's first line."""
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return {key: column if key == "species" else column.astype("float64") for key, column in columns.items()}


def iris() -> tuple[np.ndarray, np.ndarray]:
    """Fisher's flowers: four lengths in cm, (150, 4), and the species as 0, 1, 2, (150,)."""
    columns = table("iris")
    species = columns.pop("species")
    return np.stack(list(columns.values()), 1), np.unique(species, return_inverse=True)[1]


def text() -> str:
    """Real prose and code in English: the source of Python's own `random` module."""
    return Path(random.__file__).read_text(encoding="utf-8")


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and standard deviation 1."""
    return (x - x.mean(0)) / x.std(0)
