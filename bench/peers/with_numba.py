"""Numba: plain loops for single rows; BLAS products into fixed buffers for batches.

In the row loops a delta overwrites its activation: relu' is 1 just where the activation is not 0.
"""

from collections.abc import Sequence

import numba
import numpy as np
import scipy  # noqa: F401  Numba takes its BLAS from SciPy: without it this peer is not installed
from numba import njit

from bench.peers.base import Peer
from bench.workloads import Array, Weights, targets

numba.set_num_threads(1)
compiled = njit(fastmath=True)


# Stepping over inactive inputs saves 20 % on 512 units; on 32 its mispredicted branch costs 25 %.
MIN_WIDTH_TO_SKIP = 128


@compiled
def output_delta(z, t, is_binary):
    """z := (sigmoid or softmax)(z) - t, for one row."""
    if is_binary:
        z[0] = np.float32(1.0) / (np.float32(1.0) + np.exp(-z[0])) - t[0]
        return
    top = z.max()
    total = np.float32(0.0)
    for j in range(len(z)):
        z[j] = np.exp(z[j] - top)
        total += z[j]
    for j in range(len(z)):
        z[j] = z[j] / total - t[j]


@compiled
def forward_row(x, W, b, z, is_hidden):
    """z := x W + b, then relu in hidden layers."""
    n_in, n_out = W.shape
    for j in range(n_out):
        z[j] = b[j]
    for i in range(n_in):
        if n_out >= MIN_WIDTH_TO_SKIP and x[i] == 0.0:
            continue
        for j in range(n_out):
            z[j] += x[i] * W[i, j]
    if is_hidden:
        for j in range(n_out):
            z[j] = max(z[j], np.float32(0.0))


@compiled
def update_row(x, W, b, dz, rate):
    """W := W - rate x dz and b := b - rate dz."""
    n_in, n_out = W.shape
    for i in range(n_in):
        scale = rate * x[i]
        for j in range(n_out):
            W[i, j] -= scale * dz[j]
    for j in range(n_out):
        b[j] -= rate * dz[j]


@compiled
def backward_row(a, W, b, dz, rate):
    """a := (W dz) * [a > 0] and the layer's update, in one sweep over W."""
    n_in, n_out = W.shape
    for i in range(n_in):
        if n_out >= MIN_WIDTH_TO_SKIP and a[i] == 0.0:
            continue
        scale = rate * a[i]
        total = np.float32(0.0)
        for j in range(n_out):
            total += W[i, j] * dz[j]
            W[i, j] -= scale * dz[j]
        a[i] = total if a[i] > 0.0 else np.float32(0.0)
    for j in range(n_out):
        b[j] -= rate * dz[j]


# Two functions, one per depth: picking layers from a tuple inside the row loop counts references
# and halves the speed of the smallest net.


@compiled
def two_layers_by_row(X, T, W, b, a, rate, is_binary):
    """Stochastic mode: the weights change after every row."""
    (W1, W2), (b1, b2), (a1, a2) = W, b, a
    for r in range(len(X)):
        forward_row(X[r], W1, b1, a1, True)
        forward_row(a1, W2, b2, a2, False)
        output_delta(a2, T[r], is_binary)
        backward_row(a1, W2, b2, a2, rate)
        update_row(X[r], W1, b1, a1, rate)


@compiled
def three_layers_by_row(X, T, W, b, a, rate, is_binary):
    """Stochastic mode: the weights change after every row."""
    (W1, W2, W3), (b1, b2, b3), (a1, a2, a3) = W, b, a
    for r in range(len(X)):
        forward_row(X[r], W1, b1, a1, True)
        forward_row(a1, W2, b2, a2, True)
        forward_row(a2, W3, b3, a3, False)
        output_delta(a3, T[r], is_binary)
        backward_row(a2, W3, b3, a3, rate)
        backward_row(a1, W2, b2, a2, rate)
        update_row(X[r], W1, b1, a1, rate)


@compiled
def forward_batch(x, W, b, z, is_hidden):
    """z := x W + b for all rows of a batch, then relu in hidden layers."""
    np.dot(x, W, z)
    for r in range(len(z)):
        for j in range(len(b)):
            z[r, j] += b[j]
            if is_hidden:
                z[r, j] = max(z[r, j], np.float32(0.0))


@compiled
def input_gradient(W, dz, da, a):
    """da := (dz W') * [a > 0]."""
    np.dot(dz, W.T, da)
    for r in range(len(a)):
        for j in range(a.shape[1]):
            if a[r, j] == 0.0:
                da[r, j] = 0.0


@compiled
def update_batch(x, W, b, dW, dz, rate):
    """W := W - rate x' dz and b := b - rate (sum of dz over the batch's rows)."""
    np.dot(x.T, dz, dW)
    for i in range(len(W)):
        for j in range(len(b)):
            W[i, j] -= rate * dW[i, j]
    b -= rate * dz.sum(axis=0)


@compiled
def train_batch(x, t, W, b, a, da, dW, rate, is_binary):
    """Forward, then layer by layer backwards; ``da`` holds deltas, ``dW`` weight gradients."""
    m, last = len(x), len(W) - 1
    forward_batch(x, W[0], b[0], a[0][:m], True)
    for k in range(1, last + 1):
        forward_batch(a[k - 1][:m], W[k], b[k], a[k][:m], k < last)
    dz = a[last][:m]
    for r in range(m):
        output_delta(dz[r], t[r], is_binary)
    for k in range(last, 0, -1):
        below = a[k - 1][:m]
        input_gradient(W[k], dz, da[k - 1][:m], below)
        update_batch(below, W[k], b[k], dW[k], dz, rate)
        dz = da[k - 1][:m]
    update_batch(x, W[0], b[0], dW[0], dz, rate)


@compiled
def epoch_by_batch(X, T, W, b, a, da, dW, rate, is_binary, batch_size):
    """Minibatch and batch modes: one mean gradient and one update per batch."""
    for start in range(0, len(X), batch_size):
        stop = min(start + batch_size, len(X))
        mean_rate = np.float32(rate / (stop - start))
        train_batch(X[start:stop], T[start:stop], W, b, a, da, dW, mean_rate, is_binary)


class NumbaPeer(Peer):
    version = numba.__version__

    def load_data(self, X: Array, y: Array) -> None:
        self.X, self.t = X, targets(y, self.net.widths[-1])
        m = self.batch_size(len(X))
        self.a = tuple(np.empty((m, n), np.float32) for n in self.net.widths[1:])
        self.da = tuple(np.empty_like(a) for a in self.a)

    def load_weights(self, weights: Sequence[Array]) -> None:
        self.W = tuple(w.copy() for w in weights[0::2])
        self.b = tuple(w.copy() for w in weights[1::2])
        self.dW = tuple(np.empty_like(W) for W in self.W)

    def train_epoch(self) -> None:
        rate = np.float32(self.learning_rate)
        data_and_net = (self.X, self.t, self.W, self.b)
        if self.mode.batch_size == 1:
            by_row = {2: two_layers_by_row, 3: three_layers_by_row}[len(self.W)]
            a = tuple(a[0] for a in self.a)
            by_row(*data_and_net, a, rate, self.net.is_binary)
        else:
            scratch = (self.a, self.da, self.dW)
            m = self.batch_size(len(self.X))
            epoch_by_batch(*data_and_net, *scratch, rate, self.net.is_binary, m)

    def weights(self) -> Weights:
        return [w for pair in zip(self.W, self.b, strict=True) for w in pair]
