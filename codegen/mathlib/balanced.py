"""Polynomials as trees: for a recurrence, whose turn waits for all of a function's latency.

    c0 + x (c1 + x (c2 + x (c3 + x c4)))     ->     c0 + x ((c1 + x c2) + x^2 (c3 + x c4))          Estrin's scheme but for c0

The last step, which rounds the result, stays as it is. Over arrays Horner's scheme is as fast, for other elements fill the time, and
needs a multiplication less for each level. A turn of tanh: 27.4 ns, with trees 23.6.
"""

from __future__ import annotations

from collections import Counter

from graphc.scalars import Scalar, fma, order, scalar

LEAST = 5  # coefficients, from which on a tree is lower


def balanced(root: Scalar) -> Scalar:
    """The same value but for roundings in polynomials: chains of fma by one x, of constants that nothing else reads."""
    listed = order((root,))
    uses = Counter(a for s in listed for a in s.args)
    inside: set[Scalar] = set()
    chains: dict[Scalar, list[Scalar]] = {}
    for s in reversed(listed):
        if s not in inside and len(chain := _chain(s, uses)) >= LEAST:
            chains[s] = [link.args[2] for link in chain] + [chain[-1].args[0]]
            inside.update(chain[1:])
    new: dict[Scalar, Scalar] = {}
    for s in listed:
        if s in inside:
            continue
        if s in chains:
            terms, x = [new.get(c, c) for c in chains[s]], new[s.args[1]]
            new[s] = fma(_tree(terms[1:], x), x, terms[0])
        else:
            args = tuple([new[a] for a in s.args])
            new[s] = s if args == s.args else scalar(s.op, args, s.dtype, s.param)
    return new[root]


def _chain(s: Scalar, uses: Counter[Scalar]) -> list[Scalar]:
    """s = fma(t, x, c) with a constant c, t = fma(u, x, d), ..: [s, t, ..]"""
    found: list[Scalar] = []
    while s.op == "fma" and s.args[2].op == "const" and (not found or (s.args[1] is found[0].args[1] and uses[s] == 1)):
        found.append(s)
        s = s.args[0]
    return found


def _tree(terms: list[Scalar], x: Scalar) -> Scalar:
    """The sum of terms[k] x**k, in pairs of pairs."""
    while len(terms) > 1:
        pairs = [fma(terms[k + 1], x, terms[k]) for k in range(0, len(terms) - 1, 2)]
        terms = pairs + terms[len(terms) - len(terms) % 2 :]
        x = x * x
    return terms[0]
