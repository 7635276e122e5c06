"""MetaImage headers of every kind: read as SimpleITK reads them, by every reader, or refused with a line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from cinetrack.errors import InputError
from cinetrack.labelling.frame_spool import FrameSpool
from cinetrack.sequence.image_files import read_first_mask, read_masks, read_series
from itk_apart import ItkImage, read_apart

VOXELS = np.arange(2 * 3 * 4, dtype="<u2")  # (row, column, time)
RAW = VOXELS.tobytes()
ZIPPED = zlib.compress(RAW)
DECIMAL = b" ".join(b"%d" % value for value in VOXELS) + b"\n"
HEADER = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0", "ElementSpacing": "5 1 2",
    "DimSize": "4 3 2", "ElementType": "MET_USHORT", "ElementDataFile": "LOCAL",
}  # fmt: skip


def header(separator: str = " = ", **fields: str | None) -> bytes:
    """The usual header with some fields changed, added (before the last) or left out (None)."""
    last = fields.pop("ElementDataFile", HEADER["ElementDataFile"])
    merged = {key: value for key, value in {**HEADER, **fields}.items() if value is not None}
    merged.pop("ElementDataFile")
    lines = [f"{key}{separator}{value}\n" for key, value in [*merged.items(), ("ElementDataFile", last)]]
    return "".join(lines).encode("latin-1")


def zipped(data: bytes, **fields: str) -> bytes:
    return header(CompressedData="True", CompressedDataSize=str(len(data)), **fields) + data


def padded(size: int) -> bytes:
    start = header(HeaderSize=str(size))
    return start + b"j" * (size - len(start)) + RAW


ACCEPTED = {
    "plain": header() + RAW,
    "name of 255": header(Name="x" * 255) + RAW,
    "comment of 300": header(Comment="x" * 300) + RAW,
    "dates, types and units of 300": header(
        AcquisitionDate="x" * 300, ObjectSubType="x" * 300, Modality="x" * 300, DistanceUnits="x" * 300
    ) + RAW,
    "orientation of 300": header(AnatomicalOrientation="x" * 300) + RAW,
    "short orientation": header(AnatomicalOrientation="R") + RAW,
    "tag of 5000": header(My_Tag="x" * 5000) + RAW,
    "3000 tags": header(**{f"Tag{i}": "v" * 50 for i in range(3000)}) + RAW,
    "key of 300": header(**{"k" * 300: "x"}) + RAW,
    "empty lines": header().replace(b"Offset", b"\n\n   \nOffset") + RAW,
    "leading blanks": b"\n\n  " + header() + RAW,
    "CR and LF": header().replace(b"\n", b"\r\n") + RAW,
    "colons": header().replace(b"=", b":") + RAW,
    "no blanks": header("=") + RAW,
    "tabs": header("\t=\t") + RAW,
    "a line without =": header().replace(b"Offset = 0 0 0\n", b"hello world\nMine = 0\n") + RAW,
    "empty value": header(My_Tag="", Comment="") + RAW,
    "bytes that are no text": header(My_Tag="\xff\xfe\0a") + RAW,
    "byte order mark": b"\xef\xbb\xbf" + header() + RAW,
    "header size -1": header(HeaderSize="-1") + b"JUNK" + RAW,
    "header size 0": header(HeaderSize="0") + RAW,
    "header size -2": header(HeaderSize="-2") + RAW,
    "header size 1000": padded(1000),
    "big-endian": header(BinaryDataByteOrderMSB="True") + RAW,
    "big-endian by the other name": header(BinaryDataByteOrderMSB=None, ElementByteOrderMSB="True") + RAW,
    "two byte orders": header(BinaryDataByteOrderMSB="False", ElementByteOrderMSB="True") + RAW,
    "byte order yes": header(BinaryDataByteOrderMSB="yes") + RAW,
    "byte order 1": header(BinaryDataByteOrderMSB="1") + RAW,
    "BinaryData T": header(BinaryData="T") + RAW,
    "no BinaryData": header(BinaryData=None) + RAW,
    "decimal": header(BinaryData="False") + DECIMAL,
    "decimal, big-endian": header(BinaryData="False", BinaryDataByteOrderMSB="True") + DECIMAL,
    "decimal, compressed by name": header(BinaryData="False", CompressedData="True", CompressedDataSize="9") + DECIMAL,
    "decimal floats": header(BinaryData="False", ElementType="MET_FLOAT") + DECIMAL.replace(b" 7 ", b" 7.25e1 "),
    "decimal fractions of an integer type": header(BinaryData="False") + DECIMAL.replace(b" 7 ", b" 7.6 "),
    "CompressedData 1": header(CompressedData="1", CompressedDataSize=str(len(ZIPPED))) + ZIPPED,
    "gzip": zipped(gzip.compress(RAW)),
    "size without checksum": header(CompressedData="True", CompressedDataSize=str(len(ZIPPED) - 4)) + ZIPPED,
    "size with padding": header(CompressedData="True", CompressedDataSize=str(len(ZIPPED) + 4)) + ZIPPED + b"abcd",
    "size as a float": header(CompressedData="True", CompressedDataSize=f"{len(ZIPPED):.3e}") + ZIPPED,
    "DimSize with points": header(DimSize="4.0 3 2.0") + RAW,
    "DimSize with a sign": header(DimSize="+4 3e0 2") + RAW,
    "more DimSize": header(DimSize="4 3 2 7") + RAW,
    "DimSize twice": header().replace(b"ElementType", b"DimSize = 2 3 4\nElementType") + RAW,
    "ElementType twice": header().replace(b"ElementDataFile", b"ElementType = MET_SHORT\nElementDataFile") + RAW,
    "NDims 3.0": header(NDims="3.0") + RAW,
    "negative spacing": header(ElementSpacing="5 -1 1") + RAW,
    "spacing over two lines": header(ElementSpacing="5 2\n3") + RAW,
    "spacing of four": header(ElementSpacing="5 2 3 4") + RAW,
    "no spacing": header(ElementSpacing=None) + RAW,
    "ElementSize alone": header(ElementSpacing=None, ElementSize="5 2 3") + RAW,
    "ElementSize too": header(ElementSize="5 2 3") + RAW,
    "turned": header(TransformMatrix="0 1 0 0 0 1 1 0 0") + RAW,
    "skewed": header(TransformMatrix="1 0.5 0 0 1 0 0 0 1") + RAW,
    "no matrix": header(TransformMatrix=None) + RAW,
    "Orientation": header(TransformMatrix=None, Orientation="0 1 0 0 0 1 1 0 0") + RAW,
    "Rotation and matrix": header(Rotation="0 1 0 0 0 1 1 0 0") + RAW,
    "Origin": header(Offset="4 5 6", Origin="1 2 3") + RAW,
    "Position": header(Offset=None, Position="1 2 3") + RAW,
    "ImagePosition": header(ImagePosition="1 2 3") + RAW,
    "Origin in version 1": header(FileFormatVersion="1", Offset="4 5 6", Origin="1 2 3") + RAW,
    "offset of no numbers": header(Offset="1 x 3") + RAW,
    "offset nan": header(Offset="nan 0 0") + RAW,
    "offset after two separators": header().replace(b"Offset = 0", b"Offset == : 1") + RAW,
    "ElementMin of no number": header(ElementMin="abc") + RAW,
    "slope": header(ElementToIntensityFunctionSlope="2", ElementToIntensityFunctionOffset="3") + RAW,
    "another object": header(ObjectType="Tube") + RAW,
    "element with blanks": header(ElementType="MET_USHORT \t\xff") + RAW,
    "Local": header(ElementDataFile="Local  ") + RAW,
    "bytes after the data": header() + RAW + b"abc",
    "one channel": header(ElementNumberOfChannels="1.5") + RAW,
    **{
        f"element {name}": header(ElementType=f"MET_{name}") + np.arange(24, dtype="u1").tobytes() * 8
        for name in ("CHAR", "UCHAR", "SHORT", "INT", "UINT", "LONG", "ULONG", "LONG_LONG", "ULONG_LONG", "FLOAT",
                     "DOUBLE", "ASCII_CHAR", "USHORT_ARRAY", "STRING", "FLOAT_MATRIX")
    },
}  # fmt: skip

# What SimpleITK refuses, crashes on, or reads as something that is not in the file.
REFUSED = {
    "no DimSize": (header(DimSize=None) + RAW, "DimSize"),
    "no ElementType": (header(ElementType=None) + RAW, "ElementType"),
    "two sides": (header(DimSize="4 3") + RAW, "usable DimSize"),
    "no side": (header(DimSize="4 0 2") + RAW, "usable DimSize"),
    "negative sides": (header(DimSize="4 -3 -2") + RAW, "usable DimSize"),
    "hexadecimal": (header(DimSize="0x4 3 2") + RAW, "usable DimSize"),
    "very large": (header(DimSize="99999999999 3 2") + RAW, "usable DimSize"),
    "large": (header(DimSize="2000000000 2000000000 2000000000") + RAW, "cut off"),
    "NDims last": (header(NDims=None).replace(b"ElementType", b"NDims = 3\nElementType") + RAW, "before NDims"),
    **{
        f"NDims {number}": (header(NDims=number) + RAW, message)
        for number, message in (
            ("2", "three dimensions"), ("100", "three dimensions"), ("99999", "three dimensions"),
            ("-1", "three dimensions"), ("1e400", "NDims|three dimensions"), ("nan", "NDims"),
        )
    },
    "no spacing": (header(ElementSpacing="5 0 1") + RAW, "usable ElementSpacing"),
    "spacing nan": (header(ElementSpacing="5 nan 1") + RAW, "usable ElementSpacing"),
    "spacing inf": (header(ElementSpacing="5 1e400 1") + RAW, "usable ElementSpacing"),
    "spacing with commas": (header(ElementSpacing="5,1,1") + RAW, "usable ElementSpacing"),
    "too few numbers": (header(Offset="0 0") + RAW, "ElementSpacing lost"),
    "a field swallowed": (header().replace(b"Offset = 0", b"Offset 0") + RAW, "ElementSpacing lost"),
    "flat matrix": (header(TransformMatrix="1 0 0 1 0 0 0 0 1") + RAW, "usable TransformMatrix"),
    "no matrix": (header(TransformMatrix="0 0 0 0 0 0 0 0 0") + RAW, "usable TransformMatrix"),
    "other element": (header(ElementType="MET_OTHER") + RAW, "usable ElementType"),
    "element in small letters": (header(ElementType="met_ushort") + RAW, "usable ElementType"),
    "two channels": (header(ElementNumberOfChannels="2") + RAW * 2, "one channel, found 2 channels"),
    "no channel": (header(ElementNumberOfChannels="0") + RAW, "one channel"),
    "cut off": ((header() + RAW)[:-1], "cut off after 47"),
    "cut off in the header": (header()[:-8], "no complete one"),
    "header cut off in its last line": (header()[:-1], "MetaImage header|usable ElementDataFile|cut off"),
    "header size inside the header": (header(HeaderSize="10") + RAW, "usable HeaderSize"),
    "header size beyond the end": (header(HeaderSize="100000") + RAW, "cut off"),
    "header size -1, compressed": (zipped(ZIPPED, HeaderSize="-1"), "usable HeaderSize"),
    "no compressed size": (header(CompressedData="True") + ZIPPED, "CompressedDataSize"),
    "negative compressed size": (header(CompressedData="True", CompressedDataSize="-5") + ZIPPED, "CompressedDataSize"),
    "compressed size too large": (
        header(CompressedData="True", CompressedDataSize=str(len(ZIPPED) + 4)) + ZIPPED, "cut off"
    ),
    "compressed data too short": (zipped(zlib.compress(RAW[:20])), "damaged data"),
    "compressed data of more": (zipped(zlib.compress(RAW * 2)), "damaged data"),
    "wrong checksum": (zipped(ZIPPED[:-1] + b"\0"), "damaged data"),
    "no zlib": (zipped(ZIPPED[2:-4]), "damaged data"),
    "more than deflate can pack": (zipped(ZIPPED, DimSize="1000 1000 1000"), "cut off"),
    "decimal of too few": (header(BinaryData="False") + DECIMAL[:-8], "24 decimal numbers"),
    "decimal of words": (header(BinaryData="False") + DECIMAL.replace(b" 7 ", b" x "), "24 decimal numbers"),
    "decimal beyond the type": (header(BinaryData="False") + DECIMAL.replace(b" 7 ", b" -7 "), "24 decimal numbers"),
    "a list of files": (header(ElementDataFile="LIST") + b"a.raw\n" * 2, "one file, found a list"),
    "a pattern of files": (header(ElementDataFile="a%d.raw 1 2 1"), "one file, found a list"),
    "no such data file": (header(ElementDataFile="nowhere.raw"), "nowhere.raw missing"),
    "its own data file": (header(ElementDataFile="x.mha") + RAW, "x.mha missing"),
    "control characters": (header(ElementDataFile="a\rb\x1b\x85c.raw"), r"a\\x0db\\x1b\\x85c.raw missing"),
    "a type of control characters": (header(ElementType="MET\r\x0b_USHORT") + RAW, r"MET\\x0d\\x0b_USHORT"),
    "a folder as data file": (header(ElementDataFile="."), "missing"),
}  # fmt: skip

# SimpleITK is killed by these; the images are in order.
CRASHING = {
    "name of 300": header(Name="x" * 300) + RAW,
    "name of 499": header(Name="x" * 499) + RAW,
    "name of 5000": header(Name="x" * 5000) + RAW,
    "all long": header(**dict.fromkeys(("Name", "Comment", "AcquisitionDate", "ObjectSubType"), "x" * 498)) + RAW,
}


def both_readers(path) -> Iterator[tuple[np.ndarray, object]]:
    yield read_series(path)
    spool = FrameSpool(path)
    yield np.stack(list(spool)), spool.geometry


def test_what_simpleitk_reads_is_read_with_equal_values_by_both_readers(tmp_path):
    paths = [tmp_path / f"{number}.mha" for number in range(len(ACCEPTED))]
    for path, content in zip(paths, ACCEPTED.values(), strict=True):
        path.write_bytes(content)
    for name, path, expected in zip(ACCEPTED, paths, read_apart(paths), strict=True):
        assert isinstance(expected, ItkImage), f"{name}: {expected}"
        for frames, geometry in both_readers(path):
            assert frames.dtype == expected.frames.dtype, name
            finite = np.nan_to_num(expected.frames.astype(float), nan=0, posinf=0, neginf=0)
            np.testing.assert_array_equal(frames.astype(float), finite, name)
            assert geometry.spacing == expected.spacing, name
            assert geometry.origin == expected.origin, name
            np.testing.assert_array_equal(np.array(geometry.direction), expected.direction, name)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_right_is_refused_by_both_readers(tmp_path, name):
    content, message = REFUSED[name]
    (tmp_path / "x.mha").write_bytes(content)
    for read in (read_series, FrameSpool, read_masks):
        with pytest.raises(InputError, match=f"x.mha: expected .*(?:{message})") as caught:
            read(tmp_path / "x.mha")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", CRASHING)
def test_headers_that_crash_simpleitk_are_read(tmp_path, name):
    (tmp_path / "x.mha").write_bytes(CRASHING[name])
    for frames, _ in both_readers(tmp_path / "x.mha"):
        np.testing.assert_array_equal(frames, np.moveaxis(VOXELS.reshape(2, 3, 4), -1, 0))


@pytest.mark.parametrize("data_name", ["x.raw", "x.zraw", "x.raw.gz"])
def test_a_header_with_its_data_beside_it_is_read(tmp_path, data_name):
    path = tmp_path / "x.mhd"
    fields = {"CompressedData": "True"} if data_name == "x.zraw" else {}
    path.write_bytes(header(ElementDataFile=data_name.removesuffix(".gz"), **fields))
    (tmp_path / data_name).write_bytes({"x.raw": RAW, "x.zraw": ZIPPED, "x.raw.gz": gzip.compress(RAW)}[data_name])
    expected = read_apart([path])[0]
    assert isinstance(expected, ItkImage), expected
    for frames, geometry in both_readers(path):
        np.testing.assert_array_equal(frames, expected.frames)
        assert geometry.spacing == expected.spacing


def test_a_mask_is_refused_by_its_header_before_it_is_inflated(tmp_path):
    side = 1000  # claimed, and not there: to inflate anything would end in another error
    fields = {"DimSize": f"{side} {side} {side}", "ElementType": "MET_UCHAR", "CompressedData": "True"}
    data = bytes(1 << 20)
    (tmp_path / "m.mha").write_bytes(header(CompressedDataSize=str(len(data)), **fields) + data)
    with pytest.raises(InputError, match=r"the series' 176 x 160 pixels \(rows x columns\), found 1000 x 1000"):
        read_first_mask(tmp_path / "m.mha", (176, 160))
    with pytest.raises(InputError, match="masks of 6 frames of 176 x 160 px, found 1000 frames of 1000 x 1000 px"):
        read_masks(tmp_path / "m.mha", (6, 176, 160))


def test_a_file_that_cannot_be_opened_is_bad_input(tmp_path, monkeypatch):
    path = tmp_path / "x.mha"
    path.write_bytes(ACCEPTED["plain"])

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(path), "open", refused)
    for read in (read_series, FrameSpool, read_masks):
        with pytest.raises(InputError, match=r"x.mha: expected .* found what cannot be read \(Permission denied\)"):
            read(path)
