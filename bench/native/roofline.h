/* What the core of this machine can do at most, in the vectors of the build in use (kernels/simd.h).
 * Compiled at run time by bench/native; a header by name only, since *.c is what Cython writes. */
#include "simd.h"

/* Independent chains of multiply-add: enough to hide their latency, few enough for the registers. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define CHAINS 24
#else
#define CHAINS 12
#endif

long chains(void) { return CHAINS; }
long width(void) { return WIDTH; }

/* rounds of acc := acc*a + b in every chain, where chain i begins at i; returns the sum of all lanes.
 * The compiler does not know that a and b are 1, nor can it merge chains that begin differently. */
double multiply_add(long rounds, real a, real b)
{
    vec acc[CHAINS], va = spread(a), vb = spread(b);
    double sum = 0;
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        acc[i] = spread((real)i);
    for (long r = 0; r < rounds; r++)
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * va + vb;
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        for (int lane = 0; lane < WIDTH; lane++)
            sum += acc[i][lane];
    return sum;
}

/* The sum over n numbers, passes times; n is a multiple of CHAINS * WIDTH. */
double read_only(const real *p, long n, long passes)
{
    vec acc[CHAINS] = {};
    double sum = 0;
    for (long pass = 0; pass < passes; pass++) {
        for (long k = 0; k < n; k += CHAINS * WIDTH)
#pragma GCC unroll 24
            for (int i = 0; i < CHAINS; i++)
                acc[i] += load(p + k + i * WIDTH);
        __asm__ volatile("" ::: "memory"); /* or one pass would do for all */
    }
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        for (int lane = 0; lane < WIDTH; lane++)
            sum += acc[i][lane];
    return sum;
}

/* p := p + 1 in place, passes times. */
void read_write(real *p, long n, long passes)
{
    for (long pass = 0; pass < passes; pass++) {
        for (long k = 0; k < n; k += CHAINS * WIDTH)
#pragma GCC unroll 24
            for (int i = 0; i < CHAINS; i++)
                store(p + k + i * WIDTH, load(p + k + i * WIDTH) + spread(1));
        __asm__ volatile("" ::: "memory");
    }
}
