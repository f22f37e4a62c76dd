"""NumPy by hand: a loop over batches, two matrix products per layer, updates in place."""

from collections.abc import Sequence

import numpy as np

from bench.peers.base import Peer
from bench.workloads import Array, Weights, targets


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


class NumpyPeer(Peer):
    version = np.__version__

    def load_data(self, X: Array, y: Array) -> None:
        self.X, self.t = X, targets(y, self.net.widths[-1])

    def load_weights(self, weights: Sequence[Array]) -> None:
        self.W = [w.copy() for w in weights[0::2]]
        self.b = [w.copy() for w in weights[1::2]]

    def train_epoch(self) -> None:
        m = self.batch_size(len(self.X))
        for start in range(0, len(self.X), m):
            self.step(self.X[start : start + m], self.t[start : start + m])

    def step(self, x: Array, t: Array) -> None:
        """One batch: W := W - rate * mean gradient, for every layer."""
        a = forward(self.W, self.b, x, self.net.is_binary)
        dz = a.pop()
        dz -= t
        dz *= np.float32(self.learning_rate / len(x))
        for W, b in zip(reversed(self.W), reversed(self.b), strict=True):
            a_in = a.pop()
            dW, db = a_in.T @ dz, dz.sum(axis=0)
            if a:  # the input needs no gradient
                dz = dz @ W.T
                dz *= a_in > 0.0
            W -= dW
            b -= db

    def weights(self) -> Weights:
        return [w for pair in zip(self.W, self.b, strict=True) for w in pair]
