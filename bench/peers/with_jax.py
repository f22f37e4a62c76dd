"""JAX: the whole epoch is one compiled ``lax.scan`` over batches, gradients by ``jax.grad``."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.base import Peer
from bench.workloads import Array, Weights, targets

Layers = list[tuple[jax.Array, jax.Array]]


def mean_loss(layers: Layers, x: jax.Array, t: jax.Array) -> jax.Array:
    """Mean cross-entropy, from the output layer's z (the stable form)."""
    for W, b in layers[:-1]:
        x = jax.nn.relu(x @ W + b)
    W, b = layers[-1]
    z = x @ W + b
    if t.shape[1] == 1:
        return jnp.mean(jax.nn.softplus(z) - t * z)
    return -jnp.mean(jnp.sum(t * jax.nn.log_softmax(z), axis=1))


@partial(jax.jit, static_argnames="rate", donate_argnames="layers")
def epoch(layers: Layers, whole: tuple, ragged: tuple, rate: float) -> Layers:
    """SGD over the equal batches ``whole``, then over the shorter last one if it has rows."""

    def step(layers: Layers, batch: tuple) -> tuple[Layers, None]:
        gradient = jax.grad(mean_loss)(layers, *batch)
        return jax.tree.map(lambda w, g: w - rate * g, layers, gradient), None

    layers, _ = jax.lax.scan(step, layers, whole)
    if len(ragged[0]):
        layers, _ = step(layers, ragged)
    return layers


class JaxPeer(Peer):
    version = jax.__version__

    def load_data(self, X: Array, y: Array) -> None:
        m = self.batch_size(len(X))
        n_whole = len(X) // m * m
        arrays = (X, targets(y, self.net.widths[-1]))
        self.whole = tuple(jnp.asarray(a[:n_whole].reshape(-1, m, a.shape[1])) for a in arrays)
        self.ragged = tuple(jnp.asarray(a[n_whole:]) for a in arrays)

    def load_weights(self, weights: Sequence[Array]) -> None:
        # Copies, because every epoch donates its input buffers to its output.
        w = [jnp.array(w, copy=True) for w in weights]
        self.layers = list(zip(w[0::2], w[1::2], strict=True))

    def train_epoch(self) -> None:
        rate = self.learning_rate
        self.layers = jax.block_until_ready(epoch(self.layers, self.whole, self.ragged, rate))

    def weights(self) -> Weights:
        return [np.asarray(w) for layer in self.layers for w in layer]
