from __future__ import annotations

import pytest

from workers.data.formats.label_table import read_label_table
from workers.errors import DataError


def read(text, encoding="utf-8"):
    return read_label_table(text.encode(encoding), "labels.csv")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_found_out(delimiter, end):
    lines = ["path,gender", "a/1.jpg,f", "b/1.jpg,m"]
    table = read(end.join(lines).replace(",", delimiter) + end)
    assert list(table.rows) == [
        {"path": "a/1.jpg", "gender": "f"},
        {"path": "b/1.jpg", "gender": "m"},
    ]
    assert (table.path_column, table.identity_column) == ("path", None)
    assert table.group_columns == ("gender",)


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert read("path,gender\na,f\n", "utf-8-sig").path_column == "path"


def test_columns_are_recognised_in_any_case_and_the_rest_are_groups():
    table = read("Image_ID, Class_ID ,Partition,Race,Age\n1.jpg,n1,train,x,30\n")
    assert table.path_column == "Image_ID"
    assert table.identity_column == "Class_ID"
    assert table.split_column == "Partition"
    assert table.group_columns == ("Race", "Age")


def test_the_table_of_vggface2_is_read_with_its_blanks_and_quotes():
    text = (
        "Class_ID, Name, Sample_Num, Flag, Gender\r\n"
        'n000001, "Dalai_Lama, 14th", 424, 0, m\r\n'
        'n000002, " ""A_Fine_Frenzy""", 315, 1, f\r\n'
    )
    first, second = read(text).rows
    assert (first["Name"], first["Gender"]) == ("Dalai_Lama, 14th", "m")
    assert second["Name"] == '"A_Fine_Frenzy"'


def test_blank_lines_and_a_nameless_index_column_are_passed_over():
    table = read(",path,gender\n0,a.jpg,f\n,,\n\n1,b.jpg,m\n")
    assert [row["path"] for row in table.rows] == ["a.jpg", "b.jpg"]
    assert table.group_columns == ("gender",)


def test_a_line_break_within_quotes_belongs_to_the_value():
    assert read('path,note\n"a\n.jpg",x\n').rows[0]["path"] == "a\n.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; give a header"),
        (" \n\n", "empty; give a header"),
        ("file name,gender\na,f\n", "no column 'path' or 'identity'; it has file name, gender"),
        ("path\na.jpg\n", "no group column; add one such as 'gender'"),
        ("path,identity,split\na.jpg,a,train\n", "no group column"),
        ("path,gender,gender\na,f,f\n", "column 'gender' occurs twice"),
        ("path,name,gender\na,Lama, 14th,m\n", "line 2: 4 values for 3 columns"),
        ("path,gender\na,f\nb\n", "line 3: 1 values for 2 columns"),
        ('path,gender\na,"f\nb,m\nc,m\n', "line 4: not a CSV table .*check its quotes"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(DataError, match=message) as error:
        read(text)
    assert str(error.value).startswith("labels.csv")


def test_another_encoding_is_refused_with_its_place():
    with pytest.raises(DataError, match="not UTF-8 at byte 14; save the table as UTF-8"):
        read("path,gender\naué,f\n", "latin-1")


def test_a_table_of_too_many_columns_is_refused_at_its_header():
    header = ",".join(f"c{i}" for i in range(200_000))
    with pytest.raises(DataError, match=r"has 200,000 columns; a table of people has at most 1,0"):
        read(f"{header}\n1\n")


def test_a_gigantic_value_is_refused_with_its_line():
    with pytest.raises(DataError, match=r"line 2: .*field larger than field limit"):
        read(f"path,gender\na.jpg,{'x' * 200_000}\n")


def test_a_table_of_too_many_values_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("workers.data.formats.label_table._MAX_VALUES", 6)
    read("path,gender\na,f\nb,f\nc,f\n")
    with pytest.raises(DataError, match="has more than 6 values; leave out columns"):
        read("path,gender\na,f\nb,f\nc,f\nd,f\n")


def test_header_and_values_are_in_the_composed_form():
    table = read("identity,me\u0300re\nJose\u0301,f\n")
    assert table.group_columns == ("m\u00e8re",)
    assert table.rows[0]["identity"] == "Jos\u00e9"
