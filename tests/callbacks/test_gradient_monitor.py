"""GradientMonitor: the gradient of each layer, epoch by epoch."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import CSVLogger, Dense, GradientMonitor, LambdaCallback, Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X[:, 0] * X[:, 1]


def made(seed=1):
    model = Sequential([Dense(6, "relu"), Dense(4, "tanh"), Dense(1)], seed=seed)
    model.compile("SGD", "mse")
    return model


def test_it_records_the_norm_of_each_layers_gradient_after_each_epoch():
    model, monitor, expected = made(), GradientMonitor(X[:20], Y[:20]), []

    def look(epoch, logs):
        g = model.gradient(X[:20], Y[:20])
        expected.append(np.sqrt((g["dL/dW2"] ** 2).sum() + (g["dL/db2"] ** 2).sum()))

    history = model.fit(X, Y, epochs=4, callbacks=[monitor, LambdaCallback(on_epoch_end=look)])
    assert list(history.monitored) == [
        *("gradient norm 1", "gradient norm 2", "gradient norm 3"),
        *("silent units 1", "silent units 2"),
    ]
    np.testing.assert_allclose(history.monitored["gradient norm 2"], expected, rtol=1e-6)
    assert monitor.norms["gradient norm 2"] == history.monitored["gradient norm 2"]
    assert set(history.history) == {"loss", "seconds", "samples_per_second", "learning_rate"}


def test_it_does_not_touch_the_bits(tmp_path):
    plain, watched = made(), made()
    plain.fit(X, Y, epochs=3)
    logger = CSVLogger(tmp_path / "log.csv")
    watched.fit(X, Y, epochs=3, callbacks=[GradientMonitor(X, Y), logger])
    for W, other in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(W, other)
    assert "norm" not in (tmp_path / "log.csv").read_text()


def test_silent_units_are_dead_ones():
    model = made()
    model.build(3)
    weights = model.get_weights()
    weights[1] = np.array([-50.0, -50.0, 1.0, 1.0, 1.0, 1.0])
    model.set_weights(weights)
    history = model.fit(X, Y, epochs=1, callbacks=[GradientMonitor(X, Y)])
    assert history.monitored["silent units 1"] == [pytest.approx(2 / 6)]


def test_rows_that_do_not_fit_are_refused_before_anything_moves():
    model = made()
    model.build(3)
    before = model.get_weights()
    with pytest.raises(ValueError, match="columns"):
        model.fit(X, Y, epochs=2, callbacks=[GradientMonitor(X[:, :2], Y)])
    for W, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(W, other)


def test_an_interrupt_keeps_epochs_and_measures_together():
    def stop(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    for order in (0, 1):
        model = made()
        callbacks = [GradientMonitor(X, Y), LambdaCallback(on_epoch_end=stop)]
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, epochs=5, callbacks=callbacks[:: 1 - 2 * order])
        lengths = {len(values) for values in model.history.monitored.values()}
        assert len(lengths) == 1
        assert lengths <= {2, 3}
        assert len(model.history.epoch) == 3


def test_copies_and_records():
    monitor = GradientMonitor(X, Y)
    model = made()
    history = model.fit(X, Y, epochs=2, callbacks=[monitor])
    assert not hasattr(copy.deepcopy(monitor), "norms")
    assert pickle.loads(pickle.dumps(history)).monitored == history.monitored
    assert history.to_dict()["monitored"]["gradient norm 1"] == monitor.norms["gradient norm 1"]
    again = model.fit(X, Y, epochs=3, callbacks=[copy.copy(monitor)])
    assert len(again.monitored["gradient norm 1"]) == 3
