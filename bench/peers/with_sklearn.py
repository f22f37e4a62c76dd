"""scikit-learn: ``MLPClassifier.partial_fit``, one call per epoch or one call per row."""

from collections.abc import Sequence

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from bench.peers.base import Peer
from bench.workloads import BETA_1, BETA_2, EPSILON, Array, Mode, Weights


class SklearnPeer(Peer):
    """One ``partial_fit`` call is one epoch."""

    version = sklearn.__version__
    optimizers = ("sgd", "adam")

    def load_data(self, X: Array, y: Array) -> None:
        self.X, self.y = X, y
        self.model = MLPClassifier(
            self.net.widths[1:-1],
            solver=self.mode.optimizer,
            alpha=0.0,
            batch_size=1,
            learning_rate_init=self.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
            shuffle=False,
            random_state=0,
        )
        # Weights exist only after a first call; load_weights overwrites what it learned.
        self.model.partial_fit(X[:1], y[:1], classes=np.arange(max(2, self.net.widths[-1])))
        self.model.set_params(batch_size=self.batch_size(len(X)))

    def load_weights(self, weights: Sequence[Array]) -> None:
        for own, given in zip(self.weights(), weights, strict=True):
            own[...] = given
        vars(self.model).pop("_optimizer", None)  # the next call makes a new one

    def train_epoch(self) -> None:
        self.model.partial_fit(self.X, self.y)

    def weights(self) -> Weights:
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [w for pair in pairs for w in pair]


class SklearnRowsPeer(SklearnPeer):
    """One ``partial_fit`` call per row, as online learners use it."""

    @classmethod
    def supports(cls, mode: Mode) -> bool:
        return mode.batch_size == 1

    def train_epoch(self) -> None:
        for i in range(len(self.X)):
            self.model.partial_fit(self.X[i : i + 1], self.y[i : i + 1])
