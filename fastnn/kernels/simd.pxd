"""What `simd.h` gives to the kernels. `float` stands in for the type the build chooses."""

cdef extern from "simd.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef int float_mode
    const int WIDTH
    const int TILE_VECTORS
    const char* COMPILER

    vec load(const real* p) noexcept
    void store(real* p, vec v) noexcept
    void store_some(real* p, vec v, Py_ssize_t n) noexcept
    vec spread(real x) noexcept
    vec settled(vec v) noexcept
    vec where_positive(vec x, vec v) noexcept
    vec not_negative(vec v) noexcept
    void transpose_square(
        const real* a, Py_ssize_t lda, real* b, Py_ssize_t ldb, Py_ssize_t rows
    ) noexcept
    real lane_sum(vec v) noexcept

    real real_exp(real x) noexcept
    real real_log(real x) noexcept
    real real_log1p(real x) noexcept
    real real_tanh(real x) noexcept
    real real_abs(real x) noexcept

    float_mode flush_subnormals() noexcept
    void restore_float_mode(float_mode mode) noexcept
    int cpu_isa_level() noexcept
