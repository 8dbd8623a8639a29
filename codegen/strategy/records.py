"""What is sorted: words of which a part is the key, and how the functions over them are written.

k32     keys of 32 bits
k64     keys of 64 bits
packed  records of 64 bits: a key of 32 bits above its position
pairs   keys of 64 bits, and an array of their positions beside
"""

from __future__ import annotations

from graphc.codegen.llvm.llvm_text import Function
from graphc.records import dataclass


@dataclass(frozen=True)
class Records:
    """What is sorted: words of `bits`, of which the bytes from `low` on are the key; positions in an array of their own or not."""

    name: str
    bits: int
    low: int
    apart: bool

    @property
    def word(self) -> str:
        """The LLVM type of a word."""
        return f"i{self.bits}"

    @property
    def digits(self) -> int:
        """The bytes of the key."""
        return self.bits // 8 - self.low

    @property
    def zeros(self) -> tuple[int, int]:
        """The keys of -0.0 and 0.0, the smaller first, as words without a position."""
        high = 1 << (self.bits - 1 - 8 * self.low)
        return (high - 1) << 8 * self.low, high << 8 * self.low


RECORDS = {r.name: r for r in (Records("k32", 32, 0, False), Records("k64", 64, 0, False), Records("packed", 64, 4, False),
                               Records("pairs", 64, 0, True))}  # fmt: skip
PARAMETERS = ("ptr noalias %a0", "ptr noalias %b0", "ptr noalias %p0", "ptr noalias %q0", "i64 %n")
"""Those of f(a, b, p, q, n): n records in a, their positions in p; b and q are room for as many."""


def lines_of(r: Records, text: str) -> list[str]:
    """The lines of a text; labels are those that end in a colon. Those after an `@` are of positions in an array of their own."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    lines = [line.removeprefix("@ ") for line in lines if r.apart or not line.startswith("@")]
    return [line if line.endswith(":") else f"  {line}" for line in lines]


def function(r: Records, name: str, parameters: tuple[str, ...], text: str, attributes: tuple[str, ...], result: str) -> Function:
    """The LLVM function of a text over records."""
    return Function(name, parameters, lines_of(r, text), attributes, result)


def signed(word: int, bits: int) -> int:
    """As LLVM writes it."""
    return word - (1 << bits) if word >> (bits - 1) else word
