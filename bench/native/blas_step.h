/* A training epoch with BLAS alone, as one would write it in C: relu in the hidden layers, sigmoid or
 * softmax at the end, and no gradient in memory: W := W - rate/m * a' dz is one sgemm with beta = 1.
 * Compiled at run time by bench/native; sgemm is SciPy's, its address comes as an argument. */
#include <math.h>
#include <string.h>

typedef void sgemm_t(const char *, const char *, const int *, const int *, const int *, const float *,
                     const float *, const int *, const float *, const int *, const float *, float *,
                     const int *);

struct net {
    sgemm_t *sgemm;
    int n_layers, is_binary;
    const int *widths; /* from input to output */
    float **W, **b;    /* W[l] is (widths[l], widths[l+1]) */
    float **W_next;    /* where the update goes: W itself, or a copy while rows of one batch remain */
    float **a, **da;   /* of the rows of a chunk: a[l] is layer l's output, da[l] its gradient */
};

/* C := alpha * A B + beta * C for row-major arrays, A or B transposed on request. */
static void product(const struct net *net, char ta, char tb, int m, int n, int k, float alpha,
                    const float *A, const float *B, float beta, float *C)
{
    int lda = ta == 'T' ? m : k, ldb = tb == 'T' ? k : n;
    net->sgemm(&tb, &ta, &n, &m, &k, &alpha, B, &ldb, A, &lda, &beta, C, &n);
}

static void probabilities_minus_targets(float *z, const float *t, int m, int n, int is_binary)
{
    for (int r = 0; r < m; r++, z += n, t += n) {
        float top = z[0], sum = 0;
        for (int j = 1; j < n; j++)
            top = z[j] > top ? z[j] : top;
        for (int j = 0; j < n; j++) {
            z[j] = is_binary ? 1 / (1 + expf(-z[j])) : expf(z[j] - top);
            sum += z[j];
        }
        for (int j = 0; j < n; j++)
            z[j] = (is_binary ? z[j] : z[j] / sum) - t[j];
    }
}

static void forward(const struct net *net, const float *x, int m)
{
    for (int l = 0; l < net->n_layers; l++) {
        int n = net->widths[l + 1], is_hidden = l + 1 < net->n_layers;
        float *z = net->a[l];
        const float *b = net->b[l];
        product(net, 'N', 'N', m, n, net->widths[l], 1, x, net->W[l], 0, z);
        for (int r = 0; r < m; r++)
            for (int j = 0; j < n; j++) {
                float with_bias = z[(long)r * n + j] + b[j];
                z[(long)r * n + j] = is_hidden && with_bias < 0 ? 0 : with_bias;
            }
        x = z;
    }
}

static void backward(const struct net *net, const float *x, int m, float rate)
{
    const float *dz = net->a[net->n_layers - 1];
    for (int l = net->n_layers - 1; l >= 0; l--) {
        int n_in = net->widths[l], n = net->widths[l + 1];
        const float *a_in = l ? net->a[l - 1] : x;
        if (l) {
            float *da = net->da[l - 1];
            product(net, 'N', 'T', m, n_in, n, 1, dz, net->W[l], 0, da);
            for (long i = 0; i < (long)m * n_in; i++)
                da[i] = a_in[i] > 0 ? da[i] : 0;
        }
        product(net, 'T', 'N', n_in, n, m, -rate, a_in, dz, 1, net->W_next[l]);
        float *b = net->b[l] + (net->W_next[l] == net->W[l] ? 0 : n); /* the copy lies behind */
        for (int r = 0; r < m; r++)
            for (int j = 0; j < n; j++)
                b[j] -= rate * dz[(long)r * n + j];
        dz = l ? net->da[l - 1] : 0;
    }
}

/* Copies of the weights take the updates of a batch's chunks (bring: 0), then replace them (1). */
static void exchange(const struct net *net, int bring)
{
    for (int l = 0; l < net->n_layers; l++) {
        size_t n = net->widths[l + 1], bytes = sizeof(float) * net->widths[l] * n;
        float *b = net->b[l];
        memcpy(bring ? net->W[l] : net->W_next[l], bring ? net->W_next[l] : net->W[l], bytes);
        memcpy(bring ? b : b + n, bring ? b + n : b, sizeof(float) * n);
    }
}

/* Visit all rows in batches; a batch larger than a chunk stays in cache by passing chunk by chunk. */
void epoch(const struct net *net, const float *X, const float *T, long n_rows, long batch, long chunk,
           float rate)
{
    int n_in = net->widths[0], n_out = net->widths[net->n_layers];
    int in_chunks = net->W_next[0] != net->W[0];
    for (long first = 0; first < n_rows; first += batch) {
        long last = first + batch < n_rows ? first + batch : n_rows;
        if (in_chunks)
            exchange(net, 0);
        for (long r = first; r < last; r += chunk) {
            int m = r + chunk < last ? chunk : last - r;
            forward(net, X + r * n_in, m);
            probabilities_minus_targets(net->a[net->n_layers - 1], T + r * n_out, m, n_out,
                                        net->is_binary);
            backward(net, X + r * n_in, m, rate / (last - first));
        }
        if (in_chunks)
            exchange(net, 1);
    }
}
