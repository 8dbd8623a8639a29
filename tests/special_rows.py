"""Exact values, derivatives, domains and references of families of special functions, together: for the tests that walk the rows."""

from __future__ import annotations

from tests import special_bessel, special_incomplete, special_integrals, special_zeta

FAMILIES = (special_bessel, special_incomplete, special_integrals, special_zeta)
EXACT = {name: f for family in FAMILIES for name, f in family.EXACT.items()}
NUMPY = {name: f for family in FAMILIES for name, f in family.NUMPY.items()}
REFERENCES = {name: f for family in FAMILIES for name, f in family.REFERENCES.items()}
DERIVATIVES = {name: f for family in FAMILIES for name, f in family.DERIVATIVES.items()}
DOMAINS = {name: f for family in FAMILIES for name, f in family.DOMAINS.items()}
SINGULAR = {name: f for family in FAMILIES for name, f in family.SINGULAR.items()}
