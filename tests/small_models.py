"""Small models and rows that several tests fit, with what the reference makes of them."""

import numpy as np
import pytest
import reference

from fastnn import SGD, Callback, Dense, Sequential

OUTPUT = {  # last layer, loss
    "binary": (Dense(1, "sigmoid"), "binary_crossentropy"),
    "two binary": (Dense(2, "sigmoid"), "binary_crossentropy"),
    "labels": (Dense(3, "softmax"), "categorical_crossentropy"),
    "one-hot": (Dense(3, "softmax"), "categorical_crossentropy"),
    "numbers": (Dense(2), "mean_squared_error"),
    "signs": (Dense(2), "hinge"),
    "zeros and ones": (Dense(2, "tanh"), "squared_hinge"),
}
N_ROWS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 5))
CLASSES = RNG.integers(0, 3, N_ROWS)
Y = {
    "binary": CLASSES % 2,
    "two binary": np.stack([CLASSES % 2, CLASSES // 2], axis=1),
    "labels": CLASSES,
    "one-hot": np.eye(3)[CLASSES],
    "numbers": X[:, :2] ** 2,
    "signs": 2 * np.stack([CLASSES % 2, CLASSES // 2], axis=1) - 1,
    "zeros and ones": np.stack([CLASSES % 2, CLASSES // 2], axis=1),
}
WEIGHTS = RNG.uniform(0, 2, N_ROWS)
BATCH_SIZES = {"stochastic": 1, "minibatch": 8, "batch": N_ROWS}  # 8 leaves a shorter last batch
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
modes = pytest.mark.parametrize("mode", BATCH_SIZES)
kinds = pytest.mark.parametrize("kind", OUTPUT)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def model_for(kind="binary", dtype="float32", *, seed=7, rate=0.1, metrics=None):
    """A compiled model 5-4-3-k with its initial weights."""
    output, loss = OUTPUT[kind]
    model = Sequential([Dense(4, "tanh"), Dense(3, "relu"), output], dtype=dtype, seed=seed)
    model.compile(SGD(rate), loss, metrics)
    model.build(X.shape[1])
    return model


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def assert_same_steps(one, other, mode):
    """Equal bits, or 2e-5 in stochastic mode: there a tiny network computes z before the row's
    last step and corrects it, but not for the first row of a block, so that the last bits depend
    on the row's place in its block of 32."""
    if mode == "stochastic":
        assert_close(one.get_weights(), other.get_weights(), TOLERANCE["float32"])
    else:
        assert bits(one) == bits(other)


def order_of(seed, epoch, n_rows=N_ROWS):
    return np.random.Generator(np.random.Philox([seed, epoch])).permutation(n_rows)


def loss_of(kind):
    return OUTPUT[kind][1]


def activations_of(model):
    return [layer.activation for layer in model.layers]


def reference_fit(model, kind, mode, epochs, sample_weight=None):
    """Weights and losses of the oracle from the model's weights on, visiting the same rows."""
    weights, losses = model.get_weights(), []
    for epoch in range(epochs):
        order = np.arange(N_ROWS) if mode == "batch" else order_of(model.seed, epoch)
        weights, loss = reference.descend(
            weights,
            activations_of(model),
            loss_of(kind),
            X,
            Y[kind],
            0.1,
            BATCH_SIZES[mode],
            order,
            sample_weight,
        )
        losses.append(loss)
    return weights, losses


def assert_close(actual, expected, tolerance):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


class Recorder(Callback):
    """Writes down which hook was called with what; raises or stops where it is asked to."""

    def __init__(self, raise_in=None, error=RuntimeError, calls=None):
        self.calls = [] if calls is None else calls
        self.raise_in, self.error = raise_in, error

    def note(self, hook, *arguments):
        self.calls.append((hook, *arguments))
        if hook == self.raise_in:
            raise self.error("on purpose")

    def on_train_begin(self, logs):
        self.note("train begin")

    def on_train_end(self, logs):
        self.note("train end")

    def on_epoch_begin(self, epoch, logs):
        self.note("epoch begin", epoch)

    def on_epoch_end(self, epoch, logs):
        self.note("epoch end", epoch, dict(logs))

    def on_slice_end(self, n_rows, logs):
        self.note("slice end", n_rows, dict(logs))

    @property
    def hooks(self):
        return [call[0] for call in self.calls]


def wide_model_and_rows(
    n_rows=1500, metrics=None, loss="binary_crossentropy", rate=0.01, dtype="float32"
):
    """A network so wide that an epoch over these rows takes several slices."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(n_rows, 1600)).astype("f4")
    output = Dense(1, "sigmoid" if loss == "binary_crossentropy" else "linear")
    model = Sequential([Dense(1600, "relu"), output], seed=0, dtype=dtype)
    model.compile(SGD(rate), loss, metrics)
    return model, rows, (rows[:, 0] > 0).astype(int)


def rows_in_a_slice(model, rows, labels):
    """How many rows the model's slices hold; found by one epoch of another model alike."""
    probe = Sequential(model.layers, seed=0)
    probe.compile(loss="mse")
    recorder = Recorder()
    probe.fit(rows, labels, callbacks=[recorder], mode="batch")
    return recorder.calls[2][1]
