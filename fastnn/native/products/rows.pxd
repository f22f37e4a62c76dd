"""The rows of X: any number type and row stride in, rows of `real` out. X is never cast as a whole.

A row that passes through a Normalization layer is standardised here, in double precision, before
it is rounded to `real`.
"""

from fastnn.native.simd.simd cimport real

ctypedef fused number:
    float
    double
    signed char
    short
    int
    long long
    unsigned char
    unsigned short
    unsigned int
    unsigned long long

cdef enum NumberType:
    FLOAT32 = 0
    FLOAT64 = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    UINT8 = 6  # bool too
    UINT16 = 7
    UINT32 = 8
    UINT64 = 9

cdef struct Features:
    const unsigned char* X
    Py_ssize_t n_features
    Py_ssize_t stride  # bytes from one row to the next
    NumberType type
    const double* mean  # NULL: rows are not standardised
    const double* scale  # 1 / standard deviation


cdef inline void cast(
    const number* x, real* out, const Features* rows, const Py_ssize_t step
) noexcept nogil:
    """out_j := x_j, or (x_j - mean_j) * scale_j"""
    cdef Py_ssize_t j
    if rows.mean == NULL:
        for j in range(rows.n_features):
            out[j * step] = <real>x[j]
    else:
        for j in range(rows.n_features):
            out[j * step] = <real>((<double>x[j] - rows.mean[j]) * rows.scale[j])


cdef inline void gather(
    const Features* rows, Py_ssize_t i, real* out, const Py_ssize_t step
) noexcept nogil:
    """out := row i of X, its numbers `step` apart"""
    cdef const unsigned char* x = rows.X + i * rows.stride
    if rows.type == FLOAT32:
        cast(<const float*>x, out, rows, step)
    elif rows.type == FLOAT64:
        cast(<const double*>x, out, rows, step)
    elif rows.type == UINT8:
        cast(<const unsigned char*>x, out, rows, step)
    elif rows.type == INT8:
        cast(<const signed char*>x, out, rows, step)
    elif rows.type == INT16:
        cast(<const short*>x, out, rows, step)
    elif rows.type == INT32:
        cast(<const int*>x, out, rows, step)
    elif rows.type == INT64:
        cast(<const long long*>x, out, rows, step)
    elif rows.type == UINT16:
        cast(<const unsigned short*>x, out, rows, step)
    elif rows.type == UINT32:
        cast(<const unsigned int*>x, out, rows, step)
    else:
        cast(<const unsigned long long*>x, out, rows, step)


cdef inline bint is_finite(real x) noexcept nogil:
    """Inf - Inf and NaN - NaN are NaN, which equals nothing."""
    return x - x == 0


cdef inline Py_ssize_t nonfinite_at(const number* x, Py_ssize_t n) noexcept nogil:
    """The first j for which x_j, rounded to `real`, is NaN or infinite; -1 if there is none"""
    cdef Py_ssize_t j
    cdef bint finite = True
    for j in range(n):  # no early exit: this form runs in vectors
        finite &= is_finite(<real>x[j])
    if finite:
        return -1
    for j in range(n):
        if not is_finite(<real>x[j]):
            return j
    return -1


cdef inline Py_ssize_t nonfinite_in_row(const Features* rows, Py_ssize_t i) noexcept nogil:
    """The first column of row i that holds NaN, an infinity or a number too large for `real`"""
    cdef const unsigned char* x = rows.X + i * rows.stride
    if rows.type == FLOAT32:
        return nonfinite_at(<const float*>x, rows.n_features)
    if rows.type == FLOAT64:
        return nonfinite_at(<const double*>x, rows.n_features)
    return -1


cdef inline double number_at(const Features* rows, Py_ssize_t j) noexcept nogil:
    """Number j of the first row, which need not be finite as `real`"""
    cdef const void* x = rows.X
    if rows.type == FLOAT32:
        return (<const float*>x)[j]
    if rows.type == FLOAT64:
        return (<const double*>x)[j]
    if rows.type == INT8:
        return (<const signed char*>x)[j]
    if rows.type == INT16:
        return (<const short*>x)[j]
    if rows.type == INT32:
        return (<const int*>x)[j]
    if rows.type == INT64:
        return <double>(<const long long*>x)[j]
    if rows.type == UINT8:
        return (<const unsigned char*>x)[j]
    if rows.type == UINT16:
        return (<const unsigned short*>x)[j]
    if rows.type == UINT32:
        return (<const unsigned int*>x)[j]
    return <double>(<const unsigned long long*>x)[j]
