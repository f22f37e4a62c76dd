"""Matrix products, tile by tile: C := something of A B, finished while the tile is in registers.

Shapes: A (M, K), an element at A[i*sm + k*sk], so that a transposed A is only another pair of
strides; B (K, N) and C (M, N) with rows side by side. Every element of A B is summed over
k = 0 ... K-1 in this order, whatever the tile it falls into: neither the tile sizes nor the
thread that computes it show in the bits. A load may run past the end of a row of B by less than a
vector, so every array has that much room behind it; nothing is stored beyond column N.
"""

from fastnn.kernels.simd cimport (
    TILE_VECTORS, WIDTH, load, not_negative, real, spread, store, store_some, vec, where_positive,
)

cdef enum Epilogue:
    PUT = 0  # C := A B
    PUT_BIASED = 1  # C := A B + bias, one number a column
    PUT_BIASED_RELU = 2  # C := max(A B + bias, 0)
    PUT_MASKED = 3  # C := A B where guard > 0, otherwise 0
    ADD = 4  # C := C + A B
    DESCEND = 5  # C := C - rate * A B

cdef struct Product:
    const real* A
    Py_ssize_t sm, sk
    const real* B
    Py_ssize_t ldb
    real* C
    Py_ssize_t ldc
    Py_ssize_t M, N, K
    Epilogue epilogue
    const real* bias
    const real* guard  # laid out as C
    real rate


cdef inline vec finished(
    const Product* p, vec ab, const real* c, Py_ssize_t j, const real* guard, Epilogue epilogue
) noexcept nogil:
    """What becomes of a vector of A B"""
    if epilogue == PUT_BIASED:
        return ab + load(p.bias + j)
    if epilogue == PUT_BIASED_RELU:
        return not_negative(ab + load(p.bias + j))
    if epilogue == PUT_MASKED:
        return where_positive(load(guard), ab)
    if epilogue == ADD:
        return load(c) + ab
    if epilogue == DESCEND:
        return load(c) - spread(p.rate) * ab
    return ab


cdef inline void finish_tile(
    const Product* p, const vec* ab, Py_ssize_t i, Py_ssize_t j, const int rows, const int vectors,
    Epilogue epilogue,
) noexcept nogil:
    """Store a tile of A B whose first element is that of row i, column j."""
    cdef Py_ssize_t here, left = p.N - j - (vectors - 1) * WIDTH
    cdef int r, v
    cdef vec c
    for r in range(rows):
        for v in range(vectors):
            here = (i + r) * p.ldc + j + v * WIDTH
            c = finished(
                p, ab[r * vectors + v], p.C + here, j + v * WIDTH, p.guard + here, epilogue
            )
            if v < vectors - 1 or left >= WIDTH:
                store(p.C + here, c)
            else:
                store_some(p.C + here, c, left)


cdef inline void tile(
    const Product* p, Py_ssize_t i, Py_ssize_t j, const int rows, const int vectors
) noexcept nogil:
    """Rows i to i+rows, columns j to j+vectors*WIDTH (or N) of C"""
    cdef vec ab[24]
    cdef vec b[4]
    cdef vec a
    cdef const real* A = p.A + i * p.sm
    cdef const real* B = p.B + j
    cdef Py_ssize_t k, sm = p.sm, sk = p.sk, ldb = p.ldb
    cdef int r, v
    for r in range(rows * vectors):
        ab[r] = spread(0)
    for k in range(p.K):
        for v in range(vectors):
            b[v] = load(B + v * WIDTH)
        for r in range(rows):
            a = spread(A[r * sm])
            for v in range(vectors):
                ab[r * vectors + v] = ab[r * vectors + v] + a * b[v]
        A += sk
        B += ldb
    if p.epilogue == PUT:
        finish_tile(p, ab, i, j, rows, vectors, PUT)
    elif p.epilogue == PUT_BIASED:
        finish_tile(p, ab, i, j, rows, vectors, PUT_BIASED)
    elif p.epilogue == PUT_BIASED_RELU:
        finish_tile(p, ab, i, j, rows, vectors, PUT_BIASED_RELU)
    elif p.epilogue == PUT_MASKED:
        finish_tile(p, ab, i, j, rows, vectors, PUT_MASKED)
    elif p.epilogue == ADD:
        finish_tile(p, ab, i, j, rows, vectors, ADD)
    else:
        finish_tile(p, ab, i, j, rows, vectors, DESCEND)


cdef inline void column_of_tiles(const Product* p, Py_ssize_t j, const int vectors) noexcept nogil:
    """All rows of C, columns j to j+vectors*WIDTH (or N)"""
    cdef Py_ssize_t i = 0
    while p.M - i >= 6:
        tile(p, i, j, 6, vectors)
        i += 6
    if p.M - i >= 4:
        tile(p, i, j, 4, vectors)
        i += 4
    if p.M - i >= 2:
        tile(p, i, j, 2, vectors)
        i += 2
    if p.M - i >= 1:
        tile(p, i, j, 1, vectors)


cdef inline void multiply(const Product* p) noexcept nogil:
    """C := epilogue(A B)"""
    cdef Py_ssize_t j = 0
    while p.N - j >= TILE_VECTORS * WIDTH:
        column_of_tiles(p, j, TILE_VECTORS)
        j += TILE_VECTORS * WIDTH
    if TILE_VECTORS > 2 and p.N - j > WIDTH:
        column_of_tiles(p, j, 2)
        j += 2 * WIDTH
    while j < p.N:
        column_of_tiles(p, j, 1)
        j += WIDTH
