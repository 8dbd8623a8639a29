"""Edges of a photograph: a kernel of two numbers, two of nine, and pooling, as one compiled function for pictures of any size.

    python examples/edge_detection.py                 # numbers
    python examples/edge_detection.py --png FOLDER    # and the pictures

The first kernel is (-1, 1): the difference of each pixel from its neighbour. It finds every vertical edge with two multiplications and one
addition a pixel, where a matrix that does the same to a picture of 280 x 320 would have eight thousand million entries.
"""

from __future__ import annotations

import argparse
import struct
import zlib
from pathlib import Path

import numpy as np

import graphc as gx

DIFFERENCE = np.array([[-1.0, 1.0]], "float32")
SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")  # a difference across, averaged along the edge


def load_photograph() -> np.ndarray:
    """280 x 320 brightnesses in [0, 1]."""
    with np.load(Path(__file__).parent / "data" / "photograph.npz") as data:
        return data["pixels"].astype("float32") / 255


def build():
    """photograph (h, w) -> its differences (h, w - 1), the strength of its edges (h, w), and the largest strengths of squares of 8 x 8."""
    x = gx.tensor("photograph", ("h", "w"), "float32")
    image = x[None, None]
    differences = gx.nn.conv2d(image, DIFFERENCE[None, None])
    both = gx.nn.conv2d(image, np.stack([SOBEL, SOBEL.T])[:, None], padding=1, padding_mode="edge")
    strength = gx.sqrt(gx.sum(both**2, axis=1))
    return gx.function([x], [differences[0, 0], strength[0], gx.nn.max_pool2d(strength, 8)[0]])


def png(pixels: np.ndarray) -> bytes:
    """A grey picture of numbers from 0 to 1 as a PNG file."""
    rows = np.clip(np.rint(pixels * 255), 0, 255).astype("uint8")
    height, width = rows.shape
    raw = np.concatenate([np.zeros((height, 1), "uint8"), rows], axis=1).tobytes()  # filter 0 before each row

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def main(folder: str | None = None) -> dict[str, np.ndarray]:
    """Find the edges, say what was found, write pictures where a folder is given, and return them."""
    photograph = load_photograph()
    differences, strength, squares = build()(photograph)
    h, w = differences.shape
    print(f"{photograph.shape[0]} x {photograph.shape[1]} pixels -> {h} x {w} differences, {3 * h * w:,} operations")
    print(f"strongest edge {strength.max():.2f}; {np.mean(strength > 1):.1%} of the pixels lie on an edge stronger than 1")
    print(f"pooled to {squares.shape[0]} x {squares.shape[1]} squares of 8 x 8")
    pictures = {
        "photograph": photograph,
        "differences": 0.5 + differences / 2,
        "edges": strength / strength.max(),
        "pooled": np.kron(squares / squares.max(), np.ones((8, 8), "float32")),
    }
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, pixels in pictures.items():
            (Path(folder) / f"{name}.png").write_bytes(png(pixels))
            print(f"wrote {Path(folder) / name}.png")
    return pictures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Edges of a photograph.")
    parser.add_argument("--png", metavar="FOLDER", help="write the pictures to this folder")
    main(parser.parse_args().png)
