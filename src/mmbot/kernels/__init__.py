"""Compiled kernels: arrays and integers in, arrays and integers out. The only room that imports numba."""
