"""Quotients of powers of one base become one power: their parts overflow and vanish where it does not.

    x**3 / x**1.5      ->  x**1.5
    sqrt(x) / x        ->  1 / sqrt(x)
    x**-1.5 * x        ->  x**-0.5

The value at 0 is the limit. Products and squares alone (x / x, x * x / x) are what the user meant them to be.
"""

from __future__ import annotations

from fractions import Fraction

from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import where
from graphc.ops.registry import OPS
from graphc.passes.rewriting.rule import AnyRule, Local
from graphc.passes.rules.forms import fraction, multiplied, product

POWER, ROOT = OPS["power"], OPS["sqrt"]


def quotient_of_powers(node: Node) -> Node | None:
    """x**a / x**b -> x**(a - b), beside numbers and one other factor."""
    if not any(i.op in (POWER, ROOT) or any(j.op in (POWER, ROOT) for j in i.inputs) for i in node.inputs):
        return None
    found = product(node)
    if 0 in found.powers.values() or len(found.powers) < 2:
        return None
    bases: dict[Node, list[Fraction]] = {}
    for factor, p in found.powers.items():
        base, c = _power(factor)
        bases.setdefault(base, []).append(c * p)
    shared = {base for base, exponents in bases.items() if len(exponents) > 1}
    others = {f: p for f, p in found.powers.items() if _power(f)[0] not in shared}
    if len(shared) != 1 or sum(fraction(f) is None for f in others) > 1:
        return None
    (base,) = shared
    exponents = bases[base]
    total = sum(exponents, Fraction(0))
    if not total or max(exponents) < 0 or min(exponents) > 0:
        return None
    made = multiplied({**others, base: total})
    assert made is not None
    if total.denominator == 1 and any(c.denominator != 1 for c in exponents):
        made = where(base < 0, sqrt(base), made)  # nan
    return -made if found.negative else made


def _power(factor: Node) -> tuple[Node, Fraction]:
    """(x, c) of x**c."""
    if factor.op is ROOT:
        return factor.inputs[0], Fraction(1, 2)
    c = fraction(factor.inputs[1]) if factor.op is POWER else None
    return (factor, Fraction(1)) if c is None else (factor.inputs[0], c)


POWERS: tuple[AnyRule, ...] = (
    Local("quotient of powers", "divide", quotient_of_powers, floats="stable", inputs=("power", "sqrt", "multiply")),
    Local("product of powers", "multiply", quotient_of_powers, floats="stable", inputs=("power", "sqrt")),
)
