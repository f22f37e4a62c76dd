"""Files of every epoch or of the best one."""

import pytest
from watched_fits import HALF, X, Y, bits, fit, model_for

from fastnn import LambdaCallback, ModelCheckpoint, load


def test_a_checkpoint_of_every_epoch(tmp_path):
    model, kept = model_for(), []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(bits(model)))
    path = tmp_path / "model-{epoch:02d}-{loss:.3f}.npz"
    history = fit(model, epochs=3, callbacks=[ModelCheckpoint(path), note])
    for epoch, (loss, weights) in enumerate(zip(history["loss"], kept, strict=True), 1):
        assert bits(load(tmp_path / f"model-{epoch:02d}-{loss:.3f}.npz")) == weights


def test_a_checkpoint_of_the_best_epoch(tmp_path):
    model, kept = model_for(rate=0.3), {}

    def note(epoch, logs):
        kept[logs["val_loss"]] = bits(model)

    callbacks = [ModelCheckpoint(tmp_path / "best.npz", save_best_only=True)]
    callbacks.append(LambdaCallback(on_epoch_end=note))
    fit(model, epochs=12, validation_data=(X[HALF], -Y[HALF]), callbacks=callbacks)
    assert bits(load(tmp_path / "best.npz")) == kept[min(kept)] != bits(model)


def test_a_path_that_asks_for_what_is_not_there_says_so(tmp_path):
    with pytest.raises(ValueError, match="asks for 'val_acc'; known are epoch, loss"):
        fit(model_for(), callbacks=[ModelCheckpoint(tmp_path / "{val_acc}.npz")])


def test_a_checkpoint_keeps_the_best_of_all_fits(tmp_path):
    path = str(tmp_path / "best.npz")
    model, keep = model_for(), ModelCheckpoint(path, "loss", save_best_only=True)
    fit(model, epochs=20, callbacks=[keep])
    best, saved = keep.best, load(path).get_weights()
    model.reset()
    assert fit(model, callbacks=[keep])["loss"][0] > best == keep.best
    assert [w.tobytes() for w in saved] == bits(load(path))


def test_a_checkpoint_of_another_kind_of_file_is_refused_at_once():
    with pytest.raises(ValueError, match=r"filepath='x.keras': models are .npz files"):
        ModelCheckpoint("x.keras")


@pytest.mark.parametrize("filepath", [".npz", "folder/.npz", b"x.npz", None, 3])
def test_a_checkpoint_needs_the_name_of_a_file(filepath):
    error = ValueError if isinstance(filepath, str) else TypeError
    with pytest.raises(error, match=r"filepath=.*'best\.npz'"):
        ModelCheckpoint(filepath)


def test_a_checkpoint_that_fails_is_not_the_best(tmp_path):
    keep = ModelCheckpoint(tmp_path / "later" / "best.npz", "loss", save_best_only=True)
    with pytest.raises(OSError, match="later"):
        fit(model_for(), callbacks=[keep])
    (tmp_path / "later").mkdir()
    fit(model_for(rate=0.0), callbacks=[keep])
    assert (tmp_path / "later" / "best.npz").exists()


@pytest.mark.parametrize(
    "pattern", ["{epoch:q}", "{loss:d}", "{loss.x}", "{loss[0]}", "{", "}", "{}", "{0}", "{acc}"]
)
def test_a_pattern_that_cannot_be_filled_is_refused_before_anything_moves(tmp_path, pattern):
    model = model_for()
    with pytest.raises(ValueError, match="known are epoch, loss, .*e.g. 'model-"):
        fit(model, callbacks=[ModelCheckpoint(tmp_path / f"{pattern}.npz")])
    assert not model.built


def test_a_pattern_with_numbers_that_some_epochs_lack_is_refused(tmp_path):
    model, path = model_for(), tmp_path / "{val_loss:.2f}.npz"
    options = {"validation_data": (X, Y), "validation_freq": 2, "epochs": 4}
    with pytest.raises(ValueError, match="asks for 'val_loss'"):
        fit(model, callbacks=[ModelCheckpoint(path)], **options)
    assert not model.built
    fit(model, callbacks=[ModelCheckpoint(path, save_best_only=True)], **options)
    assert list(tmp_path.iterdir())
