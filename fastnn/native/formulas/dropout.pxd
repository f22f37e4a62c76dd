"""Dropout: which units are left out is a function of counters, so it can be asked again anywhere.

A unit of the inputs of a layer, in one row of one epoch, draws 32 bits from its place alone: the
epoch's key, the row's position in the epoch, the layer and the unit. Neither threads nor slices nor
batches can change it, and the backward pass draws the same bits instead of keeping them.
The mixing steps are those of SplitMix64 (Steele, Lea, Flood 2014) for a row, and for a unit those
that Wellons found to scatter 32 bits best (2018, "Prospecting for hash functions").
"""

from fastnn.native.simd.simd cimport real


cdef inline unsigned long long row_key(
    unsigned long long key, unsigned long long position, unsigned long long layer
) noexcept nogil:
    """What the draws of a row have in common"""
    cdef unsigned long long h = (key ^ (layer << 56)) + position * 0x9E3779B97F4A7C15u
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu
    return h ^ (h >> 31)


cdef inline void drop(
    const real* a, real* x, Py_ssize_t n, unsigned long long key, unsigned int threshold
) noexcept nogil:
    """x_j := a_j / (1 - rate), 0 where the draw is below threshold = 2^32 rate; NaN stays NaN"""
    cdef real scale = <real>(4294967296.0 / (4294967296.0 - threshold))
    cdef unsigned int h, low = <unsigned int>key, high = <unsigned int>(key >> 32)
    cdef Py_ssize_t j
    for j in range(n):
        h = <unsigned int>j + low
        h = (h ^ (h >> 16)) * 0x7FEB352Du
        h = (h ^ (h >> 15) ^ high) * 0x846CA68Bu
        h = h ^ (h >> 16)
        x[j] = a[j] * (scale if h >= threshold else 0)
