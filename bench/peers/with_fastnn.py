"""fastnn through its public face: one ``Sequential.fit`` a round, argument checks included."""

from collections.abc import Sequence

import fastnn
from bench.peers.base import Peer
from bench.workloads import BETA_1, BETA_2, EPSILON, Array, Mode, Net, Weights


class FastnnPeer(Peer):
    version = fastnn.__version__
    optimizers = ("sgd", "adam")

    def __init__(self, net: Net, mode: Mode, threads: int = 1) -> None:
        super().__init__(net, mode)
        n_features, *hidden, n_out = net.widths
        layers = [fastnn.Dense(n, "relu") for n in hidden]
        layers.append(fastnn.Dense(n_out, "sigmoid" if net.is_binary else "softmax"))
        self.model = fastnn.Sequential(layers, dtype="float32", seed=0)
        self.model.build(n_features)
        self.optimizer = fastnn.SGD(self.learning_rate)
        if mode.optimizer == "adam":
            self.optimizer = fastnn.Adam(self.learning_rate, BETA_1, BETA_2, EPSILON)
        self.loss = "binary_crossentropy" if net.is_binary else "categorical_crossentropy"
        self.options = {"mode": mode.name.split()[0], "shuffle": False, "threads": threads}
        if self.options["mode"] == "minibatch":
            self.options["batch_size"] = mode.batch_size

    def load_data(self, X: Array, y: Array) -> None:
        self.X, self.y = X, y

    def load_weights(self, weights: Sequence[Array]) -> None:
        self.model.set_weights(list(weights))
        self.model.compile(self.optimizer, self.loss)  # what the optimiser kept is gone

    def train_epoch(self) -> None:
        self.train(1)

    def train(self, n_epochs: int) -> None:
        self.model.fit(self.X, self.y, epochs=n_epochs, **self.options)

    def weights(self) -> Weights:
        return self.model.get_weights()
