from __future__ import annotations

import pytest

from tests.face_sets import VGG_META, picture, vggface2, write
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import SPLITS, open_pack
from workers.data.sources.pack_settings import PackSettings
from workers.data.sources.registry import open_source
from workers.data.sources.vggface2 import parse_identity_meta
from workers.errors import DataError


def parse(text):
    return parse_identity_meta(text.encode(), "identity_meta.csv")


def test_names_with_commas_and_doubled_quotes_are_no_obstacle():
    people = parse(VGG_META + "n000004, Lama, the unquoted, 5, 1, f\n")
    assert {name: (who.gender, who.is_train) for name, who in people.items()} == {
        "n000001": ("m", False),
        "n000002": ("f", True),
        "n000003": ("m", True),
        "n000004": ("f", True),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no header"),
        ("Class_ID, Name\n", "line 1: no header"),
        (VGG_META + "n000009, x\n", "line 5: 'n000009, x' is no person"),
        (VGG_META + "000009, x, 1, 1, m\n", "line 5: '000009, x, 1, 1, m' is no person"),
        (VGG_META + "n000009, x, 1, 2, m\n", "line 5: flag '2' is neither"),
        (VGG_META + "n000009, x, 1, 1, q\n", "line 5: gender 'q' is neither"),
        (VGG_META + "n000001, x, 1, 1, m\n", "line 5: n000001 is listed twice"),
    ],
)
def test_damaged_lines_are_named(text, message):
    with pytest.raises(DataError, match=message):
        parse(text)


def test_the_test_people_test_and_val_is_drawn_from_train(tmp_path):
    out = tmp_path / "v.pack"
    report = pack_source(vggface2(tmp_path / "v"), out, settings=PackSettings())
    made = open_pack(out, verify=True)
    assert report.n_images == 30
    split_of = {
        made.identities[i]: SPLITS[s] for i, s in zip(made.identity, made.split, strict=True)
    }
    assert split_of["n000001"] == "test"
    counts = [list(split_of.values()).count(split) for split in SPLITS]
    assert counts == [10, 4, 1]
    assert made.settings["splits"] == "source and drawn"
    assert made.settings["max_val_identities"] == 200


def test_fewer_people_choose_when_told(tmp_path):
    out = tmp_path / "v.pack"
    pack_source(vggface2(tmp_path / "v"), out, settings=PackSettings(max_val_identities=1))
    made = open_pack(out)
    rows = made.rows("val")
    assert made.n_identities("val") == 2
    assert set(made.groups["gender"].codes[rows].tolist()) == {0, 1}


def test_strangers_and_people_in_the_other_folder_are_told(tmp_path):
    folder = vggface2(tmp_path)
    write(folder, {"train/n000001/1.jpg": picture(0), "train/n999999/1.jpg": picture(1)})
    with open_source(folder) as faces:
        told = " / ".join(faces.warnings)
    assert "1 pictures are of nobody it lists and were left out: train/n999999/1.jpg" in told
    assert "1 pictures lie in the other folder than it says" in told


def test_the_list_alone_is_no_data_set(tmp_path):
    write(tmp_path, {"identity_meta.csv": VGG_META, "x/1.jpg": picture(0)})
    with pytest.raises(DataError, match="no pictures called like"), open_source(tmp_path):
        pass
