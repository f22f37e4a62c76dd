"""One row at a time: the dense layer in per-sample descent.

W is input-major, so a unit of x that is 0 leaves its row of W alone in the forward pass, in dx and
in the update: the rows to visit are given as a list of units and their values. A layer computes
dx and takes its step in the same pass over those rows, for it needs W as it was for the one and
is at hand for the other.

Shapes are those of `dense.pxd` with one row. `n_columns` is n_out with the padding that a row of W
has up to a line; where that is shorter than a vector, nothing behind it is stored.
"""

from fastnn.native.simd.simd cimport (
    WIDTH, lane_sums, list_nonzero, load, load_first, not_negative, place_nonzero, real, spread,
    store, store_first, vec,
)


cdef enum:
    CHAINS = 8  # sums side by side, so that none waits for its last addition


cdef inline Py_ssize_t list_units(
    const real* x, Py_ssize_t n, int* units, real* values
) noexcept nogil:
    """units, values := the i and x_i of those x_i that are not 0; returns how many

    Zeros of unit 0 follow, a vector of them and at least CHAINS.
    """
    cdef Py_ssize_t i = 0, count = 0
    while i < n:
        count += list_nonzero(load_first(x + i, n - i, 0), <int>i, units + count, values + count)
        i += WIDTH
    return end_list(units, values, count)


cdef inline Py_ssize_t list_relu(
    real* z, Py_ssize_t n, int* units, real* values
) noexcept nogil:
    """a := relu(z), and the list of the units where it is above 0"""
    cdef Py_ssize_t i = 0, count = 0
    cdef vec a
    while i < n:
        a = not_negative(load_first(z + i, n - i, 0))
        store_first(z + i, a, n - i)
        count += list_nonzero(a, <int>i, units + count, values + count)
        i += WIDTH
    return end_list(units, values, count)


cdef inline Py_ssize_t end_list(int* units, real* values, Py_ssize_t count) noexcept nogil:
    """The zeros behind a list"""
    cdef Py_ssize_t i
    for i in range(count, count + max(CHAINS, WIDTH)):
        units[i] = 0
        values[i] = 0
    return count


cdef inline Py_ssize_t whole_chains(Py_ssize_t n) noexcept nogil:
    """n with the zeros that follow a list"""
    return (n + CHAINS - 1) // CHAINS * CHAINS


cdef inline void place_units(
    const real* x, Py_ssize_t n, const real* values, real* dx
) noexcept nogil:
    """dx := the values of a list in their places, 0 where x_i is 0"""
    cdef Py_ssize_t i = 0
    cdef vec dx_i
    while i < n:
        values += place_nonzero(load_first(x + i, n - i, 0), values, &dx_i)
        store_first(dx + i, dx_i, n - i)
        i += WIDTH


# ---- z := x W, a sum of rows of W ----------------------------------------------------------------

cdef inline void add_rows(
    const real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n,
    const real* start, real* z, Py_ssize_t n_columns, const bint in_order,
) noexcept nogil:
    """z := start + sum_i values_i W_units_i over the first n of a list

    In several chains, or `in_order`: each unit's sum one chain from start on, as in the tiles.
    """
    cdef Py_ssize_t j = 0, vectors
    while j < n_columns:
        vectors = (n_columns - j) // WIDTH
        if vectors >= 8:
            add_tile(W + j, stride, units, values, n, start + j, z + j, 8, WIDTH, in_order)
            j += 8 * WIDTH
        elif vectors >= 4:
            add_tile(W + j, stride, units, values, n, start + j, z + j, 4, WIDTH, in_order)
            j += 4 * WIDTH
        elif vectors >= 2:
            add_tile(W + j, stride, units, values, n, start + j, z + j, 2, WIDTH, in_order)
            j += 2 * WIDTH
        else:
            add_tile(
                W + j, stride, units, values, n, start + j, z + j, 1, n_columns - j, in_order
            )
            j += WIDTH


cdef inline void add_tile(
    const real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n,
    const real* start, real* z, const int vectors, Py_ssize_t left, const bint in_order,
) noexcept nogil:
    """Some columns of it, the last vector `left` wide"""
    cdef vec sums[CHAINS]
    cdef const real* row
    cdef Py_ssize_t i = 0
    cdef int q, v, rows = 1 if in_order else CHAINS // vectors
    for q in range(CHAINS):
        sums[q] = spread(0)
    if in_order:
        for v in range(vectors):
            sums[v] = load(start + v * WIDTH)
    while i + rows <= n:
        for q in range(rows):
            row = W + units[i + q] * stride
            for v in range(vectors):
                sums[q * vectors + v] = sums[q * vectors + v] + spread(values[i + q]) * load(
                    row + v * WIDTH
                )
        i += rows
    while i < n:
        row = W + units[i] * stride
        for v in range(vectors):
            sums[v] = sums[v] + spread(values[i]) * load(row + v * WIDTH)
        i += 1
    for v in range(vectors):
        if rows == 8:
            sums[v] = (sums[v] + sums[4]) + (sums[2] + sums[6]) + (
                (sums[1] + sums[5]) + (sums[3] + sums[7])
            )
        elif rows == 4:
            sums[v] = (sums[v] + sums[v + 4]) + (sums[v + 2] + sums[v + 6])
        elif rows == 2:
            sums[v] = sums[v] + sums[v + 4]
        if not in_order:
            sums[v] = load(start + v * WIDTH) + sums[v]
        store_first(z + v * WIDTH, sums[v], left)


# ---- dx := W dz, and the step of W ---------------------------------------------------------------

cdef inline void descend_rows(
    real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n,
    const real* dz, real scale, Py_ssize_t n_columns, real* dx,
) noexcept nogil:
    """dx_i := W_units_i dz, then W_units_i := W_units_i + scale values_i dz, of a list

    dx has room for a vector more.
    """
    if n_columns == 2 * WIDTH:  # dx first, whole vectors of it: 1.08 times the rate
        multiply_rows(W, stride, units, n, dz, dx)
        step_rows(W, stride, units, values, n, dz, scale)
    elif n_columns == 4 * WIDTH:
        descend_list(W, stride, units, values, n, dz, scale, 4 * WIDTH, dx)
    else:
        descend_list(W, stride, units, values, n, dz, scale, n_columns, dx)


cdef inline void multiply_rows(
    const real* W, Py_ssize_t stride, const int* units, Py_ssize_t n, const real* dz, real* dx
) noexcept nogil:
    """dx_i := W_units_i dz of rows of two vectors, and of zeros that follow a list"""
    cdef vec sums[16]
    cdef vec dz_0 = load(dz), dz_1 = load(dz + WIDTH)
    cdef const real* w
    cdef Py_ssize_t i = 0
    cdef int r
    while i < n:
        for r in range(WIDTH):
            w = W + units[i + r] * stride
            sums[r] = load(w) * dz_0 + load(w + WIDTH) * dz_1
        store(dx + i, lane_sums(sums))
        i += WIDTH


cdef inline void step_rows(
    real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n,
    const real* dz, real scale,
) noexcept nogil:
    """W_units_i := W_units_i + scale values_i dz of rows of two vectors"""
    cdef vec step_0 = spread(scale) * load(dz), step_1 = spread(scale) * load(dz + WIDTH), x_i
    cdef real* w
    cdef Py_ssize_t i
    for i in range(n):
        x_i = spread(values[i])
        w = W + units[i] * stride
        store(w, load(w) + x_i * step_0)
        store(w + WIDTH, load(w + WIDTH) + x_i * step_1)


cdef inline void descend_list(
    real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n,
    const real* dz, real scale, const Py_ssize_t n_columns, real* dx,
) noexcept nogil:
    """Step and dx in one pass, the columns as a constant if there are few; four rows at a time"""
    cdef vec sums[16]
    cdef Py_ssize_t i = 0, r, m
    for r in range(WIDTH):
        sums[r] = spread(0)
    while i < n:
        r, m = 0, min(WIDTH, n - i)
        while r + 4 <= m and n_columns >= WIDTH:
            descend_four(W, stride, units + i + r, values + i + r, dz, scale, n_columns, sums + r)
            r += 4
        while r < m:
            sums[r] = descend_row(
                W + units[i + r] * stride, dz, scale * values[i + r], n_columns
            )
            r += 1
        store(dx + i, lane_sums(sums))
        i += WIDTH


cdef inline void descend_four(
    real* W, Py_ssize_t stride, const int* units, const real* values, const real* dz, real scale,
    const Py_ssize_t n_columns, vec* sums,
) noexcept nogil:
    """`descend_row` of four rows of whole vectors: four streams come from the cache together"""
    cdef vec totals[4]
    cdef vec dz_j, w_j
    cdef real* rows[4]
    cdef real scales[4]
    cdef Py_ssize_t j = 0
    cdef int r
    for r in range(4):
        totals[r] = spread(0)
        rows[r] = W + units[r] * stride
        scales[r] = scale * values[r]
    while j < n_columns:
        dz_j = load(dz + j)
        for r in range(4):
            w_j = load(rows[r] + j)
            totals[r] = totals[r] + w_j * dz_j
            store(rows[r] + j, w_j + spread(scales[r]) * dz_j)
        j += WIDTH
    for r in range(4):
        sums[r] = totals[r]


cdef inline vec descend_row(
    real* w, const real* dz, real scale, const Py_ssize_t n_columns
) noexcept nogil:
    """w := w + scale dz; returns what w dz was, lane by lane"""
    cdef vec w_j, dz_j, total = spread(0)
    cdef Py_ssize_t j = 0
    while j < n_columns:
        w_j, dz_j = load_first(w + j, n_columns - j, 0), load_first(dz + j, n_columns - j, 0)
        total = total + w_j * dz_j
        store_first(w + j, w_j + spread(scale) * dz_j, n_columns - j)
        j += WIDTH
    return total


cdef inline void move_rows(
    real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n,
    const real* step, Py_ssize_t n_columns,
) noexcept nogil:
    """W_units_i := W_units_i + values_i step over the first n of a list"""
    cdef Py_ssize_t j = 0, vectors
    while j < n_columns:
        vectors = (n_columns - j) // WIDTH
        if vectors >= 8:
            move_tile(W + j, stride, units, values, n, step + j, 8, WIDTH)
            j += 8 * WIDTH
        elif vectors >= 4:
            move_tile(W + j, stride, units, values, n, step + j, 4, WIDTH)
            j += 4 * WIDTH
        else:
            move_tile(W + j, stride, units, values, n, step + j, 1, n_columns - j)
            j += WIDTH


cdef inline void move_tile(
    real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n,
    const real* step, const int vectors, Py_ssize_t left,
) noexcept nogil:
    """Some columns of it, the last vector `left` wide"""
    cdef vec steps[8]
    cdef real* row
    cdef Py_ssize_t i
    cdef int v
    for v in range(vectors):
        steps[v] = load_first(step + v * WIDTH, left, 0)
    for i in range(n):
        row = W + units[i] * stride
        for v in range(vectors):
            store_first(
                row + v * WIDTH,
                load_first(row + v * WIDTH, left, 0) + spread(values[i]) * steps[v], left,
            )


cdef inline void add_scaled(real alpha, const real* x, real* y, Py_ssize_t n) noexcept nogil:
    """y := y + alpha x"""
    cdef Py_ssize_t j = 0
    if n == 1:
        y[0] += alpha * x[0]
        return
    while j < n:
        store_first(
            y + j, load_first(y + j, n - j, 0) + spread(alpha) * load_first(x + j, n - j, 0), n - j
        )
        j += WIDTH


cdef inline void scale_row(real alpha, real* x, Py_ssize_t n) noexcept nogil:
    """x := alpha x"""
    cdef Py_ssize_t j = 0
    if n == 1:
        x[0] *= alpha
        return
    while j < n:
        store_first(x + j, spread(alpha) * load_first(x + j, n - j, 0), n - j)
        j += WIDTH
