"""TensorFlow: the whole epoch is one ``tf.function``, a graph loop over batches; also under XLA."""

from collections.abc import Sequence

import tensorflow as tf

from bench.peers.base import Peer
from bench.workloads import Array, Mode, Net, Weights, targets


class TensorflowPeer(Peer):
    """Gradients by ``tf.GradientTape``, which costs nothing once the graph is built."""

    version = tf.__version__
    jit_compile = False

    def __init__(self, net: Net, mode: Mode) -> None:
        super().__init__(net, mode)
        binary = net.is_binary
        self.cross_entropy = (
            tf.nn.sigmoid_cross_entropy_with_logits
            if binary
            else tf.nn.softmax_cross_entropy_with_logits
        )
        self.variables: list[tf.Variable] = []
        self.epoch = tf.function(self.visit_all_batches, jit_compile=self.jit_compile)

    def load_data(self, X: Array, y: Array) -> None:
        m = self.batch_size(len(X))
        n_whole = len(X) // m * m
        arrays = (X, targets(y, self.net.widths[-1]))
        self.data = [
            tf.constant(part)
            for a in arrays
            for part in (a[:n_whole].reshape(-1, m, a.shape[1]), a[n_whole:])
        ]

    def load_weights(self, weights: Sequence[Array]) -> None:
        if not self.variables:
            self.variables = [tf.Variable(w) for w in weights]
        for variable, w in zip(self.variables, weights, strict=True):
            variable.assign(w)

    def visit_all_batches(self, X, ragged_x, T, ragged_t):
        for i in tf.range(len(X)):
            self.step(X[i], T[i])
        if ragged_x.shape[0]:
            self.step(ragged_x, ragged_t)

    def step(self, x, t):
        """One batch: W := W - rate * mean gradient."""
        with tf.GradientTape() as tape:
            for W, b in zip(self.variables[:-2:2], self.variables[1:-2:2], strict=True):
                x = tf.nn.relu(x @ W + b)
            z = x @ self.variables[-2] + self.variables[-1]
            loss = tf.reduce_mean(self.cross_entropy(labels=t, logits=z))
        gradients = tape.gradient(loss, self.variables)
        for variable, gradient in zip(self.variables, gradients, strict=True):
            variable.assign_sub(self.learning_rate * gradient)

    def train_epoch(self) -> None:
        self.epoch(*self.data)
        self.variables[0].numpy()  # waits

    def weights(self) -> Weights:
        return [v.numpy().copy() for v in self.variables]


class XlaPeer(TensorflowPeer):
    """The same graph compiled by XLA."""

    jit_compile = True
