"""JAX: the whole epoch is one compiled ``lax.scan`` over batches, its steps by optax."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.peers.base import Peer
from bench.workloads import BETA_1, BETA_2, EPSILON, Array, Mode, Net, Weights, targets

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


@partial(jax.jit, static_argnames="optimizer", donate_argnames="carry")
def epoch(
    carry: tuple, whole: tuple, ragged: tuple, optimizer: optax.GradientTransformation
) -> tuple:
    """A step for each of the equal batches ``whole``, then for the last one if it has rows.

    ``carry`` holds the layers and what the optimiser keeps.
    """

    def step(carry: tuple, batch: tuple) -> tuple[tuple, None]:
        layers, state = carry
        gradient = jax.grad(mean_loss)(layers, *batch)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(layers, updates), state), None

    carry, _ = jax.lax.scan(step, carry, whole)
    if len(ragged[0]):
        carry, _ = step(carry, ragged)
    return carry


class JaxPeer(Peer):
    version = f"{jax.__version__} (optax {optax.__version__})"
    optimizers = ("sgd", "adam")

    def __init__(self, net: Net, mode: Mode) -> None:
        super().__init__(net, mode)
        self.optimizer = optax.sgd(self.learning_rate)
        if mode.optimizer == "adam":
            self.optimizer = optax.adam(self.learning_rate, BETA_1, BETA_2, EPSILON)

    def load_data(self, X: Array, y: Array) -> None:
        m = self.batch_size(len(X))
        n_whole = len(X) // m * m
        arrays = (X, targets(y, self.net.widths[-1]))
        self.whole = tuple(jnp.asarray(a[:n_whole].reshape(-1, m, a.shape[1])) for a in arrays)
        self.ragged = tuple(jnp.asarray(a[n_whole:]) for a in arrays)

    def load_weights(self, weights: Sequence[Array]) -> None:
        # Copies, because every epoch donates its input buffers to its output.
        w = [jnp.array(w, copy=True) for w in weights]
        layers = list(zip(w[0::2], w[1::2], strict=True))
        self.carry = layers, self.optimizer.init(layers)

    def train_epoch(self) -> None:
        carry = epoch(self.carry, self.whole, self.ragged, self.optimizer)
        self.carry = jax.block_until_ready(carry)

    def weights(self) -> Weights:
        return [np.asarray(w) for layer in self.carry[0] for w in layer]
