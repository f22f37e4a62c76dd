"""NumPy by hand: a loop over batches, two matrix products per layer, updates in place."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from bench.peers.base import Peer
from bench.workloads import BETA_1, BETA_2, EPSILON, Array, Weights, targets


def forward(W: Weights, b: Weights, x: Array, is_binary: bool) -> list[Array]:
    """All activations, input first; temporaries are reused in place."""
    a = [x]
    for W_l, b_l in zip(W, b, strict=True):
        z = a[-1] @ W_l
        z += b_l
        a.append(z)
        if len(a) <= len(W):
            np.maximum(z, 0.0, out=z)
    if is_binary:
        a[-1] = 1.0 / (1.0 + np.exp(-z))
    else:
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
    return a


def adam(w: Array, g: Array, m: Array, v: Array, rate: float) -> None:
    """All in place; of the gradient nothing is left."""
    m *= BETA_1
    m += (1 - BETA_1) * g
    v *= BETA_2
    g *= g
    g *= 1 - BETA_2
    v += g
    np.sqrt(v, out=g)
    g += EPSILON
    np.divide(m, g, out=g)
    g *= rate
    w -= g


class NumpyPeer(Peer):
    version = np.__version__
    optimizers = ("sgd", "adam")

    def load_data(self, X: Array, y: Array) -> None:
        self.X, self.t = X, targets(y, self.net.widths[-1])

    def load_weights(self, weights: Sequence[Array]) -> None:
        self.W = [w.copy() for w in weights[0::2]]
        self.b = [w.copy() for w in weights[1::2]]
        self.means = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
        self.n_steps = 0

    def train_epoch(self) -> None:
        m = self.batch_size(len(self.X))
        for start in range(0, len(self.X), m):
            self.step(self.X[start : start + m], self.t[start : start + m])

    def step(self, x: Array, t: Array) -> None:
        """One batch: W := W - rate * mean gradient, or a step of Adam, for every layer."""
        self.n_steps += 1
        scale = self.learning_rate if self.mode.optimizer == "sgd" else 1.0
        a = forward(self.W, self.b, x, self.net.is_binary)
        dz = a.pop()
        dz -= t
        dz *= np.float32(scale / len(x))
        for k in reversed(range(len(self.W))):
            a_in = a.pop()
            dW, db = a_in.T @ dz, dz.sum(axis=0)
            if a:  # the input needs no gradient
                dz = dz @ self.W[k].T
                dz *= a_in > 0.0
            self.move(2 * k, self.W[k], dW)
            self.move(2 * k + 1, self.b[k], db)

    def move(self, k: int, w: Array, g: Array) -> None:
        """The k-th array of parameters."""
        if self.mode.optimizer == "sgd":
            w -= g  # which the rate is in
        else:
            corrections = sqrt(1 - BETA_2**self.n_steps) / (1 - BETA_1**self.n_steps)
            adam(w, g, *self.means[k], self.learning_rate * corrections)

    def weights(self) -> Weights:
        return [w for pair in zip(self.W, self.b, strict=True) for w in pair]
