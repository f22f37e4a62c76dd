"""What `simd.h` gives to the kernels. `float` stands in for the type the build chooses, `int` for
its bits and for the mask that comparing two `vec` gives.
"""

cdef extern from "simd.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef float octet
    ctypedef unsigned int bits
    ctypedef int mask
    ctypedef int float_mode
    const int WIDTH
    const int CACHE_LINE
    const int TILE_VECTORS
    const int MANTISSA_BITS
    const real INFINITE
    const char* COMPILER

    vec load(const real* p) noexcept
    void store(real* p, vec v) noexcept
    vec load_beside(const real* p, Py_ssize_t n) noexcept
    vec load_first(const real* p, Py_ssize_t n, real rest) noexcept
    void store_first(real* p, vec v, Py_ssize_t n) noexcept
    void prefetch(const real* p) noexcept
    vec spread(real x) noexcept
    real first_lane(vec v) noexcept
    vec descended(vec w, real rate, vec dw) noexcept
    vec rounded(vec v) noexcept
    const void* reloaded(const void* p) noexcept
    vec where_positive(vec x, vec v) noexcept
    vec not_negative(vec v) noexcept
    octet spread_octet(real x) noexcept
    octet octet_where_positive(octet x, octet v) noexcept
    octet octet_not_negative(octet v) noexcept
    octet load_octet(const real* p, Py_ssize_t n) noexcept
    octet spread_lane(octet v, int i) noexcept
    octet first_unit() noexcept
    real octet_sum(octet v) noexcept
    void transpose_square(
        const real* a, Py_ssize_t lda, real* b, Py_ssize_t ldb, Py_ssize_t rows
    ) noexcept
    real lane_sum(vec v) noexcept
    vec lane_sums(const vec* rows) noexcept
    real lane_max(vec v) noexcept

    vec where(mask m, vec yes, vec no) noexcept
    int list_nonzero(vec v, int first, int* units, real* values) noexcept
    int place_nonzero(vec x, const real* values, vec* v) noexcept
    bits to_bits(vec v) noexcept
    vec from_bits(bits b) noexcept
    vec larger(vec x, vec y) noexcept
    vec square_root(vec v) noexcept
    vec divide(vec x, vec y) noexcept
    vec polynomial(vec x, ...) noexcept

    float_mode flush_subnormals() noexcept
    void restore_float_mode(float_mode mode) noexcept
    int cpu_isa_level() noexcept
