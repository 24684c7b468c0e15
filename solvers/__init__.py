"""The algorithms: rows in, rows out. No classes, no exceptions, no Python objects inside a kernel.

Each file holds, for its family of operators, a row function ``name_row(...)`` that works in place and never
allocates, and a driver ``name(x, parameters..., out, start, stop)`` that loops over the rows ``start:stop`` of
C-contiguous float32 or float64 arrays. Parameters arrive as arrays with one value per row. Masked entries are
marked by any value at most half the most negative finite number; what becomes of dead, NaN and masked rows is
decided in one place, :func:`regmax.solvers.rows.enter`.
"""
