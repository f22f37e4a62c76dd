"""Matrix products, tile by tile: C := something of A B, finished while the tile is in registers.

Shapes: A (M, K), an element at A[i*sm + k*sk], so that a transposed A is only another pair of
strides; B (K, N) and C (M, N), each row in one piece. Every element of A B is summed over
k = 0 ... K-1 in this order, whatever the tile it falls into: neither the tile sizes nor the
thread that computes it show in the bits. A load may run past the end of a row of B by less than a
vector, so every array has that much room behind it; nothing is stored beyond column N.
"""

from libc.string cimport memcpy

from fastnn.kernels.simd cimport (
    TILE_VECTORS, WIDTH, anew, load, not_negative, real, settled, spread, store, store_first,
    vec, where_positive,
)

cdef enum Epilogue:
    PUT = 0  # C := A B
    PUT_BIASED = 1  # C := A B + bias, one number a column
    PUT_BIASED_RELU = 2  # C := max(A B + bias, 0)
    PUT_MASKED = 3  # C := A B where guard > 0, otherwise 0
    ADD = 4  # C := C + A B, for K <= DEEPEST
    DESCEND = 5  # C := C - rate * A B, for K <= DEEPEST

cdef struct Product:
    const real* A
    Py_ssize_t sm, sk
    Py_ssize_t strip  # rows i to i+6, i a multiple of 6, begin at A[i*strip]: sm unless interleaved
    const real* B
    Py_ssize_t ldb
    real* C
    Py_ssize_t ldc
    Py_ssize_t M, N, K
    Epilogue epilogue
    const real* bias
    const real* guard  # laid out as C
    real rate
    real* packed  # room for `packed_length()` numbers


cdef enum:
    ROWS = 6  # of a whole tile
    DEPTH = 128  # summands at a time: so many rows of a packed B stay in the first-level cache
    DEEPEST = 256  # the largest K of ADD and DESCEND, whose sums cannot wait in C
    PACKED_ROWS = 48  # from so many rows of A on, packing B pays: they all pass over it
    BAND = 3072  # numbers of a transposed A to interleave at a time: half a first-level cache


cdef inline vec finished(
    const Product* p, vec ab, const real* c, const real* bias, const real* guard,
    Epilogue epilogue,
) noexcept nogil:
    """What becomes of a vector of A B"""
    if epilogue == PUT_BIASED:
        return ab + load(bias)
    if epilogue == PUT_BIASED_RELU:
        return not_negative(ab + load(bias))
    if epilogue == PUT_MASKED:
        return where_positive(load(guard), ab)
    if epilogue == ADD:
        return load(c) + ab
    if epilogue == DESCEND:
        return load(c) - spread(p.rate) * settled(ab)
    return ab


cdef inline void finish_tile(
    const Product* p, const vec* ab, Py_ssize_t i, Py_ssize_t j, const int rows, const int vectors,
    Epilogue epilogue,
) noexcept nogil:
    """Store a tile of A B whose first element is that of row i, column j."""
    cdef Py_ssize_t ldc = p.ldc, left = p.N - j - (vectors - 1) * WIDTH
    cdef real* C = p.C + i * ldc + j
    cdef const real* guard = p.guard + i * ldc + j
    cdef const real* bias = p.bias + j
    cdef int r, v
    cdef vec c
    for r in range(rows):
        for v in range(vectors):
            c = finished(
                p, ab[r * vectors + v], C + r * ldc + v * WIDTH, bias + v * WIDTH,
                guard + r * ldc + v * WIDTH, epilogue,
            )
            store_first(C + r * ldc + v * WIDTH, c, left if v == vectors - 1 else WIDTH)


cdef struct Panel:  # some columns of B, rows k to end: packed, or where they are
    const real* B
    Py_ssize_t ldb, k, end


cdef inline void tile(
    const Product* product, const Panel* panel, Py_ssize_t i, Py_ssize_t j, const int rows,
    const int vectors,
) noexcept nogil:
    """Rows i to i+rows, columns j to j+vectors*WIDTH (or N) of C, the panel's summands

    Sums that are not complete yet wait in C.
    """
    cdef vec ab[24]
    cdef vec b[4]
    cdef vec a
    cdef const Product* p = <const Product*>anew(product)
    cdef const real* A = p.A + (i - i % ROWS) * p.strip + i % ROWS * p.sm + panel.k * p.sk
    cdef const real* B = panel.B
    cdef Py_ssize_t sm = p.sm, sk = p.sk, ldb = panel.ldb, _
    cdef Epilogue epilogue = p.epilogue if panel.end == p.K else PUT
    cdef int r, v
    for r in range(rows):
        for v in range(vectors):
            ab[r * vectors + v] = spread(0)
    if panel.k > 0:
        for r in range(rows):
            for v in range(vectors):
                ab[r * vectors + v] = load(p.C + (i + r) * p.ldc + j + v * WIDTH)
    for _ in range(panel.k, panel.end):
        for v in range(vectors):
            b[v] = load(B + v * WIDTH)
        for r in range(rows):
            a = spread(A[r * sm])
            for v in range(vectors):
                ab[r * vectors + v] = ab[r * vectors + v] + a * b[v]
        A += sk
        B += ldb
    p = <const Product*>anew(p)
    if epilogue == PUT:
        finish_tile(p, ab, i, j, rows, vectors, PUT)
    elif epilogue == PUT_BIASED:
        finish_tile(p, ab, i, j, rows, vectors, PUT_BIASED)
    elif epilogue == PUT_BIASED_RELU:
        finish_tile(p, ab, i, j, rows, vectors, PUT_BIASED_RELU)
    elif epilogue == PUT_MASKED:
        finish_tile(p, ab, i, j, rows, vectors, PUT_MASKED)
    elif epilogue == ADD:
        finish_tile(p, ab, i, j, rows, vectors, ADD)
    else:
        finish_tile(p, ab, i, j, rows, vectors, DESCEND)


cdef inline Panel pack(
    const Product* p, Py_ssize_t j, Py_ssize_t k, Py_ssize_t depth, const int vectors
) noexcept nogil:
    """Columns j to j+vectors*WIDTH of B, rows k to k+depth, side by side if that pays"""
    cdef Panel panel
    cdef Py_ssize_t r
    cdef int v
    panel.k, panel.end = k, min(k + depth, p.K)
    panel.B, panel.ldb = p.B + k * p.ldb + j, p.ldb
    if p.M >= PACKED_ROWS and p.ldb > vectors * WIDTH:
        for r in range(panel.end - k):
            for v in range(vectors):
                store(
                    p.packed + (r * vectors + v) * WIDTH,
                    load(panel.B + r * p.ldb + v * WIDTH),
                )
        panel.B, panel.ldb = p.packed, vectors * WIDTH
    return panel


cdef inline void column_of_tiles(const Product* p, Py_ssize_t j, const int vectors) noexcept nogil:
    """All rows of C, columns j to j+vectors*WIDTH (or N)"""
    cdef Py_ssize_t i, k = 0, depth = DEEPEST if p.epilogue >= ADD else DEPTH
    cdef Panel panel
    while k < p.K:
        panel = pack(p, j, k, depth, vectors)
        i = 0
        while p.M - i >= ROWS:
            tile(p, &panel, i, j, ROWS, vectors)
            i += ROWS
        if p.M - i >= 4:
            tile(p, &panel, i, j, 4, vectors)
            i += 4
        if p.M - i >= 2:
            tile(p, &panel, i, j, 2, vectors)
            i += 2
        if p.M - i >= 1:
            tile(p, &panel, i, j, 1, vectors)
        k += depth


cdef inline void interleave(const Product* p, Py_ssize_t first, Product* band) noexcept nogil:
    """Copy the band's rows of A, from `first` on, strip by strip: [k][row in the strip]

    Of a transposed A, six rows are six neighbours in every row of memory: without this each k of
    a tile is on a cache line of its own.
    """
    cdef Py_ssize_t i, k, k0 = 0
    cdef real* packed = p.packed + DEEPEST * TILE_VECTORS * WIDTH
    while k0 < p.K:  # so few k at a time that their lines stay in the cache for the next strip
        i = 0
        while i < band.M:
            for k in range(k0, min(k0 + 16, p.K)):
                memcpy(
                    packed + i * p.K + k * ROWS, p.A + first + i + k * p.sk, ROWS * sizeof(real)
                )
            i += ROWS
        k0 += 16
    band.A, band.sm, band.sk, band.strip = packed, 1, ROWS, p.K


cdef inline void multiply_band(const Product* p) noexcept nogil:
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


cdef inline void multiply(const Product* p) noexcept nogil:
    """C := epilogue(A B), in bands of rows if A is transposed and it pays to copy it"""
    cdef Product band = p[0]
    cdef Py_ssize_t first = 0
    cdef bint interleaves = p.sm == 1 and p.K <= DEEPEST and p.K * p.N > 2 * BAND  # B is large
    cdef Py_ssize_t rows = BAND // p.K // ROWS * ROWS if interleaves else p.M
    while first < p.M:
        band.M = min(rows, p.M - first)
        band.C = p.C + first * p.ldc
        band.guard = p.guard + first * p.ldc
        if interleaves:
            interleave(p, first, &band)
        multiply_band(&band)
        first += rows


cdef inline Py_ssize_t packed_length() noexcept nogil:
    """A panel of B and a band of A"""
    return DEEPEST * TILE_VECTORS * WIDTH + BAND
