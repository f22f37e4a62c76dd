"""The table of a fit in a CSV file."""

import csv
import os

import pytest
from watched_fits import Failing, X, Y, bits, fit, model_for

from fastnn import CSVLogger, ModelCheckpoint
from fastnn.custom import CustomMetric


def test_a_table_of_the_history(tmp_path):
    path = tmp_path / "log.csv"
    first = fit(model_for(), epochs=2, callbacks=[CSVLogger(path)])
    second = fit(model_for(), epochs=1, callbacks=[CSVLogger(path, append=True)])
    with open(path, newline="") as file:
        names, *rows = list(csv.reader(file))
    assert names == ["epoch", *first]
    assert [int(row[0]) for row in rows] == [0, 1, 0]
    losses = [float(row[1]) for row in rows]
    assert losses == [*first["loss"], *second["loss"]]


def test_a_table_has_a_field_for_epochs_without_validation_too(tmp_path):
    path, options = tmp_path / "log.csv", {"validation_data": (X, Y), "validation_freq": 2}
    history = fit(model_for(), epochs=3, callbacks=[CSVLogger(path, ";")], **options)
    with open(path, newline="") as file:
        names, *rows = list(csv.reader(file, delimiter=";"))
    assert set(names) == {"epoch", *history}
    column = [row[names.index("val_loss")] for row in rows]
    assert column == ["", str(history["val_loss"][0]), ""]


def test_a_table_holds_the_epochs_before_an_error_and_is_closed(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv", append=True)
    for n_lines in (3, 5):  # the names stand there once
        with pytest.raises(RuntimeError, match="out of paper"):
            fit(model_for(), epochs=5, callbacks=[logger, Failing()])
        assert logger._file.closed
        assert len((tmp_path / "log.csv").read_text().splitlines()) == n_lines


def test_a_table_that_cannot_be_written_is_found_before_anything_moves(tmp_path):
    model = model_for()
    model.build(4)
    before = bits(model)
    with pytest.raises(FileNotFoundError):
        fit(model, callbacks=[CSVLogger(tmp_path / "nowhere" / "log.csv")])
    assert bits(model) == before


def test_an_evaluate_within_a_fit_leaves_its_callbacks_what_the_fit_has_given_them(tmp_path):
    class Evaluating(CSVLogger):
        def on_epoch_end(self, epoch, logs):
            self.model.evaluate(X, Y, callbacks=[self])
            super().on_epoch_end(epoch, logs)

    path = tmp_path / "log.csv"
    fit(model_for(), epochs=2, callbacks=[Evaluating(path)])
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_log_on_a_full_disk_names_the_file():
    with pytest.raises(OSError, match="/dev/full"):
        fit(model_for(), callbacks=[CSVLogger("/dev/full")])


def table(path, separator=","):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file, delimiter=separator))


def append_to(path, content, separator=",", **options):
    path.write_bytes(content)
    model = model_for()
    callback = CSVLogger(path, separator, append=True)
    return fit(model, epochs=2, callbacks=[callback], **options)


@pytest.mark.parametrize(
    "start",
    [
        b"learning_rate,samples_per_second,seconds,loss,epoch\r\n1,2,3,4,5\r\n",
        b"learning_rate,samples_per_second,seconds,loss,epoch\n1,2,3,4,5",  # no end of the line
        b"\xef\xbb\xbflearning_rate,samples_per_second,seconds,loss,epoch\n1,2,3,4,5\n",
        b'"learning_rate","samples_per_second","seconds","loss","epoch"\n1,2,3,4,5\n',
    ],
    ids=["another order", "no newline", "a mark of UTF-8", "quotes"],
)
def test_a_table_goes_on_in_the_order_of_its_columns(tmp_path, start):
    path = tmp_path / "log.csv"
    history = append_to(path, start)
    names, before, *rows = table(path)
    assert before == ["1", "2", "3", "4", "5"]
    assert [float(row[names.index("loss")]) for row in rows] == history["loss"]
    assert [row[names.index("epoch")] for row in rows] == ["0", "1"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_gets_the_names(tmp_path, start):
    path = tmp_path / "log.csv"
    history = append_to(path, start)
    assert table(path)[0] == ["epoch", *history]
    assert len(table(path)) == 3


@pytest.mark.parametrize(
    ("start", "separator", "options"),
    [
        (b"epoch,loss,seconds,samples_per_second\n", ",", {}),
        (b"epoch,loss,seconds,samples_per_second,learning_rate,more\n", ",", {}),
        (b"epoch,loss,loss,seconds,samples_per_second,learning_rate\n", ",", {}),
        (b"epoch,loss,seconds,samples_per_second,learning_rate\n", ";", {}),
        (b"epoch,loss,seconds,samples_per_second,learning_rate\n", ",", {"validation_split": 0.5}),
        (b"0,0.5,1,2,0.1\n", ",", {}),
        (b"\n", ",", {}),
        (b"\xff\xfe\x00", ",", {}),
    ],
    ids=["fewer", "more", "twice", "separator", "validation", "no names", "empty line", "bytes"],
)
def test_a_table_of_other_columns_is_refused_before_anything_moves(
    tmp_path, start, separator, options
):
    path, model = tmp_path / "log.csv", model_for()
    path.write_bytes(start)
    with pytest.raises(ValueError, match="log.csv (has the columns|is not a CSV file)"):
        fit(model, callbacks=[CSVLogger(path, separator, append=True)], **options)
    assert not model.built
    assert path.read_bytes() == start


def test_a_folder_that_is_not_there_is_found_before_anything_moves(tmp_path):
    model = model_for()
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*nowhere'; make it first"):
        fit(model, callbacks=[CSVLogger(tmp_path / "nowhere" / "log.csv")])
    assert not model.built


@pytest.mark.parametrize("separator", ["", ", ", "\n", '"', None, 3])
def test_what_is_no_separator_is_refused_at_once(separator):
    with pytest.raises(ValueError, match="expected one character, e.g. separator=';'"):
        CSVLogger("log.csv", separator)


def test_a_name_with_other_signs_is_held_by_table_and_checkpoint(tmp_path):
    name = 'top-3 "a", é%'
    model = model_for()
    model.compile("SGD", "mse", [CustomMetric(lambda y_true, y_pred: 0.5, name=name)])
    callbacks = [CSVLogger(tmp_path / "log.csv"), ModelCheckpoint(tmp_path / f"{{{name}}}.npz")]
    fit(model, callbacks=callbacks)
    assert name in table(tmp_path / "log.csv")[0]
    assert (tmp_path / "0.5.npz").exists()
