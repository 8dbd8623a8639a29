"""Formulas as one types them from a textbook: likelihoods, physics, logits, geometry, finance; constants stand for the other operands.

A formula is text over x and the functions of `tests.accuracy.expressions`; `parse` reads it as Python does.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

FORMULAS = """
    # softplus, logistic, gumbel
    log(1 + exp(x)) - log(1 + exp(x + 1))
    log(1 + exp(2*x)) - log(1 + exp(x))
    log(1 + exp(-x)) + x
    x - log(1 + exp(x))
    log(exp(x) + exp(2*x) + 1)
    1/(1 + exp(-x)) - 1/(1 + exp(-2*x))
    log(1/(1 + exp(-x))) - log(1 - 1/(1 + exp(-x)))
    exp(x)/(1 + exp(x))**2
    exp(-x)/(1 + exp(-x))**2
    exp(-(x + exp(-x)))
    -log(-log(1/(1 + exp(-x))))
    1 - exp(-exp(x))
    log(1 - exp(-exp(x)))
    log(log(1 + exp(x)))
    exp(-exp(-x))
    1 - exp(-exp(-x))
    x*tanh(log(1 + exp(x)))
    0.5*x*(1 + tanh(0.7978845608028654*(x + 0.044715*x**3)))
    0.5*x*(1 + erf(x/1.4142135623730951))
    x/(1 + exp(-1.702*x))
    (1 - exp(-2*x))/(1 + exp(-2*x))
    (exp(x) - exp(-x))/(exp(x) + exp(-x))
    (exp(2*x) - 1)/(exp(2*x) + 1)
    1 - ((exp(x) - exp(-x))/(exp(x) + exp(-x)))**2
    sigmoid(x)*log(sigmoid(x)) + (1 - sigmoid(x))*log(1 - sigmoid(x))
    log(sigmoid(x)/sigmoid(x - 1))
    log(sigmoid(2*x)) - log(sigmoid(x))
    sigmoid(x + 1) - sigmoid(x - 1)
    log(sigmoid(x + 1) - sigmoid(x - 1))
    log(1 - sigmoid(x)**2)
    1 - sigmoid(x)**2
    (1 - sigmoid(x))**2*log(sigmoid(x))
    exp(log(sigmoid(x)) - log(sigmoid(-x)))
    # entropies and divergences, p = x or a function of x
    -x*log(x) - (1 - x)*log(1 - x)
    x*log(x/0.5) + (1 - x)*log((1 - x)/0.5)
    x*log(x) - x + 1
    x*log(x) - (1 + x)*log((1 + x)/2)
    log(x/(1 - x))
    x*log(x)/(x - 1)
    (x - 1) - log(x)
    (sqrt(x) - 1)**2
    1 - x + x*log(x)
    (1 + x)*log(1 + x) - x
    (x**1.5 - 1)/0.5
    (1 - sqrt(x))/(1 - x)
    # likelihoods
    -0.5*log(2*3.141592653589793) - 0.5*x**2
    -log(x) - 0.5*(2/x)**2
    exp(-0.5*x**2)/(1 - 0.5*(1 + erf(x/1.4142135623730951)))
    log(0.5*(1 + erf(x/1.4142135623730951)))
    log(1 - 0.5*(1 + erf(x/1.4142135623730951)))
    0.5*(erf((x + 1)/1.4142135623730951) - erf((x - 1)/1.4142135623730951))
    erf(x + 1) - erf(x)
    erfc(x) - erfc(x + 1)
    3*log(x) - x
    3*x - exp(x)
    -3*log(1 + x**2/5)
    log((1 + x**2/5)**(-3))
    (1 + x**2/5)**(-3)
    (1 + x**2/1e6)**(-500000)
    log(1 + x**2/1e8)*5e7
    3*log(x/(1 + x)) - 2*log(1 + x)
    3*log(1/(1 + x)) + 4*log(x/(x + 1))
    -x - 2*log(1 + exp(-x))
    log(exp(-x)/(1 + exp(-x))**2)
    2*x - log(cosh(2*x))
    cos(x) - 1
    exp(3*(cos(x) - 1))
    exp(3*cos(x))/exp(3)
    3*cos(x) - 3
    log(1 + exp(-x**2))
    log(0.3*exp(-x**2) + 0.7*exp(-(x - 1)**2))
    log(0.5*exp(-0.5*x**2) + 0.5*exp(-0.5*(x - 4)**2))
    0.3*exp(-x**2)/(0.3*exp(-x**2) + 0.7*exp(-(x - 1)**2))
    log(1 - (1 - exp(-x)))
    1 - exp(-x**1.5)
    log(1 - exp(-x**2))
    exp(-x)*x**3/6
    x**3*exp(-x)
    1 - (1 - x)**10
    1 - (1 - x)**0.1
    log(1 - (1 - x)**10)
    (1 - (1 - x)**3)**4
    # thermal and quantum physics
    x/(exp(x) - 1)
    x**3/(exp(x) - 1)
    x**2*exp(x)/(exp(x) - 1)**2
    x**4*exp(x)/(exp(x) - 1)**2
    1/(exp(x) - 1) - 1/x
    1/(exp(x) - 1) + 0.5 - 1/x
    1/(exp(x) + 1)
    1/tanh(x) - 1/x
    cosh(x)/sinh(x) - 1/x
    1/x - 1/tan(x)
    1/x**2 - 1/sinh(x)**2
    1/sin(x)**2 - 1/x**2
    x/tanh(x)
    x/tan(x)
    x/sin(x)
    x/sinh(x)
    x*cosh(x)/sinh(x)
    1 - x/tan(x)
    tanh(x)/x
    1 - tanh(x)/x
    log(2*cosh(x))
    log(2*sinh(x))
    log(sinh(x)/x)
    log(1 - exp(-x))
    x/2 + log(1 - exp(-x))
    x/(exp(x) - 1) - log(1 - exp(-x))
    1/sqrt(1 - x**2)
    1/sqrt(1 - x**2) - 1
    (1 - x**2)**(-0.5) - 1
    sqrt(1 + x**2) - 1
    sqrt((1 + x)/(1 - x))
    sqrt((1 + x)/(1 - x)) - 1
    sqrt((1 - x)/(1 + x))
    x/sqrt(1 - x**2)
    arctanh(x) - x
    1 - sqrt(1 - 2/x)
    1/(1 - 2/x) - 1
    sin(x)/x
    (sin(x)/x)**2
    (sin(x) - x*cos(x))/x**3
    3*(sin(x) - x*cos(x))/x**3
    sin(x)/x**2 - cos(x)/x
    (1 - cos(x))/x**2
    (1 - cos(x))/x
    (x - sin(x))/x**3
    (x - sin(x))/(1 - cos(x))
    (exp(x) - 1)/x
    (exp(x) - 1 - x)/x**2
    (exp(x) - 1 - x - x**2/2)/x**3
    exp(x) - 1 - x
    exp(x) - 1 - x - x**2/2
    (1 - exp(-x))/x
    (1 - exp(-x))/x - exp(-x)
    (1 - (1 - exp(-x))/x)/x
    2*(exp(-x) - 1 + x)/x**2
    (cosh(x) - 1)/x**2
    (sinh(x) - x)/x**3
    sinh(x) - x
    tan(x) - x
    tan(x) - sin(x)
    (tan(x) - sin(x))/x**3
    sin(x) - x + x**3/6
    cos(x) - 1 + x**2/2
    log(1 + x) - x
    log(1 + x) - x + x**2/2
    (log(1 + x) - x)/x**2
    log(1 + x)/x - 1/(1 + x)
    1/log(1 + x) - 1/x
    x/log(1 + x)
    (x - 1)/log(x)
    log(x)/(x - 1)
    1/log(x) - 1/(x - 1)
    log(cos(x))
    log(cosh(x)) - x**2/2
    log(1 - x) + x
    arcsin(x) - x
    x - arctan(x)
    (x - arctan(x))/x**3
    1/arctan(x) - 1/x
    1/x - 1/sin(x)
    1/x - 1/arcsinh(x)
    1/sqrt(x) - 1/sqrt(x + 1)
    sqrt(1 + x) - 1 - x/2
    (sqrt(1 + x) - 1)/x
    (sqrt(1 + x) - sqrt(1 - x))/x
    sqrt(1 + x) - sqrt(1 - x)
    1/sqrt(1 + x) - 1 + x/2
    ((1 + x)**0.3333333333333333 - 1)/x
    (1 + x)**0.3333333333333333 - x**0.3333333333333333
    (x + 1)**(2.0/3.0) - x**(2.0/3.0)
    # geometry
    arcsin(sqrt(sin(x/2)**2))
    2*arcsin(sqrt(sin(x/2)**2))
    arccos(cos(x))
    arccos(1 - x)
    arccos(1 - x**2)
    arccos(x/sqrt(1 + x**2))
    arctan(x + 1) - arctan(x)
    arctan(1/x)
    arctan(x) - 1.5707963267948966
    arcsinh(x + 1) - arcsinh(x)
    arctanh(x) - arctanh(x - 0.5)
    arccosh(x + 1) - arccosh(x)
    arccosh(1 + x)
    arccosh(1 + x**2)
    log(x + 1 + sqrt(x**2 + 2*x))
    sin(x + 0.001) - sin(x)
    tan(x + 0.001) - tan(x)
    tanh(x + 0.001) - tanh(x)
    (x - sqrt(x**2 - 4))/2
    (-x + sqrt(x**2 - 4))/2
    (-x + sqrt(x**2 + 4))/2
    (-x - sqrt(x**2 - 4*0.5*2))/(2*0.5)
    x - sqrt(x**2 - 1)
    x - sqrt(x**2 + x)
    sqrt(x**2 + x) - x
    sqrt(x**2 + 1) - abs(x)
    sqrt(x + 1)*sqrt(x) - x
    sqrt(x + 2) - 2*sqrt(x + 1) + sqrt(x)
    1/(x + 1) - 2/x + 1/(x - 1)
    1/x - 1/(x + 1)
    x/(x + 1) - (x - 1)/x
    (x + 1)**2 - x**2
    (x + 1)**2 - (x - 1)**2
    ((x + 1)**3 - x**3)/3
    x**2/(1 + x**2)
    x/(1 + x**2)
    x/(1 + sqrt(1 + x**2))
    x/(1 + sqrt(1 + x))
    sqrt(sqrt(1 + x**2) - 1)
    sqrt((1 + sqrt(1 + x**2))/2)
    sqrt((sqrt(1 + x**2) - x)/2)
    log((sqrt(1 + x**2) - 1)/(sqrt(1 + x**2) + 1))
    sqrt(x**2 + 1e-12)
    (x**2 + 1)**1.5
    x/(x**2 + 1)**1.5
    (x**2 + 1)**(-1.5)
    # finance and growth
    (1 + x/12)**12 - 1
    (1 + x/365)**365
    (1 + x)**30 - 1
    ((1 + x)**30 - 1)/x
    x/(1 - (1 + x)**(-30))
    (1 - (1 + x)**(-30))/x
    1 - (1 + x)**(-30)
    (1 + 1/x)**x
    (1 - 1/x)**x
    x*log(1 + 1/x)
    x*(exp(1/x) - 1)
    x*(sqrt(1 + 1/x) - 1)
    x*log((x + 1)/(x - 1))
    # transforms
    (x**0.1 - 1)/0.1
    (x**1e-6 - 1)/1e-6
    ((x + 1)**0.001 - 1)/0.001
    log(x + sqrt(x**2 + 1))
    0.5*log((1 + x)/(1 - x))
    log(x/(1 - x)) + log(2)
    (1 + x**2)**0.5 - 1
    sqrt(abs(x))
    abs(x)**1.5
    sqrt(x*x)
    sqrt(x**4)
    sqrt(x)**2
    x**3/x**1.5
    x**3*x**0.5/x**2
    x**1.5*x**(-0.5)
    sqrt(x)*sqrt(x)
    x/sqrt(x)
    x*x/x**3
    sqrt(x)/x
    exp(x)*exp(-x/2)
    exp(x)/exp(x - 1)
    exp(x)**2/exp(x)
    exp(x)*erfc(sqrt(x))
    exp(x**2)*erfc(x)
    exp(x**2)*(1 - erf(x))
    log(erfc(x)/2)
    exp(-x**2)/erfc(x)
    exp(x + log(erfc(x)))
    2**x - 1
    2**x/(1 + 2**x)
    10**(x/10) - 1
    log(1 + 10**(-x))
    exp(-x)*sinh(x)
    exp(-x)*cosh(x)
    exp(-abs(x))*cosh(x)
    cosh(x) - sinh(x)
    cosh(x)**2 - sinh(x)**2
    sqrt(cosh(x)**2 - 1)
    sinh(x)/cosh(x)
    sinh(x)/(1 + cosh(x))
    (cosh(x) - 1)/sinh(x)
    sin(x)/(1 + cos(x))
    (1 - cos(x))/sin(x)
    1 - cos(x)**2
    cos(x)**2 - sin(x)**2
    1 - sin(x)
    1 + sin(x - 1.5707963267948966)
    1 - 2*sin(x/2)**2
    cos(x + 0.01) - cos(x)
    exp(-x) - exp(-2*x)
    (exp(-x) - exp(-2*x))/x
    (exp(-x) - exp(-3*x))/(2*x)
    exp(-x)/(1 - exp(-x))
    x*exp(-x)/(1 - exp(-x))
    1/(1 - exp(-x)) - 1/x
    (x - 1 + exp(-x))/x
"""


def parse(formula: str) -> Any:
    """The tree of a formula: "log(1 + exp(x))" -> ("log", ("+", 1.0, ("exp", "x")))."""
    return _tree(ast.parse(formula.strip(), mode="eval").body)


_ROWS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


def _tree(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=value):
            assert isinstance(value, (int, float))
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _tree(operand)
            return -inner if isinstance(inner, float) else ("negative", inner)
        case ast.BinOp(left=left, op=row, right=right):
            a, b, name = _tree(left), _tree(right), _ROWS[type(row)]
            number = isinstance(a, float) and isinstance(b, float)
            return {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[name] if number else (name, a, b)
        case ast.Call(func=ast.Name(id=name), args=args):
            inner = [_tree(a) for a in args]
            return float(__import__("math").log(inner[0])) if isinstance(inner[0], float) else (name, *inner)
    raise SyntaxError(ast.dump(node))


def formulas() -> Iterator[Any]:
    for line in FORMULAS.splitlines():
        if line.strip() and not line.strip().startswith("#"):
            yield parse(line)
