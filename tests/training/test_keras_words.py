"""What a script for Keras passes without effect here."""

import numpy as np
import pytest

from fastnn import Dense, Sequential

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.arange(40) % 2


@pytest.fixture
def model():
    model = Sequential([Dense(1, "sigmoid")], seed=1)
    model.compile("SGD", "binary_crossentropy", ["accuracy"])
    model.build(3)
    return model


IDLE = [{"batch_size": 7}, {"verbose": "auto"}, {"verbose": 1}, {"batch_size": None, "verbose": 2}]


@pytest.mark.parametrize("options", IDLE)
def test_batch_size_and_verbose_change_and_show_nothing(model, options, capfd):
    np.testing.assert_array_equal(model.predict(X, **options), model.predict(X))
    assert model.evaluate(X, Y, **options) == model.evaluate(X, Y)
    assert model.evaluate(X, Y, return_dict=True, **options) == model.evaluate(
        X, Y, return_dict=True
    )
    assert capfd.readouterr() == ("", "")


def test_they_stand_where_keras_has_them(model):
    np.testing.assert_array_equal(model.predict(X, 7, "auto"), model.predict(X))
    assert model.evaluate(X, Y, 7, "auto") == model.evaluate(X, Y)


def test_auto_is_a_silent_fit(model, capfd):
    history = model.fit(X, Y, epochs=2, verbose="auto")
    assert history.params["verbose"] == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 1.5}, TypeError),
        ({"verbose": 3}, ValueError),
        ({"verbose": "loud"}, ValueError),
    ],
)
def test_what_keras_would_not_take_is_refused(model, options, error):
    with pytest.raises(error, match="|".join(options)):
        model.predict(X, **options)
    with pytest.raises(error, match="|".join(options)):
        model.evaluate(X, Y, **options)
