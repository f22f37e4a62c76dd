"""Matrix products, tile by tile: C := something of A B, finished while the tile is in registers.

Shapes: A (M, K), an element at A[i*sm + k*sk], so that a transposed A is only another pair of
strides; B (K, N) and C (M, N), each row in one piece. Every element of A B is summed over
k = 0 ... K-1 in this order, whatever the tile it falls into: neither the tile sizes nor the
thread that computes it show in the bits. A load may run past the end of a row by less than a
vector, so every array has that much room behind it. Nothing is stored beyond column N: behind the
last row of C another thread may write, behind that of B none may.
"""

from fastnn.native.simd.simd cimport (
    CACHE_LINE, TILE_VECTORS, WIDTH, reloaded, descended, load, load_beside, not_negative, prefetch,
    real, spread, store_first, vec, where_positive,
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
    Py_ssize_t M, N, K  # none of them 0
    Epilogue epilogue
    const real* bias
    const real* guard  # laid out as C
    real rate


cdef inline vec finished(
    const Product* p, vec ab, const real* c, const real* bias, const real* guard, Py_ssize_t n,
    Epilogue epilogue,
) noexcept nogil:
    """What becomes of a vector of A B, of which n numbers count"""
    if epilogue == PUT_BIASED:
        return ab + load(bias)
    if epilogue == PUT_BIASED_RELU:
        return not_negative(ab + load(bias))
    if epilogue == PUT_MASKED:
        return where_positive(load_beside(guard, n), ab)
    if epilogue == ADD:
        return load_beside(c, n) + ab
    if epilogue == DESCEND:
        return descended(load_beside(c, n), p.rate, ab)
    return ab


cdef inline void finish_row(
    const Product* p, const vec* ab, Py_ssize_t i, Py_ssize_t j, const int vectors,
    Epilogue epilogue,
) noexcept nogil:
    """Store a row of a tile of A B, that of row i from column j on."""
    cdef real* C = p.C + i * p.ldc + j
    cdef const real* guard = p.guard + i * p.ldc + j
    cdef const real* bias = p.bias + j
    cdef Py_ssize_t left = p.N - j - (vectors - 1) * WIDTH
    cdef int v
    cdef vec c
    for v in range(vectors):
        c = finished(
            p, ab[v], C + v * WIDTH, bias + v * WIDTH, guard + v * WIDTH,
            left if v == vectors - 1 else WIDTH, epilogue,
        )
        store_first(C + v * WIDTH, c, left if v == vectors - 1 else WIDTH)


cdef inline void finish_tile(
    const Product* p, const vec* ab, Py_ssize_t i, Py_ssize_t j, const int rows, const int vectors,
    Epilogue epilogue,
) noexcept nogil:
    """Store a tile of A B whose first element is that of row i, column j.

    No loop over the rows: GCC does not unroll one this long, and then the sums pass through memory.
    """
    finish_row(p, ab, i, j, vectors, epilogue)
    if rows >= 2:
        finish_row(p, ab + vectors, i + 1, j, vectors, epilogue)
    if rows >= 4:
        finish_row(p, ab + 2 * vectors, i + 2, j, vectors, epilogue)
        finish_row(p, ab + 3 * vectors, i + 3, j, vectors, epilogue)
    if rows >= 6:
        finish_row(p, ab + 4 * vectors, i + 4, j, vectors, epilogue)
        finish_row(p, ab + 5 * vectors, i + 5, j, vectors, epilogue)


cdef inline void finish(
    const Product* p, const vec* ab, Py_ssize_t i, Py_ssize_t j, const int rows, const int vectors
) noexcept nogil:
    """`finish_tile` with the epilogue as a constant"""
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


cdef inline void tile(
    const Product* product, Py_ssize_t i, Py_ssize_t j, const int rows, const int vectors
) noexcept nogil:
    """Rows i to i+rows, columns j to j+vectors*WIDTH (or N) of C

    Meanwhile lines that the next tiles need come nearer: of a transposed A the next rows; in the
    first tiles of a column, one line of each row, the next columns of B; then the next row of A.
    """
    cdef vec ab[24]
    cdef vec b[4]
    cdef vec a
    cdef const Product* p = <const Product*>reloaded(product)
    cdef Py_ssize_t sm = p.sm, sk = p.sk, ldb = p.ldb, step = p.sk, k = p.K
    cdef Py_ssize_t line = i // 6 * CACHE_LINE
    cdef const real* A = p.A + i * sm
    cdef const real* B = p.B + j
    cdef const real* soon = A + rows * sm
    cdef int r, v
    if sm != 1 and line < vectors * WIDTH:
        soon, step = B + vectors * WIDTH + line, ldb
    for r in range(rows):
        for v in range(vectors):
            ab[r * vectors + v] = spread(0)
            if p.epilogue >= ADD:
                prefetch(p.C + (i + r) * p.ldc + j + v * WIDTH)
    while True:  # K > 0: with a way around the loop GCC would keep the sums in memory, too
        for v in range(vectors):
            b[v] = load(B + v * WIDTH)
        for r in range(rows):
            a = spread(A[r * sm])
            for v in range(vectors):
                ab[r * vectors + v] = ab[r * vectors + v] + a * b[v]
        prefetch(soon)
        A, B, soon, k = A + sk, B + ldb, soon + step, k - 1
        if k == 0:
            break
    finish(<const Product*>reloaded(p), ab, i, j, rows, vectors)


cdef inline Py_ssize_t tile_of_rows(
    const Product* p, Py_ssize_t i, Py_ssize_t j, const int rows
) noexcept nogil:
    """A tile as wide as fits; returns its width."""
    if p.N - j >= TILE_VECTORS * WIDTH:
        tile(p, i, j, rows, TILE_VECTORS)
        return TILE_VECTORS * WIDTH
    if TILE_VECTORS > 2 and p.N - j > WIDTH:
        tile(p, i, j, rows, 2)
        return 2 * WIDTH
    tile(p, i, j, rows, 1)
    return WIDTH


cdef inline void multiply(const Product* p) noexcept nogil:
    """C := epilogue(A B)

    One column of tiles after the other, so that its part of B stays in the second-level cache;
    if A is transposed, one row of tiles after the other, since six rows of it are spread over as
    many lines of the cache as there are summands, and the next six are on most of them, too.
    """
    cdef Py_ssize_t i = 0, j = 0, rows, columns
    while i < p.M and j < p.N:
        if p.M - i >= 6:
            rows, columns = 6, tile_of_rows(p, i, j, 6)
        elif p.M - i >= 4:
            rows, columns = 4, tile_of_rows(p, i, j, 4)
        elif p.M - i >= 2:
            rows, columns = 2, tile_of_rows(p, i, j, 2)
        else:
            rows, columns = 1, tile_of_rows(p, i, j, 1)
        if p.sm == 1:
            j += columns
            if j >= p.N:
                i, j = i + rows, 0
        else:
            i += rows
            if i >= p.M:
                i, j = 0, j + columns
