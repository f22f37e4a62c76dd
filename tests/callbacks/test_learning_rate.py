"""Learning rates that follow the epochs."""

import pytest
from watched_fits import fit, model_for

from fastnn import LearningRateScheduler, TerminateOnNaN


def test_a_rate_by_epochs():
    callback = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else 0.4)
    history = fit(model_for(), epochs=3, callbacks=[callback, TerminateOnNaN()])
    assert history["learning_rate"] == [0.4, 0.2, 0.1]
    with pytest.raises(TypeError, match="schedule=0.1"):
        LearningRateScheduler(0.1)
    with pytest.raises(ValueError, match="learning_rate"):
        fit(model_for(), callbacks=[LearningRateScheduler(lambda epoch, rate: -1.0)])
