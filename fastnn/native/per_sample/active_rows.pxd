"""One row at a time: the dense layer in per-sample descent.

W is input-major, so a unit of x that is 0 leaves its row of W alone in the forward pass, in dx and
in the update: the rows to visit are given as a list of units and their values. A layer hands dx
down and takes its step in the same pass over those rows, for it needs W as it was for the one and
is at hand for the other.

Shapes are those of `dense.pxd` with one row. `n_columns` is n_out with the padding that a row of W
has up to a line; where that is shorter than a vector, nothing behind it is stored.
"""

from fastnn.kernels.simd cimport (
    WIDTH, lane_sum, lane_sums, list_nonzero, load, load_first, not_negative, place_nonzero, real,
    spread, store, store_first, vec,
)
from fastnn.kernels.update cimport MOMENTUM, PLAIN, Method, Motion, moved


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
    """The same of a := relu(z)"""
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
    """The same in one pass, the columns as a constant if there are few; four rows at a time"""
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
    """`descend_row` of four rows of whole vectors: so many streams come from the cache together"""
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


# ---- the same with a rule that moves every row of W, whatever x is ------------------------------

cdef inline void descend_moving(
    real* W, real* slots, Py_ssize_t stride, const real* x, const real* dz, const Motion* m,
    real* dx, Py_ssize_t n_in, Py_ssize_t n_columns,
) noexcept nogil:
    """dx := W dz, then a step of W along dW = x dz^T; slots are NULL if the rule keeps nothing

    dx has room for a vector more.
    """
    cdef vec sums[16]
    cdef Py_ssize_t i = 0, r
    while i < n_in:
        for r in range(WIDTH):
            sums[r] = spread(0)
        for r in range(min(WIDTH, n_in - i)):
            sums[r] = move_row(W, slots, x[i + r], dz, m, n_columns)
            W += stride
            slots = NULL if slots == NULL else slots + stride
        store(dx + i, lane_sums(sums))
        i += WIDTH


cdef inline vec move_row(
    real* w, real* slots, real x, const real* dz, const Motion* m, Py_ssize_t n_columns
) noexcept nogil:
    """A step of w along dw = x dz; returns what w dz was, lane by lane"""
    if m.method == PLAIN:
        return move_row_by(w, slots, x, dz, m, n_columns, PLAIN)
    if m.method == MOMENTUM:
        return move_row_by(w, slots, x, dz, m, n_columns, MOMENTUM)
    return move_row_by(w, slots, x, dz, m, n_columns, m.method)


cdef inline vec move_row_by(
    real* w, real* slots, real x, const real* dz, const Motion* m, Py_ssize_t n_columns,
    const Method method,
) noexcept nogil:
    """The same, the usual methods as constants"""
    cdef vec w_j, dz_j, total = spread(0)
    cdef Py_ssize_t j = 0, left
    while j < n_columns:
        left = n_columns - j
        w_j, dz_j = load_first(w + j, left, 0), load_first(dz + j, left, 0)
        total = total + w_j * dz_j
        w_j = moved(
            w_j, spread(x) * dz_j, NULL if slots == NULL else slots + j, left, m, method
        )
        store_first(w + j, w_j, left)
        j += WIDTH
    return total


cdef inline void mix(
    real* w, real* v, Py_ssize_t n, real w_w, real w_v, real v_w, real v_v
) noexcept nogil:
    """w, v := w_w w + w_v v, v_w w + v_v v; v is NULL if there is none"""
    cdef vec w_j, v_j
    cdef Py_ssize_t j = 0
    if v == NULL:
        scale_row(w_w, w, n)
        return
    while j < n:
        w_j, v_j = load_first(w + j, n - j, 0), load_first(v + j, n - j, 0)
        store_first(w + j, spread(w_w) * w_j + spread(w_v) * v_j, n - j)
        store_first(v + j, spread(v_w) * w_j + spread(v_v) * v_j, n - j)
        j += WIDTH


cdef inline void multiply_numbers(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    """y := x y, number by number"""
    cdef Py_ssize_t j
    for j in range(n):
        y[j] *= x[j]


# ---- the first layer in one sweep: a sample's step and the forward pass of the next --------------

cdef inline void sweep_rows(
    real* W, Py_ssize_t stride, const real* x, const real* step, const real* x_next,
    const real* start, real* z, Py_ssize_t n_in, Py_ssize_t n_columns,
) noexcept nogil:
    """W := W + x step^T, then z := start + x_next W"""
    cdef Py_ssize_t j = 0, vectors
    while j < n_columns:
        vectors = (n_columns - j) // WIDTH
        if vectors >= 4:
            sweep_tile(
                W + j, stride, x, step + j, x_next, start + j, z + j, n_in, 4, WIDTH
            )
            j += 4 * WIDTH
        elif vectors >= 2:
            sweep_tile(
                W + j, stride, x, step + j, x_next, start + j, z + j, n_in, 2, WIDTH
            )
            j += 2 * WIDTH
        else:
            sweep_tile(
                W + j, stride, x, step + j, x_next, start + j, z + j, n_in, 1, n_columns - j
            )
            j += WIDTH


cdef inline void sweep_tile(
    real* W, Py_ssize_t stride, const real* x, const real* step, const real* x_next,
    const real* start, real* z, Py_ssize_t n_in, const int vectors, Py_ssize_t left,
) noexcept nogil:
    """Some columns of it, the last vector `left` wide"""
    cdef vec sums[4]
    cdef vec steps[4]
    cdef vec w
    cdef Py_ssize_t i
    cdef int v
    for v in range(vectors):
        sums[v] = load_first(start + v * WIDTH, left, 0)
        steps[v] = load_first(step + v * WIDTH, left, 0)
    for i in range(n_in):
        for v in range(vectors):
            w = load_first(W + v * WIDTH, left, 0) + spread(x[i]) * steps[v]
            store_first(W + v * WIDTH, w, left)
            sums[v] = sums[v] + spread(x_next[i]) * w
        W += stride
    for v in range(vectors):
        store_first(z + v * WIDTH, sums[v], left)


# ---- a narrow last layer, held output-major: W^T, a row of n_in weights for each unit ------------

cdef inline void forward_held(
    const real* W_t, Py_ssize_t ld, const real* x, const real* start, real* z, Py_ssize_t n_in,
    Py_ssize_t n_out,
) noexcept nogil:
    """z := start + W^T x"""
    cdef vec sums[16]
    cdef Py_ssize_t j = 0, left
    cdef int u
    if n_out == 1:
        dot_rows(W_t, ld, x, n_in, sums, 1)
        z[0] = start[0] + lane_sum(sums[0])
        return
    while j < n_out:
        left = min(WIDTH, n_out - j)
        for u in range(WIDTH):
            sums[u] = spread(0)
        u = 0
        while left - u >= 4:
            dot_rows(W_t + (j + u) * ld, ld, x, n_in, sums + u, 4)
            u += 4
        while left - u >= 1:
            dot_rows(W_t + (j + u) * ld, ld, x, n_in, sums + u, 1)
            u += 1
        store_first(z + j, load_first(start + j, left, 0) + lane_sums(sums), left)
        j += WIDTH


cdef inline void dot_rows(
    const real* W_t, Py_ssize_t ld, const real* x, Py_ssize_t n_in, vec* sums, const int units
) noexcept nogil:
    """sums_u := W^T_u x, lane by lane"""
    cdef vec totals[4]
    cdef Py_ssize_t i = 0
    cdef int u
    for u in range(units):
        totals[u] = spread(0)
    while i + WIDTH <= n_in:
        dot_step(W_t + i, ld, x + i, WIDTH, totals, units)
        i += WIDTH
    if i < n_in:
        dot_step(W_t + i, ld, x + i, n_in - i, totals, units)
    for u in range(units):
        sums[u] = totals[u]


cdef inline void dot_step(
    const real* W_t, Py_ssize_t ld, const real* x, const Py_ssize_t left, vec* totals,
    const int units,
) noexcept nogil:
    """totals_u := totals_u + W^T_u x of the next vector of numbers"""
    cdef vec x_i = load_first(x, left, 0)
    cdef int u
    for u in range(units):
        totals[u] = totals[u] + load_first(W_t + u * ld, left, 0) * x_i


cdef inline void descend_held(
    real* W_t, Py_ssize_t ld, const real* x, const real* dz, real scale, real* dx,
    Py_ssize_t n_in, Py_ssize_t n_out,
) noexcept nogil:
    """dx := W dz, then W^T := W^T + scale dz x^T"""
    cdef Py_ssize_t i = 0
    while i + WIDTH <= n_in:
        descend_held_step(W_t + i, ld, x + i, dz, scale, dx + i, WIDTH, n_out)
        i += WIDTH
    if i < n_in:
        descend_held_step(W_t + i, ld, x + i, dz, scale, dx + i, n_in - i, n_out)


cdef inline void descend_held_step(
    real* W_t, Py_ssize_t ld, const real* x, const real* dz, real scale, real* dx,
    const Py_ssize_t left, Py_ssize_t n_out,
) noexcept nogil:
    """The same of the next vector of units"""
    cdef vec w, x_i = spread(scale) * load_first(x, left, 0), even = spread(0), odd = spread(0)
    cdef Py_ssize_t u = 0
    while u + 2 <= n_out:
        w = load_first(W_t, left, 0)
        even = even + spread(dz[u]) * w
        store_first(W_t, w + spread(dz[u]) * x_i, left)
        w = load_first(W_t + ld, left, 0)
        odd = odd + spread(dz[u + 1]) * w
        store_first(W_t + ld, w + spread(dz[u + 1]) * x_i, left)
        W_t += 2 * ld
        u += 2
    if u < n_out:
        w = load_first(W_t, left, 0)
        even = even + spread(dz[u]) * w
        store_first(W_t, w + spread(dz[u]) * x_i, left)
    store_first(dx, even + odd, left)


# ---- the products of a block's rows with each other ----------------------------------------------

cdef inline void gram(
    const real* x, Py_ssize_t stride, Py_ssize_t n_in, real plus, real* G, Py_ssize_t ld,
    Py_ssize_t m,
) noexcept nogil:
    """G_kj := x_k x_j + plus for j <= k of m rows

    Up to 3 numbers in a row and 3 rows more are written, which mean nothing.
    """
    cdef Py_ssize_t k = 0, j
    while k < m:
        j = 0
        while j <= k:
            gram_tile(x + k * stride, x + j * stride, stride, n_in, plus, G + k * ld + j, ld)
            j += 4
        k += 4


cdef inline void gram_tile(
    const real* x, const real* y, Py_ssize_t stride, Py_ssize_t n_in, real plus, real* G,
    Py_ssize_t ld,
) noexcept nogil:
    """G := x y^T + plus, 4 x 4"""
    cdef vec sums[16]
    cdef real totals[16]
    cdef Py_ssize_t i = 0
    cdef int k, j
    for k in range(16):
        sums[k] = spread(0)
    while i + WIDTH <= n_in:
        gram_step(x + i, y + i, stride, WIDTH, sums)
        i += WIDTH
    if i < n_in:
        gram_step(x + i, y + i, stride, n_in - i, sums)
    k = 0
    while k < 16:
        store(totals + k, lane_sums(sums + k))
        k += WIDTH
    for k in range(4):
        for j in range(4):
            G[k * ld + j] = totals[4 * k + j] + plus


cdef inline void gram_step(
    const real* x, const real* y, Py_ssize_t stride, const Py_ssize_t left, vec* sums
) noexcept nogil:
    """sums_kj := sums_kj + x_k y_j of the next vector of numbers"""
    cdef vec y_i[4]
    cdef vec x_i
    cdef int k, j
    for j in range(4):
        y_i[j] = load_first(y + j * stride, left, 0)
    for k in range(4):
        x_i = load_first(x + k * stride, left, 0)
        for j in range(4):
            sums[4 * k + j] = sums[4 * k + j] + x_i * y_i[j]
