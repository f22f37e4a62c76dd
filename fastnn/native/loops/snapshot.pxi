"""Copies of finite weights, of what the optimiser keeps for them and of its counts."""

from libc.string cimport memcpy

from fastnn.native.formulas.update cimport Counts
from fastnn.native.simd.simd cimport WIDTH, lane_sum, load, real, spread, vec

cdef struct Kept:
    real* parameters
    real* slots
    Counts* counts
    Py_ssize_t n_parameters, n_slots  # numbers, the slots' of all together
    real* numbers  # the copies: of the parameters and behind them of the slots,
    Counts* kept_counts  # and of the counts

cdef void keep_copy(const Kept* k) noexcept nogil:
    memcpy(k.numbers, k.parameters, k.n_parameters * sizeof(real))
    if k.n_slots:
        memcpy(k.numbers + k.n_parameters, k.slots, k.n_slots * sizeof(real))
    k.kept_counts[0] = k.counts[0]


cdef void restore_copy(const Kept* k) noexcept nogil:
    memcpy(k.parameters, k.numbers, k.n_parameters * sizeof(real))
    if k.n_slots:
        memcpy(k.slots, k.numbers + k.n_parameters, k.n_slots * sizeof(real))
    k.counts[0] = k.kept_counts[0]


cdef inline bint are_finite(const real* values, Py_ssize_t n) noexcept nogil:
    """Whether no x - x is NaN; summed in four chains, so that none waits for its last addition"""
    cdef vec a = spread(0), b = a, c = a, d = a
    cdef real rest = 0
    cdef Py_ssize_t j = 0
    while j + 4 * WIDTH <= n:
        a = a + (load(values + j) - load(values + j))
        b = b + (load(values + j + WIDTH) - load(values + j + WIDTH))
        c = c + (load(values + j + 2 * WIDTH) - load(values + j + 2 * WIDTH))
        d = d + (load(values + j + 3 * WIDTH) - load(values + j + 3 * WIDTH))
        j += 4 * WIDTH
    for j in range(j, n):
        rest += values[j] - values[j]
    return lane_sum((a + b) + (c + d)) + rest == 0
