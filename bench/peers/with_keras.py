"""Keras on TensorFlow: ``model.fit``, as most people use it."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow  # noqa: F401  the backend: without it this peer is not installed

from bench.peers.base import Peer
from bench.workloads import BETA_1, BETA_2, EPSILON, Array, Mode, Net, Weights, targets


class KerasPeer(Peer):
    version = keras.__version__
    optimizers = ("sgd", "adam")
    least_seconds = 0.5  # ``fit`` takes tenths of a second before its first step

    def __init__(self, net: Net, mode: Mode) -> None:
        super().__init__(net, mode)
        n_features, *hidden, n_out = net.widths
        layers = [keras.Input((n_features,)), *(keras.layers.Dense(n, "relu") for n in hidden)]
        layers.append(keras.layers.Dense(n_out, "sigmoid" if net.is_binary else "softmax"))
        self.model = keras.Sequential(layers)
        self.optimizer = keras.optimizers.SGD(self.learning_rate)
        if mode.optimizer == "adam":
            self.optimizer = keras.optimizers.Adam(self.learning_rate, BETA_1, BETA_2, EPSILON)
        self.model.compile(
            optimizer=self.optimizer,
            loss="binary_crossentropy" if net.is_binary else "categorical_crossentropy",
        )
        self.optimizer.build(self.model.trainable_variables)
        self.initial_state = [v.numpy() for v in self.optimizer.variables]

    def load_data(self, X: Array, y: Array) -> None:
        self.X, self.t = X, targets(y, self.net.widths[-1])

    def load_weights(self, weights: Sequence[Array]) -> None:
        self.model.set_weights(list(weights))
        for variable, value in zip(self.optimizer.variables, self.initial_state, strict=True):
            variable.assign(value)

    def train_epoch(self) -> None:
        self.train(1)

    def train(self, n_epochs: int) -> None:
        m = self.batch_size(len(self.X))
        self.model.fit(self.X, self.t, batch_size=m, epochs=n_epochs, shuffle=False, verbose=0)

    def weights(self) -> Weights:
        return [np.array(w) for w in self.model.get_weights()]
