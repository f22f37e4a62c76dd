"""A CSV file becomes arrays; what is wrong in one is named with its row and column."""

import builtins
import os
import threading
import tracemalloc

import numpy as np
import pytest

from fastnn.cli import tables


@pytest.fixture
def read(tmp_path):
    """`tables.read` on a file with this content."""

    def read_content(content, **settings):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tables.read(path, **settings)

    return read_content


def refusal(read, content, **settings):
    """The message for a file that is not a table, without the file's name in front."""
    with pytest.raises(ValueError) as caught:
        read(content, **settings)
    name, message = str(caught.value).split("table.csv: ", 1)
    assert os.path.isabs(name)
    return message


def test_labels_that_hardly_differ():
    labels = ["1", "01", "2", "x", "X\u00a0", "y", "inf"]
    assert tables.near_labels(labels) == [["1", "01"], ["x", "X\u00a0"]]


def test_a_target_of_text_in_a_regression(read):
    table = read("a,t\n1,x\n", target="t")
    with pytest.raises(ValueError, match="'x', which is not a number; .*--task classification"):
        tables.target_numbers(table)


def test_an_empty_target_cell(read):
    assert refusal(read, "a,t\n1,\n", target="t").endswith("is empty; fill it, or drop the row")


def test_rows_without_the_target_that_they_are_judged_by(read):
    message = refusal(read, "age,b\n1,2\n", features=["age", "b"], target="target")
    assert "or use `fastnn predict`, which needs none" in message


def test_a_missing_header_with_text(read):
    message = refusal(read, "5.1,3.5,setosa\n4.9,3,setosa\n", target="species")
    assert "is the header missing?" in message


# ---- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n3,4\n",
        "a,b\n1,2\n3,4",
        "a,b\r\n1,2\r\n3,4\r\n",
        "\ufeffa,b\n1,2\n3,4\n",
        '"a","b"\n"1","2"\n"3","4"\n',
        "\na,b\n\n1,2\n\n3,4\n\n",
        "a , b\n 1,2\n3 ,\t4\n",
        "a,b\n1.0,2e0\n+3,4.\n",
    ],
    ids=[
        "plain",
        "no last line end",
        "crlf",
        "bom",
        "quoted",
        "blank lines",
        "spaces",
        "spellings",
    ],
)
def test_numbers_are_read(read, content):
    table = read(content)
    assert table.features == ["a", "b"]
    assert table.X.dtype == np.float64
    np.testing.assert_array_equal(table.X, [[1, 2], [3, 4]])
    assert table.target is None


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters(read, delimiter):
    table = read("a,b;1,5".replace(",", delimiter).replace(";1", "\n1"), delimiter=delimiter)
    np.testing.assert_array_equal(table.X, [[1, 5]])


def test_every_digit_arrives(read):
    values = np.random.default_rng(0).normal(size=(50, 2)) * 10.0 ** np.arange(-20, 30)[:, None]
    table = read("a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in values.tolist()))
    np.testing.assert_array_equal(table.X, values)


def test_an_integer_beyond_64_bits_is_a_number_like_others(read):
    assert read("a\n123456789012345678901234567890\n").X[0, 0] == 123456789012345678901234567890.0


def test_columns_go_by_name(read):
    table = read("c,text,b,a\n3,x,2,1\n", features=["a", "b", "c"])
    assert table.features == ["a", "b", "c"]
    np.testing.assert_array_equal(table.X, [[1, 2, 3]])


def test_other_columns_may_hold_anything(read):
    table = read(b",a,x,x\n0,1,\xff,\n1,2,,nan\n", features=["a"])
    np.testing.assert_array_equal(table.X, [[1], [2]])


def test_the_target_is_text_without_spaces_around(read):
    table = read('a,t,b\n1, yes ,2\n3,"no, ""never""\nagain",4\n', target="t")
    assert table.features == ["a", "b"]
    assert table.target.to_pylist() == ["yes", 'no, "never"\nagain']


def test_many_blocks_are_one_table(read, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    table = read("a,t\n" + "".join(f"{i},{i % 7}\n" for i in range(3000)), target="t")
    np.testing.assert_array_equal(table.X[:, 0], np.arange(3000))
    np.testing.assert_array_equal(tables.target_numbers(table), np.arange(3000) % 7)


def test_a_column_is_not_judged_block_by_block(read, monkeypatch):
    """Whole numbers first and decimals later, or text only at the end, are one kind of column."""
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    table = read("a,t\n" + "1,1\n" * 500 + "1.5,x\n", target="t")
    assert table.X[-1, 0] == 1.5
    assert tables.labels(table) == ["1", "x"]


def test_rows_longer_than_a_block(read, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    names = [f"column_{i}" for i in range(2000)]
    table = read(",".join(names) + "\n" + ",".join(["0.12345678901234567"] * 2000) + "\n")
    assert table.X.shape == (1, 2000)


def test_a_pipe_will_do():
    here, there = os.pipe()

    def write():
        with open(there, "w") as file:
            file.write("a,b\n" + "1,2\n" * 100_000)

    writer = threading.Thread(target=write)
    writer.start()
    table = tables.read(f"/dev/fd/{here}")
    writer.join()
    os.close(here)
    assert table.X.shape == (100_000, 2)


def test_memory_stays_near_the_array(read, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 1 << 14)
    read("a\n1\n")  # imports pyarrow
    path = tmp_path / "long.csv"
    path.write_text("a,b,c,d\n" + "1.25,-2.5,3,4\n" * 200_000)
    tracemalloc.start()
    table = tables.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * table.X.nbytes


# ---- the target ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        (["True", "False"], ["False", "True"]),
    ],
)
def test_labels_and_their_numbers(read, cells, expected):
    table = read("a,t\n" + "".join(f"0,{cell}\n" for cell in cells), target="t")
    assert tables.labels(table) == expected
    numbers = tables.label_numbers(table, expected)
    assert [expected[number] for number in numbers] == cells
    assert numbers.dtype == np.int64


def test_the_target_numbers_can_be_written_to(read):
    numbers = tables.target_numbers(read("a,t\n0,1.5\n0,-2\n", target="t"))
    numbers += 1
    np.testing.assert_array_equal(numbers, [2.5, -1])


@pytest.mark.parametrize(
    ("take", "expected"),
    [
        (lambda table: tables.label_numbers(table, ["1", "2"]), "'x'; the model knows .* '1', '2'"),
        (lambda table: tables.target_numbers(table), "'x', which is not a number"),
        (lambda table: tables.labels(table), "'NaN': put a label"),
    ],
)
def test_a_target_that_does_not_fit(read, monkeypatch, take, expected):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 64)
    last = "NaN" if "NaN" in expected else "x"
    table = read("a,t\n" + "0,1\n0,2\n" * 50 + f"0,{last}\n", target="t")
    pattern = rf"table.csv: row 101 \(the header not counted\), column 't' is {expected}"
    with pytest.raises(ValueError, match=pattern):
        take(table)


# ---- nothing depends on where a block ends -------------------------------------------------------

TABLES = [
    b'a,b,t\n1,2,"no\r\nmore"\r\n3,4,"no\r\nmore"\r\n5,6,yes\r\n',
    b'a,b,t\r1,2,x\r3,4,"y\rz"\r5,6,x\r',
    b"a,b,t\n1,2,x\r\n3,4,y\r5,6,z\n\r\n\r7,8,x",
    b'\xef\xbb\xbf"a","b\n(cm)","t"\n"1","2","say ""no"""\n3,4,5" wide\n',
    b"a,b,t\n1,2,x\n\xef\xbb\xbf3,4,y\n",
    b"a,b,t\n1,2,x\n1,2\n,2,x\n",
    b"a,b,t\n1,2,x\n1,,x\n1,2\n",
    b"a,b,t\n1,2,x\n1,2,\xff\n1,2\xff\n1,2\n",
    b'a,b,t\n1,2,x\n3,x,y\nx,6,"z\n7,8,x\n',
    b'a,b,t\n1,2,x\n3,4,"y"z\n',
    b'a,b,t\n1,2,x\n3,4,"y\n5,6,z"\n7,8,x\n',
    b'a,b,t\n1,2,"x,\nx,x"\n3,4,"5\n6"\n',
    b'a,"b,t\n1,2,x\n',
]


@pytest.mark.parametrize("content", TABLES)
def test_every_block_size_reads_the_same(read, monkeypatch, content):
    """Arrays, labels and errors."""

    def outcome(size):
        monkeypatch.setattr(tables, "BLOCK_BYTES", size)
        features = None if b"b" in content.split(b"\n")[0] else ["a"]
        try:
            table = read(content, features=features, target="t")
        except ValueError as error:
            return str(error)
        return table.features, table.X.tolist(), table.target.to_pylist()

    whole = outcome(1 << 20)
    for size in range(1, len(content) + 1):
        assert outcome(size) == whole


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"a,t\r1,x\r2,y\r", ["x", "y"]),
        (b"a,t\n1,x\r2,y\r\n\n3,z", ["x", "y", "z"]),
        (b"a,t\r\n1,x\r\r\n2,y\r\r\n", ["x", "y"]),
        (b'a,t\n1,"x\ny"\n2,"x\r\ny, z"\n', ["x\ny", "x\r\ny, z"]),
        (b'a,t\n1,"Smith\nDoe, Jane"\n', ["Smith\nDoe, Jane"]),
        (b'a,t\n1,5" wide\n2,6"\n', ['5" wide', '6"']),
        (b"a,t\n1,x\x1a\n2,y\x00\n", ["x\x1a", "y\x00"]),
    ],
)
def test_no_row_vanishes(read, content, labels):
    table = read(content, target="t")
    np.testing.assert_array_equal(table.X[:, 0], np.arange(1, len(labels) + 1))
    assert table.target.to_pylist() == labels


def test_a_row_of_many_blocks(read, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 16)
    text = "long, \n" * 5000
    table = read(f'a,note\n1,"{text}"\n2,x\n', features=["a"])
    np.testing.assert_array_equal(table.X, [[1], [2]])


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", "is empty; fill it"),
        ('""', "is empty; fill it"),
        ("  ", "is empty; fill it"),
        ("yes", "is 'yes', which is not a number"),
        ("1.5 kg", "is '1.5 kg', which is not a number"),
        ("1_000", "is '1_000', which is not a number"),
        ("0x10", "is '0x10', which is not a number"),
        ('"1,5"', "is '1,5', which is not a number; write 1.5 if the comma marks decimals"),
        ("NaN", "is 'NaN', which is not a finite number"),
        ("-inf", "is '-inf', which is not a finite number"),
        (" Infinity", "is 'Infinity', which is not a finite number"),
        ("1e39", "is '1e39', which is too large for float32; train with --dtype float64"),
        ("-1e999", "is '-1e999', which is too large for a number of 64 bits"),
        (b"\xff", "is not UTF-8 text"),
    ],
)
def test_a_cell_that_is_no_number(read, cell, expected):
    cell = cell if isinstance(cell, bytes) else cell.encode()
    content = b'a,b\n1,2\n\n" 3\n",4\n5,' + cell + b"\n7,8\n"
    message = refusal(read, content)
    assert message.startswith(f"row 3 (the header not counted), column 'b' {expected}")


def test_float64_takes_what_float32_does_not(read):
    assert read("a\n1e39\n", dtype="float64").X[0, 0] == 1e39


@pytest.mark.parametrize("bad", ["", "x", "nan"])
def test_the_row_is_right_far_down(read, monkeypatch, bad):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    content = "a,b\n1,2\n\n" + '"3\n",4\n' * 998 + f"5,{bad}\n" + "6,7\n" * 500 + "x,x\n"
    assert refusal(read, content).startswith("row 1000 (the header not counted), column 'b'")


@pytest.mark.parametrize("cell", [b"", b" ", b"\xff"])
def test_a_target_cell_without_text(read, cell):
    message = refusal(read, b"a,t\n1,x\n2," + cell + b"\n", target="t")
    assert message.startswith("row 2 (the header not counted), column 't' is ")


@pytest.mark.parametrize(
    ("row", "fields"), [("3", "1 field"), ("3,4,5", "3 fields"), ("3,4,", "3 fields")]
)
def test_ragged_rows(read, monkeypatch, row, fields):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    message = refusal(read, 'a,b\n\n"1\n",2\n' + "1,2\n" * 500 + f"{row}\n1,2\n")
    assert message.startswith(
        f"row 502 (the header not counted) has {fields}, but the header names 2 columns: '{row}'"
    )
    assert '"a,b"' in message


def test_an_empty_line_in_a_single_column_is_an_empty_cell(read):
    """Otherwise predictions would not stand beside their rows."""
    assert refusal(read, "a\n1\n\n3\n").startswith("row 2 (the header not counted), column 'a' is")


def test_a_quotation_mark_that_stays_open(read, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    message = refusal(read, 'a,b\n"1,2\n' + "3,4\n" * 5000)
    assert "quotation mark is opened and never closed" in message


@pytest.mark.parametrize(
    ("row", "rest", "problem"),
    [
        ('1,"no', "2,yes\n", "is opened and never closed"),
        ('"1,no', "2,yes\n", "is opened and never closed"),
        ('1,"no', '2,"yes"\n', "closes in the middle of a field"),
        ('1,"no', '2,yes"\n', "takes 21 lines for one row, of which some look like rows"),
        ('1,"no"x', "2,yes\n", "closes in the middle of a field"),
    ],
)
def test_quotation_marks_that_hide_rows(read, row, rest, problem):
    content = "a,t\n" + "1,x\n" * 7 + f"{row}\n" + "1,x\n" * 19 + rest + "1,x\n" * 5
    message = refusal(read, content, target="t")
    assert message.startswith("row 8 (the header not counted) cannot be read: a quotation mark ")
    assert problem in message and 'write "" for one' in message


@pytest.mark.parametrize("hidden", ["2,,b", "2,nan,b", "2,3,b,", "# x\n2,3,b", "2,3,b"])
@pytest.mark.parametrize("rest", ["", "\n5,6,d\n7,8,e\n"])
def test_a_single_line_that_looks_like_a_row_is_refused(read, hidden, rest):
    with pytest.raises(ValueError, match="look like rows.* write it in one line"):
        read(f'f,g,t\n1,2,"a\n{hidden}\nc"{rest}', target="t")


def test_columns_of_text_beside_do_not_hide_rows(read):
    content = 'a,b,note,extra\n1,0.5,"5 inch,7\n2,0.6,x,\n3,0.7,screen 6",8\n4,1,y,9\n'
    with pytest.raises(ValueError, match="takes 3 lines for one row"):
        read(content, features=["a", "b"])


@pytest.mark.parametrize(
    "row", ['1,2,"a\n3\n"', '"5\n6",1,2', '1,2,"Dear, sir\nyours, he"', '1,2,"a\n\nb, c, d"']
)
def test_text_of_several_lines_is_taken(read, row):
    features = ["g"] if row.startswith('"') else ["f", "g"]
    assert len(read(f"f,g,t\n{row}\n3,4,b\n", features=features, target="t").X) == 2


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (b",", "row 2 (the header not counted), column 'b' is empty"),
        (b",,", "row 2 (the header not counted) has 3 fields"),
        (b"1,2,", "row 2 (the header not counted) has 3 fields"),
        (b"\x1a", "row 2 (the header not counted) has 1 field, but"),
        (b"# a, b", "row 2 (the header not counted), column 'a' is '# a', which is not a number"),
        (b"a,x", "row 2 (the header not counted), column 'a' is 'a', which is not a number; leave"),
        (b"1\xff", "row 2 (the header not counted) has 1 field, but the header names 2 columns: "),
    ],
)
def test_lines_that_are_no_rows(read, row, expected):
    assert refusal(read, b"a,b\n1,x\n" + row + b"\n2,y\n", target="b").startswith(expected)


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("\u00a00.5", "it holds NO-BREAK SPACE (U+00A0), write 0.5"),
        ("1\u202f234", "it holds NARROW NO-BREAK SPACE (U+202F), write 1234"),
        ("\u22125", "it holds MINUS SIGN (U+2212), write -5"),
        ("\u0663\u0664", "it holds ARABIC-INDIC DIGIT THREE (U+0663), write 34"),
        ("5 %", "write a share such as 0.05, or leave the percent sign out of every row"),
        ("1 2", "write text as numbers, or leave the column out"),
        ("1 234 567", "write 1234567"),
        ("$5", "write 5"),
        ("1.234,56", "write 1234.56"),
        ("1,234,567.8", "write 1234567.8"),
        ("1.234.567 \u20ac", "it holds EURO SIGN (U+20AC), write 1234567"),
        ("True", "write 1 for true and 0 for false"),
        ("5\u00b2", "write text as numbers, or leave the column out"),
    ],
)
def test_numbers_spelled_in_another_way(read, cell, advice):
    message = refusal(read, f'a,b\n1,"{cell}"\n')
    assert message.endswith(f"which is not a number; {advice}")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04....", "Excel"),
        (b"PAR1....", "Parquet"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_files_of_another_kind(read, content, kind):
    message = refusal(read, content)
    assert kind in message and "save the table as CSV in UTF-8" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b", "the table has a header, but no rows"),
        ("a,b\n", "the table has a header, but no rows"),
        ("a,b\n\n\n", "the table has a header, but no rows"),
        ("a,b,a\n1,2,3\n", "2 columns are named 'a'"),
        ("a,\n1,2\n", "column 2 has no name"),
        ("a,b\n1,2\n".encode("utf-16"), "the first line is not UTF-8 text"),
        (b"a,\xe9\n1,2\n", "the first line is not UTF-8 text"),
    ],
)
def test_no_table(read, content, expected):
    assert refusal(read, content).startswith(expected)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("diagnose", "there is no column 'diagnose'; did you mean 'Diagnosis'? The columns are"),
        ("DIAGNOSIS ", "there is no column 'DIAGNOSIS '; did you mean 'Diagnosis'?"),
        ("zzz", "there is no column 'zzz'. The columns are 'radius', 'Diagnosis'"),
    ],
)
def test_a_target_that_is_not_there(read, target, expected):
    assert refusal(read, "radius,Diagnosis\n1,2\n", target=target).startswith(expected)


def test_features_that_are_not_there(read):
    message = refusal(read, "a,b\n1,2\n", features=["b", "x", "y"])
    assert message.startswith("there are no columns 'x', 'y'. The columns are 'a', 'b'")


def test_long_lists_are_cut(read):
    header = ",".join(f"c{i}" for i in range(100))
    message = refusal(read, f"{header}\n", target="zzz")
    assert "'c19' and 80 more" in message
    assert "c20" not in message


def test_a_header_of_numbers_is_none(read):
    message = refusal(read, "1.5,2\n3,4\n", target="y")
    assert "the first line holds numbers: is the header missing? Put a line with" in message


def test_a_target_alone(read):
    assert refusal(read, "t\n1\n", target="t").startswith("there is no column beside the target")


@pytest.mark.parametrize(
    ("found", "given", "spelled"), [(";", ",", '";"'), ("\t", ",", "tab"), (",", ";", '","')]
)
@pytest.mark.parametrize("settings", [{"target": "b"}, {"features": ["a"]}, {}])
def test_the_wrong_delimiter(read, found, given, spelled, settings):
    message = refusal(read, f"a{found}b\n1{found}2\n", delimiter=given, **settings)
    assert message.startswith("only one column was found")
    assert message.endswith(f"--delimiter {spelled}")


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        tables.read(tmp_path / "missing.csv")
    with pytest.raises(IsADirectoryError):
        tables.read(tmp_path)


def test_pyarrow_missing(read, monkeypatch):
    real_import = builtins.__import__

    def without_pyarrow(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        read("a\n1\n")
