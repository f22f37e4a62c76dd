/* The number type `real`, the vector type `vec` of this build, and the primitive operations on them.
 * The width follows the instruction set: 64-byte vectors compiled for AVX2 run several times slower.
 * Also here, because no other language can say it: what the compiler must not move, what the cache is
 * to fetch, and the processor's flush-to-zero mode. */
#pragma once

#include <stddef.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifdef FASTNN_DOUBLE
typedef double real;
typedef unsigned long long real_bits;
#define MANTISSA_BITS 52
#else
typedef float real;
typedef unsigned int real_bits;
#define MANTISSA_BITS 23
#endif
#define INFINITE ((real)__builtin_inff())

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#define WIDTH (VECTOR_BYTES / (int)sizeof(real))
#define CACHE_LINE (64 / (int)sizeof(real)) /* numbers on a line of the cache */

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real unaligned_vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
typedef real_bits bits __attribute__((vector_size(VECTOR_BYTES)));
typedef __typeof__((vec){} < (vec){}) mask; /* of a comparison: all bits of a lane are set, or none */

/* Inlined by order, the kernels too: a `vec` stays in its register, a constant argument constant. */
#define INLINE static inline __attribute__((always_inline))
#undef CYTHON_INLINE
#define CYTHON_INLINE inline __attribute__((always_inline))

/* Columns of a register tile, in vectors: 6 rows of them, one row of B and a number of A fill the
 * 32 registers of AVX-512, the 16 of AVX2 and SSE. */
#if defined(__AVX512F__)
#define TILE_VECTORS 4
#else
#define TILE_VECTORS 2
#endif

INLINE vec load(const real *p) { return *(const unaligned_vec *)p; }
INLINE void store(real *p, vec v) { *(unaligned_vec *)p = v; }
INLINE void prefetch(const real *p) { __builtin_prefetch(p); } /* any address will do */
INLINE vec spread(real x) { return x - (vec){}; }
INLINE real first_lane(vec v) { return v[0]; }

/* w - rate * dw, the step of gradient descent, wherever it is taken. The asm statement keeps the
 * compiler from computing rate * dw early, on the way to several places: then one path would round
 * twice where the others have a fused multiply-add, and the modes would differ in their last bits. */
INLINE vec descended(vec w, real rate, vec dw)
{
#if defined(__AVX512F__)
    __asm__("" : "+v"(w), "+v"(dw));
#elif defined(__SSE2__)
    __asm__("" : "+x"(w), "+x"(dw));
#elif defined(__aarch64__)
    __asm__("" : "+w"(w), "+w"(dw));
#endif
    return w - spread(rate) * dw;
}

/* v itself, of which the compiler does not know that it is a product: it may not leave out its rounding
 * in a sum, by a fused multiply-add, where exact_product of elementary.pxd goes by what is rounded off. */
INLINE vec rounded(vec v)
{
#if defined(__AVX512F__)
    __asm__("" : "+v"(v));
#elif defined(__SSE2__)
    __asm__("" : "+x"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#else
    __asm__("" : "+m"(v));
#endif
    return v;
}

/* p itself, of which the compiler knows nothing: what is read through it is read from here on, not kept
 * from before in registers that the loop in between has better use for. */
INLINE const void *reloaded(const void *p)
{
    __asm__ volatile("" : "+r"(p));
    return p;
}

/* v where x > 0, otherwise 0; and max(v, 0), where NaN stays NaN. */
INLINE vec where_positive(vec x, vec v) { return (vec)((x > (vec){}) & (mask)v); }
INLINE vec not_negative(vec v) { return (vec)(~(v < (vec){}) & (mask)v); }

/* The first n lanes (all, if n > WIDTH) from memory or to it; no byte beyond them is touched.
 * GCC makes masked moves of these loops. */
INLINE vec load_first(const real *p, ptrdiff_t n, real rest)
{
    real lanes[WIDTH];
    if (n >= WIDTH)
        return load(p);
    for (int i = 0; i < WIDTH; i++)
        lanes[i] = i < (int)n ? p[i] : rest;
    return load(lanes);
}
INLINE void store_first(real *p, vec v, ptrdiff_t n)
{
    if (n >= WIDTH)
        store(p, v);
    else
        for (int i = 0; i < WIDTH; i++)
            if (i < (int)n)
                p[i] = v[i];
}

/* A vector of which n lanes count. The others may be what another thread is writing; they are thrown
 * away, so it does not matter what they hold. ThreadSanitizer sees only those that count. */
INLINE vec load_beside(const real *p, ptrdiff_t n)
{
#if defined(__SANITIZE_THREAD__)
    return load_first(p, n, 0);
#else
    (void)n;
    return load(p);
#endif
}

/* Not under ThreadSanitizer: GCC 12 spills the 16 bits of a mask around its calls, and reads 32 back. */
#if defined(__AVX512VL__) && !defined(FASTNN_DOUBLE) && !defined(__SANITIZE_THREAD__)
#define COMPRESSES
#endif

/* units, values := first + i and v[i] of the lanes that are not zero (NaN is not), in their order;
 * returns how many. There is room for a whole vector. */
INLINE int list_nonzero(vec v, int first, int *units, real *values)
{
    int count = 0;
#if defined(COMPRESSES)
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __mmask16 chosen = _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    __m512i found = _mm512_maskz_compress_epi32(chosen, lanes);
    _mm512_storeu_si512(units, _mm512_add_epi32(found, _mm512_set1_epi32(first)));
    store(values, (vec)_mm512_maskz_compress_ps(chosen, (__m512)v));
    count = __builtin_popcount(chosen);
#else
    for (int i = 0; i < WIDTH; i++) { /* without a branch, which could not be predicted */
        units[count] = first + i;
        values[count] = v[i];
        count += v[i] != 0;
    }
#endif
    return count;
}

/* The way back: v := the next of values where x is not zero, otherwise 0; returns how many. There is a
 * whole vector to read. */
INLINE int place_nonzero(vec x, const real *values, vec *v)
{
#if defined(COMPRESSES)
    __mmask16 chosen = _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    *v = (vec)_mm512_maskz_expand_ps(chosen, (__m512)load(values));
    return __builtin_popcount(chosen);
#else
    int count = 0;
    real lanes[WIDTH];
    for (int i = 0; i < WIDTH; i++) { /* without a branch */
        lanes[i] = values[count];
        count += x[i] != 0;
    }
    *v = (vec)((x != (vec){}) & (mask)load(lanes));
    return count;
#endif
}

INLINE bits to_bits(vec v) { return (bits)v; }
INLINE vec from_bits(bits b) { return (vec)b; }
INLINE vec where(mask m, vec yes, vec no) { return (vec)((m & (mask)yes) | (~m & (mask)no)); }
INLINE vec larger(vec x, vec y) { return (vec)(((x > y) & (mask)x) | (~(x > y) & (mask)y)); }
INLINE vec square_root(vec v)
{
#if defined(__AVX512F__) && defined(FASTNN_DOUBLE)
    return (vec)_mm512_sqrt_pd((__m512d)v);
#elif defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX__) && defined(FASTNN_DOUBLE)
    return (vec)_mm256_sqrt_pd((__m256d)v);
#elif defined(__AVX__)
    return (vec)_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE2__) && defined(FASTNN_DOUBLE)
    return (vec)_mm_sqrt_pd((__m128d)v);
#elif defined(__SSE2__)
    return (vec)_mm_sqrt_ps((__m128)v);
#else
    for (int i = 0; i < WIDTH; i++)
        v[i] = sizeof(real) == 4 ? __builtin_sqrtf(v[i]) : __builtin_sqrt(v[i]);
    return v;
#endif
}
INLINE vec divide(vec x, vec y) { return x / y; } /* Cython would look for a zero first */

/* c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule */
#define polynomial(x, ...) \
    horner(x, (const real[]){__VA_ARGS__}, sizeof((const real[]){__VA_ARGS__}) / sizeof(real))
INLINE vec horner(vec x, const real *c, int n)
{
    vec sum = spread(c[n - 1]);
    for (int i = n - 2; i >= 0; i--)
        sum = sum * x + spread(c[i]);
    return sum;
}

/* The lanes' sum and the largest lane, halves first: one fixed order for each width. */
INLINE real lane_sum(vec v)
{
#pragma GCC unroll 4
    for (int half = WIDTH / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            v[i] += v[i + half];
    return v[0];
}
INLINE real lane_max(vec v)
{
#pragma GCC unroll 4
    for (int half = WIDTH / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            v[i] = v[i] > v[i + half] ? v[i] : v[i + half];
    return v[0];
}

/* lane j := the sum of the lanes of rows[j], added as lane_sum does. Stage by stage, rows r and r+h
 * swap their off-diagonal squares of h x h, as in a transposition, and are added. */
INLINE vec lane_sums(const vec *rows)
{
    vec v[WIDTH];
#if defined(__clang__) /* has no shuffle with computed lanes */
    for (int j = 0; j < WIDTH; j++)
        v[0][j] = lane_sum(rows[j]);
#else
    mask lane;
    for (int i = 0; i < WIDTH; i++) {
        lane[i] = i;
        v[i] = rows[i];
    }
#pragma GCC unroll 4
    for (int h = WIDTH / 2; h > 0; h /= 2) {
        mask upper = (lane & h) != 0;
        mask first = (upper & (lane + WIDTH - h)) | (~upper & lane);
        mask second = (upper & (lane + WIDTH)) | (~upper & (lane + h));
#pragma GCC unroll 8
        for (int r = 0; r < h; r++)
            v[r] = __builtin_shuffle(v[r], v[r + h], first)
                   + __builtin_shuffle(v[r], v[r + h], second);
    }
#endif
    return v[0];
}

/* Eight numbers, whatever the width of a vector: a row of a tiny network. GCC warns that functions
 * would pass them in another way in other builds; these are all inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"
typedef real octet __attribute__((vector_size(8 * sizeof(real))));
typedef octet unaligned_octet __attribute__((aligned(sizeof(real)), may_alias));
typedef __typeof__((octet){} < (octet){}) octet_mask;
typedef real_bits octet_bits __attribute__((vector_size(8 * sizeof(real))));
INLINE octet spread_octet(real x) { return x - (octet){}; }
INLINE octet octet_where_positive(octet x, octet v) { return (octet)((x > (octet){}) & (octet_mask)v); }
INLINE octet octet_not_negative(octet v) { return (octet)(~(v < (octet){}) & (octet_mask)v); }

/* The first n lanes from memory, zeros in the others; all eight are read. */
INLINE octet load_octet(const real *p, ptrdiff_t n)
{
    const octet lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return (octet)((lane < spread_octet(n)) & (octet_mask)*(const unaligned_octet *)p);
}

/* v[i] in all lanes: a shuffle where the processor has one for eight lanes. */
INLINE octet spread_lane(octet v, int i)
{
#if defined(__AVX2__) && !defined(__clang__) && (defined(__AVX512F__) || !defined(FASTNN_DOUBLE))
    return __builtin_shuffle(v, (octet_bits){} + (real_bits)i);
#else
    return spread_octet(v[i]);
#endif
}

INLINE octet first_unit(void) { return (octet){1}; }

/* The lanes' sum, halves first. */
INLINE real octet_sum(octet v)
{
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
    return v[0] + v[1];
}

/* b := a transposed, WIDTH x WIDTH; only the first `rows` rows of b are stored.
 * Stage by stage, rows r and r+h swap their off-diagonal squares of h x h. */
INLINE void transpose_square(const real *a, long lda, real *b, long ldb, long rows)
{
#if defined(__clang__) /* has no shuffle with computed lanes */
    for (long j = 0; j < rows; j++)
        for (long i = 0; i < WIDTH; i++)
            b[j * ldb + i] = a[i * lda + j];
#else
    vec v[WIDTH];
    mask lane;
    for (int i = 0; i < WIDTH; i++) {
        lane[i] = i;
        v[i] = load(a + i * lda);
    }
#pragma GCC unroll 8
    for (int h = WIDTH / 2; h > 0; h /= 2) {
        mask upper = (lane & h) != 0;
        mask first = (upper & (lane + WIDTH - h)) | (~upper & lane);
        mask second = (upper & (lane + WIDTH)) | (~upper & (lane + h));
#pragma GCC unroll 16
        for (int r = 0; r < WIDTH; r++)
            if (!(r & h)) {
                vec kept = v[r];
                v[r] = __builtin_shuffle(kept, v[r + h], first);
                v[r + h] = __builtin_shuffle(kept, v[r + h], second);
            }
    }
#pragma GCC unroll 16
    for (int j = 0; j < WIDTH; j++)
        if (j < rows)
            store(b + j * ldb, v[j]);
#endif
}

/* Subnormal numbers cost a hundred cycles each; the core treats them as zero while it runs. */
#if defined(__SSE2__)
typedef unsigned int float_mode;
INLINE float_mode flush_subnormals(void)
{
    float_mode before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* flush-to-zero and denormals-are-zero */
    return before;
}
INLINE void restore_float_mode(float_mode before) { _mm_setcsr(before); }
#elif defined(__aarch64__)
typedef unsigned long float_mode;
INLINE void restore_float_mode(float_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
INLINE float_mode flush_subnormals(void)
{
    float_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    restore_float_mode(before | (1ul << 24));
    return before;
}
#else
typedef int float_mode;
INLINE float_mode flush_subnormals(void) { return 0; }
INLINE void restore_float_mode(float_mode mode) { (void)mode; }
#endif

/* The compiler's builtin needs a feature's name as a constant, so Cython cannot call it itself.
 * Names of whole levels ("x86-64-v3") are unknown to clang before 18; every CPU with the features
 * below has the small rest of its level (movbe, lzcnt, f16c) too. */
#if defined(__x86_64__)
#define HAS __builtin_cpu_supports
INLINE int cpu_isa_level(void)
{
    __builtin_cpu_init();
    int v3 = HAS("avx2") && HAS("fma") && HAS("bmi") && HAS("bmi2");
    int v4 = v3 && HAS("avx512f") && HAS("avx512bw") && HAS("avx512cd") && HAS("avx512dq")
             && HAS("avx512vl");
    return v4 ? 4 : v3 ? 3 : 1;
}
#else
INLINE int cpu_isa_level(void) { return 1; }
#endif

#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif
