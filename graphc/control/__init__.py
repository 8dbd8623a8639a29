"""Ops with bodies (`graphc.region`): loops, branches, the user's own rules. Above `grad` and `batch`, as their rules differentiate bodies.

scan          f again and again over the rows of arrays, with a carry; `map`, `fori_loop` are scans
while_loop    f as long as a condition holds
switch        one of several bodies; `cond` is a switch of two
"""
