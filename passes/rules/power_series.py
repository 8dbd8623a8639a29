"""Power series of elementary functions in decimal arithmetic of 80 digits: what is 0 in 45 of them vanishes.

    at the variable u:   EXPANSIONS[sin](variable(0, 6))   ->   u - u**3/6 + u**5/120

A series is u**order * (terms[0] + terms[1] u + ..), its first term not 0; one without terms vanishes as far as it is known. An expansion
that has no number for its first term (`arctan` of 1), or none at all (a root at 0), is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from decimal import Context, Decimal, InvalidOperation, localcontext

from graphc.ir import Op
from graphc.ops.registry import OPS
from graphc.records import dataclass

DIGITS = 80
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798")
NOTHING = Decimal("1e-45")  # of a sum, beside its operands
LEADING = 12  # terms among which the first that is not 0 must lie
ZERO, ONE, TWO = Decimal(0), Decimal(1), Decimal(2)
Terms = list[Decimal]  # from u**0 on


def decimals() -> AbstractContextManager[Context]:
    """The context of all arithmetic here."""
    return localcontext(Context(prec=DIGITS, Emax=10**8, Emin=-(10**8)))


@dataclass(frozen=True)
class Laurent:
    """u**order * sum(terms[k] * u**k), known to so many terms."""

    order: int
    terms: Terms

    def plain(self) -> Terms | None:
        """From u**0 on, as many terms as are known; None at a pole."""
        return None if self.order < 0 else [ZERO] * self.order + self.terms

    def first(self) -> Decimal:
        """The value at u = 0 of a series without a pole."""
        return self.terms[0] if self.terms and not self.order else ZERO


def laurent(terms: Sequence[Decimal], order: int = 0) -> Laurent:
    """Without the zeros in front."""
    skipped = next((k for k, t in enumerate(terms) if t), len(terms))
    return Laurent(order + skipped, list(terms[skipped:]))


def number(value: float, count: int) -> Laurent:
    """A constant."""
    return laurent([Decimal(value), *[ZERO] * (count - 1)])


def variable(at: float, count: int) -> Laurent:
    """at + u."""
    return laurent([Decimal(at), ONE, *[ZERO] * (count - 2)])


# -- arithmetic -----------------------------------------------------------------------------------------------------------------
def plus(a: Laurent, b: Laurent, sign: int = 1) -> Laurent:
    """a + sign b; what cancels to NOTHING is 0."""
    low, high = min(a.order, b.order), min(a.order + len(a.terms), b.order + len(b.terms))
    most = max([abs(t) for t in (*a.terms[:LEADING], *b.terms[:LEADING])], default=ZERO) * NOTHING
    made = []
    for k in range(low, high):
        total = (a.terms[k - a.order] if k >= a.order else ZERO) + sign * (b.terms[k - b.order] if k >= b.order else ZERO)
        made.append(total if abs(total) > most else ZERO)
    return laurent(made, low)


def times(a: Laurent, b: Laurent) -> Laurent:
    return Laurent(a.order + b.order, _product(a.terms, b.terms))


def _product(a: Terms, b: Terms) -> Terms:
    count = min(len(a), len(b))
    sparse = [(k, t) for k, t in enumerate(a[:count]) if t]
    made = [ZERO] * count
    for k, t in sparse:
        for j in range(count - k):
            if b[j]:
                made[k + j] += t * b[j]
    return made


def over(a: Laurent, b: Laurent) -> Laurent | None:
    """a / b; None where b vanishes."""
    if not b.terms:
        return None
    return Laurent(a.order - b.order, _product(a.terms, _reciprocal(b.terms)))


def _reciprocal(a: Terms) -> Terms:
    made = [1 / a[0]]
    for n in range(1, len(a)):
        made.append(-sum([a[k] * made[n - k] for k in range(1, n + 1) if a[k]], ZERO) / a[0])
    return made


def power(a: Laurent, c: float) -> Laurent | None:
    """a**c; a whole power of what vanishes or has a pole too."""
    exponent = Decimal(c)
    if not a.terms or (a.order and c != int(c)) or abs(c) > 1e6:
        return None
    p, whole = a.terms, c == int(c)
    if p[0] < 0 and not whole:
        return None
    first = p[0] ** int(c) if whole else p[0].sqrt() if c == 0.5 else ONE if p[0] == 1 else p[0] ** exponent
    made = [first]
    for n in range(1, len(p)):
        made.append(sum([(k * exponent - (n - k)) * p[k] * made[n - k] for k in range(1, n + 1) if p[k]], ZERO) / (n * p[0]))
    return Laurent(a.order * int(c) if a.order else 0, made)


# -- functions ------------------------------------------------------------------------------------------------------------------
def _exp(p: Terms) -> Terms:
    made = [p[0].exp() if p[0] else ONE]
    for n in range(1, len(p)):
        made.append(sum([k * p[k] * made[n - k] for k in range(1, n + 1) if p[k]], ZERO) / n)
    return made


def _log(p: Terms) -> Terms:
    if p[0] <= 0:
        raise InvalidOperation
    made = [ZERO if p[0] == 1 else p[0].ln()]
    for n in range(1, len(p)):
        made.append((p[n] - sum([k * made[k] * p[n - k] for k in range(1, n) if made[k]], ZERO) / n) / p[0])
    return made


def _sines(p: Terms) -> tuple[Terms, Terms]:
    """sin and cos of a series that vanishes."""
    if p[0]:
        raise InvalidOperation
    sine, cosine = [ZERO], [ONE]
    for n in range(1, len(p)):
        sine.append(sum([k * p[k] * cosine[n - k] for k in range(1, n + 1) if p[k]], ZERO) / n)
        cosine.append(-sum([k * p[k] * sine[n - k] for k in range(1, n + 1) if p[k]], ZERO) / n)
    return sine, cosine


def _sum(a: Terms, b: Terms, sign: int = 1) -> Terms:
    return [x + sign * y for x, y in zip(a, b)]


def _plus(p: Terms, c: int) -> Terms:
    return [p[0] + c, *p[1:]]


def _scaled(p: Terms, c: Decimal) -> Terms:
    return [c * t for t in p]


def _ends(p: Terms) -> tuple[Terms, Terms]:
    return _exp(p), _exp(_scaled(p, -ONE))


def _sinh(p: Terms) -> Terms:
    made = _scaled(_sum(*_ends(p), -1), ONE / 2)
    return [ZERO, *made[1:]] if not p[0] else made


def _cosh(p: Terms) -> Terms:
    return _scaled(_sum(*_ends(p)), ONE / 2)


def _quotient(a: Terms, b: Terms) -> Terms:
    return _product(a, _reciprocal(b))


def _power(p: Terms, c: float) -> Terms:
    made = power(Laurent(0, p), c) if p[0] else None
    if made is None:
        raise InvalidOperation
    return made.terms


def _from_slope(p: Terms, slope: Callable[[Terms], Terms]) -> Terms:
    """f(p) of f(0) = 0 and its derivative, for a series that vanishes."""
    if p[0]:
        raise InvalidOperation
    rate = [k * p[k] for k in range(1, len(p))]
    made = _product(rate, slope(p)[:-1])
    return [ZERO, *[t / (k + 1) for k, t in enumerate(made)]]


def _square(p: Terms) -> Terms:
    return _product(p, p)


def _erf(p: Terms) -> Terms:
    return _from_slope(p, lambda q: _scaled(_exp(_scaled(_square(q), -ONE)), 2 / PI.sqrt()))


def _sigmoid(p: Terms) -> Terms:
    return _reciprocal(_plus(_exp(_scaled(p, -ONE)), 1))


def _root_one_plus(p: Terms) -> Terms:
    return _power(_plus(_square(p), 1), 0.5)


def _expm1(p: Terms) -> Terms:
    return _plus(_exp(p), -1)


def _negated(p: Terms) -> Terms:
    return _scaled(p, -ONE)


_BY_NAME: dict[str, Callable[[Terms], Terms]] = {
    "exp": _exp,
    "expm1": _expm1,
    "log": _log,
    "log1p": lambda p: _log(_plus(p, 1)),
    "sin": lambda p: _sines(p)[0],
    "cos": lambda p: _sines(p)[1],
    "tan": lambda p: _quotient(*_sines(p)),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": lambda p: _quotient(_sinh(p), _cosh(p)),
    "arcsin": lambda p: _from_slope(p, lambda q: _power(_plus(_negated(_square(q)), 1), -0.5)),
    "arctan": lambda p: _from_slope(p, lambda q: _reciprocal(_plus(_square(q), 1))),
    "arcsinh": lambda p: _from_slope(p, lambda q: _power(_plus(_square(q), 1), -0.5)),
    "arctanh": lambda p: _from_slope(p, lambda q: _reciprocal(_plus(_negated(_square(q)), 1))),
    "sigmoid": _sigmoid,
    "softplus": lambda p: _log(_plus(_exp(p), 1)),
    "erf": _erf,
    "erfc": lambda p: _plus(_negated(_erf(p)), 1),
    "erfcx": lambda p: _product(_exp(_square(p)), _plus(_negated(_erf(p)), 1)),
    "log_cosh": lambda p: _log(_cosh(p)),
    "sech": lambda p: _reciprocal(_cosh(p)),
    "tanh_slope": lambda p: _reciprocal(_square(_cosh(p))),
    "sigmoid_slope": lambda p: _product(_sigmoid(p), _sigmoid(_negated(p))),
    "root_one_plus": _root_one_plus,
    "over_root_one_plus": lambda p: _quotient(p, _root_one_plus(p)),
    "arcsinh_slope": lambda p: _power(_plus(_square(p), 1), -0.5),
    "arctan_slope": lambda p: _reciprocal(_plus(_square(p), 1)),
    "log1mexp": lambda p: _log(_negated(_expm1(p))),
}
EXPANSIONS: dict[Op, Callable[[Terms], Terms]] = {OPS[name]: function for name, function in _BY_NAME.items()}
POLES: dict[Op, Callable[[Terms], Terms]] = {OPS["csch"]: _sinh, OPS["over_expm1"]: _expm1}  # one over these


def applied(op: Op, a: Laurent) -> Laurent | None:
    """A function of a series."""
    terms = a.plain()
    if terms is None or not terms:
        return None
    try:
        if op in POLES:
            return over(laurent([ONE, *[ZERO] * (len(terms) - 1)]), laurent(POLES[op](terms)))
        return laurent(EXPANSIONS[op](terms))
    except ArithmeticError:
        return None
