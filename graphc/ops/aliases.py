"""Other names of functions: those that NumPy and the array API have for one function, and the namespace's numbers and dtypes.

gx.acos is gx.arccos      gx.absolute is gx.abs      gx.pi      gx.float32      gx.newaxis
"""
# `bool` is NumPy's name of a dtype

from __future__ import annotations

import math

import numpy as np

from graphc.ops.arithmetic import abs as absolute
from graphc.ops.arithmetic import divide as true_divide
from graphc.ops.arithmetic import mod as remainder
from graphc.ops.arithmetic import round as around
from graphc.ops.arithmetic import trunc as fix
from graphc.ops.compare import invert as bitwise_invert
from graphc.ops.compare import left_shift as bitwise_left_shift
from graphc.ops.compare import right_shift as bitwise_right_shift
from graphc.ops.differences import trapezoid as trapz
from graphc.ops.elementwise import arccos as acos
from graphc.ops.elementwise import arccosh as acosh
from graphc.ops.elementwise import arcsin as asin
from graphc.ops.elementwise import arcsinh as asinh
from graphc.ops.elementwise import arctan as atan
from graphc.ops.elementwise import arctan2 as atan2
from graphc.ops.elementwise import arctanh as atanh
from graphc.ops.elementwise import power as pow
from graphc.ops.joining import concatenate as concat
from graphc.ops.joining import vstack as row_stack
from graphc.ops.shape import ndim, shape, size
from graphc.ops.shape import transpose as permute_dims
from graphc.ops.special.bessel import i0

bitwise_not = bitwise_invert

# -- numbers ----------------------------------------------------------------------------------------------------------
e, euler_gamma, inf, nan, newaxis, pi = math.e, np.euler_gamma, math.inf, math.nan, None, math.pi

# -- dtypes: what `dtype=` takes, NumPy's own, so that x.dtype == gx.float32 -----------------------------------------------
bool, bool_ = np.bool_, np.bool_
int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
uint8, uint16, uint32, uint64 = np.uint8, np.uint16, np.uint32, np.uint64
float32, float64 = np.float32, np.float64
byte, short, intc, int_, long, longlong, intp = np.byte, np.short, np.intc, np.int_, np.long, np.longlong, np.intp
ubyte, ushort, uintc, uint, ulong, ulonglong, uintp = np.ubyte, np.ushort, np.uintc, np.uint, np.ulong, np.ulonglong, np.uintp
single, double = np.single, np.double
dtype, finfo, iinfo = np.dtype, np.finfo, np.iinfo
floating, generic, inexact, integer, number = np.floating, np.generic, np.inexact, np.integer, np.number
signedinteger, unsignedinteger = np.signedinteger, np.unsignedinteger

__all__ = [
    "absolute", "acos", "acosh", "around", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_invert", "bitwise_left_shift",
    "bitwise_not", "bitwise_right_shift", "bool", "bool_", "byte", "concat", "double", "dtype", "e", "euler_gamma", "finfo", "fix",
    "float32", "float64", "floating", "generic", "i0", "iinfo", "inexact", "inf", "int16", "int32", "int64", "int8", "int_", "intc",
    "integer", "intp", "long", "longlong", "nan", "ndim", "newaxis", "number", "permute_dims", "pi", "pow", "remainder", "row_stack",
    "shape", "short", "signedinteger", "single", "size", "trapz", "true_divide", "ubyte", "uint", "uint16", "uint32", "uint64", "uint8",
    "uintc", "uintp", "ulong", "ulonglong", "unsignedinteger", "ushort",
]  # fmt: skip
