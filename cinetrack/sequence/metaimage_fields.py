"""The fields of a MetaImage header, told apart as MetaIO does, which is what SimpleITK reads these files with.

MetaIO copies some values into buffers of a fixed size, without a look at their length, and takes memory for whatever
number of dimensions a header names: some headers end the process. Here every value is bounded by the file itself.
The rules are MetaIO's: a key ends at `=` or `:`, numbers may go on in the next line, what cannot be read as a number
counts as 0 where a real number is wanted, and the header ends with the line of ElementDataFile.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from cinetrack.errors import InputError

HEADER_LIMIT = 16 << 20  # bytes; tens of thousands of DICOM tags carried over
KEY_LIMIT = 500  # bytes; MetaIO gives up at a longer one
SMALLEST_NORMAL = 2.2250738585072014e-308  # smaller numbers count as 0

LAST_KEY = b"ElementDataFile"
NDIMS = 3  # of every series and mask
TEXTS = (
    b"ObjectType", b"ObjectSubType", b"Comment", b"AcquisitionDate", b"Name", b"CompressedData", b"BinaryData",
    b"ElementByteOrderMSB", b"BinaryDataByteOrderMSB", b"DistanceUnits", b"AnatomicalOrientation", b"Modality",
    b"ElementType", LAST_KEY,
)  # fmt: skip
# Key -> how many numbers.
NUMBERS = {
    b"FileFormatVersion": 1, b"NDims": 1, b"ID": 1, b"ParentID": 1, b"CompressedDataSize": 1, b"Color": 4,
    b"Position": NDIMS, b"Origin": NDIMS, b"Offset": NDIMS, b"TransformMatrix": NDIMS**2, b"Rotation": NDIMS**2,
    b"Orientation": NDIMS**2, b"CenterOfRotation": NDIMS, b"ElementSpacing": NDIMS, b"DimSize": NDIMS,
    b"HeaderSize": 1, b"ImagePosition": NDIMS, b"SequenceID": NDIMS, b"ElementMin": 1, b"ElementMax": 1,
    b"ElementNumberOfChannels": 1, b"ElementSize": NDIMS, b"ElementNBits": 1, b"ElementToIntensityFunctionSlope": 1,
    b"ElementToIntensityFunctionOffset": 1,
}  # fmt: skip
# Fields that change what is read, and the value that stands for a missing one.
DEFAULTS: dict[bytes, tuple[float, ...] | bool] = {
    b"ElementSpacing": (1.0,) * NDIMS,
    **dict.fromkeys((b"Offset", b"Position", b"Origin", b"ImagePosition"), (0.0,) * NDIMS),
    **dict.fromkeys((b"TransformMatrix", b"Rotation", b"Orientation"), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)),
    b"BinaryData": True,
    **dict.fromkeys((b"BinaryDataByteOrderMSB", b"ElementByteOrderMSB", b"CompressedData"), False),
    b"HeaderSize": (0.0,),
    b"ElementNumberOfChannels": (1.0,),
}
# A value of these that cannot be read as numbers must not pass for 0.
MUST_BE_NUMBERS = (b"NDims", b"DimSize", b"HeaderSize", b"ElementNumberOfChannels", b"CompressedDataSize")

_KEY_END = re.compile(rb"[=:\r\n]")
_VALUE_START = re.compile(rb"[^=:]*[=:][=: \t]*")
_SPACE = re.compile(rb"[ \t\n\v\f\r]*")
_NUMBER = re.compile(rb"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d*)?|\.)?")


@dataclass(frozen=True)
class HeaderFields:
    """A header's known fields, unknown ones left out.

    Attributes:
        texts: key -> value.
        numbers: key -> as many finite numbers as the key has.
        end: offset in the file of the first byte after the header.
    """

    texts: dict[bytes, bytes]
    numbers: dict[bytes, tuple[float, ...]]
    end: int

    def is_true(self, key: bytes, default: bool = False) -> bool:
        """Whether a flag is set; the first letter tells."""
        return _is_true(self.texts[key]) if key in self.texts else default

    def shown(self, key: bytes) -> str:
        """A field's value for an error, shortened."""
        if key in self.numbers:
            return " ".join(f"{number:g}" for number in self.numbers[key])
        return shown(self.texts[key]) if key in self.texts else "none"


def read_fields(path: Path, wanted: str) -> HeaderFields:
    """Read the header of a .mha or .mhd file.

    Args:
        wanted: what the file should hold, for the error's sake ("a mask").
    Raises:
        InputError: no complete header, not three dimensions, or numbers that are none.
    """
    with path.open("rb") as file:
        scan = _Scan(path, wanted, file.read(HEADER_LIMIT))
    while LAST_KEY not in scan.texts:
        scan.next_field()
    return HeaderFields(scan.texts, scan.numbers, scan.at)


def shown(text: bytes) -> str:
    """A piece of a file for an error, shortened."""
    # Escaped, so that an error stays one line whatever a file holds.
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in text[:60]) or "nothing"


class _Scan:
    """The place in a header that has been read so far, and what was found before it."""

    def __init__(self, path: Path, wanted: str, header: bytes) -> None:
        self.path = path
        self.wanted = wanted
        self.header = header
        self.at = 0
        self.texts: dict[bytes, bytes] = {}
        self.numbers: dict[bytes, tuple[float, ...]] = {}

    def next_field(self) -> None:
        start = self._skip(_SPACE, self.at)
        end = _KEY_END.search(self.header, start, start + KEY_LIMIT)
        value = _VALUE_START.match(self.header, end.start()) if end else None
        if end is None or value is None or value.end() == len(self.header):
            raise InputError(f"{self.path}: expected {self.wanted} with a MetaImage header, found no complete one")
        key = self.header[start : end.start()].rstrip(b" \t").partition(b"\0")[0]
        self.at = value.end()
        if b"\n" in self.header[end.start() : self.at]:  # a line without "=" makes one field of it and the next
            last_line = self.header.rfind(b"\n", end.start(), self.at) + 1
            self._check_lost(self.header[last_line : self._line_end()])
        if key in NUMBERS:
            self._take_numbers(key)
        elif key in TEXTS:
            self.texts[key] = _stripped(self.header[self.at : self._line_end()])
        self.at = min(self._line_end() + 1, len(self.header))

    def _check_lost(self, line: bytes) -> None:
        """Raise InputError where MetaIO's rules pass over a line that would have changed what is read."""
        start = _VALUE_START.match(line)
        key = line[: start.end()].rstrip(b"=: \t").strip() if start else b""
        default, value = DEFAULTS.get(key), line[start.end() :] if start else b""
        if default is None or default == (_is_true(value) if isinstance(default, bool) else _numbers(value)):
            return
        raise InputError(
            f'{self.path}: expected {self.wanted} with a whole "key = value" on each line of its header, '
            f"found {shown(key)} lost to the line before it"
        )

    def _take_numbers(self, key: bytes) -> None:
        if key != b"NDims" and NUMBERS[key] in (NDIMS, NDIMS**2) and b"NDims" not in self.numbers:
            raise self._unusable(key, "a value before NDims")
        line_end = self._line_end()
        numbers = []
        for _ in range(NUMBERS[key]):
            start = self._skip(_SPACE, self.at)
            found = _NUMBER.match(self.header, start)
            text = found[0] if found else b""
            self.at = start + len(text)
            number = _number(text)
            if number is None and key in MUST_BE_NUMBERS:
                raise self._unusable(key, shown(self.header[start : self._line_end()]))
            if number is None and start > line_end:  # the next field is taken for the missing number
                self._check_lost(self.header[start : self._line_end()])
            numbers.append(0.0 if number is None else number)
        if not all(math.isfinite(number) for number in numbers):
            raise self._unusable(key, "a number beyond all bounds")
        self.numbers[key] = tuple(numbers)
        if key == b"NDims" and int(numbers[0]) != NDIMS:
            raise InputError(
                f"{self.path}: expected {self.wanted} of three dimensions (row, column, time), found {numbers[0]:g}"
            )

    def _unusable(self, key: bytes, found: str) -> InputError:
        return InputError(
            f"{self.path}: expected {self.wanted} with a usable {key.decode()} in its header, found {found}"
        )

    def _skip(self, pattern: re.Pattern[bytes], start: int) -> int:
        match = pattern.match(self.header, start)
        return match.end() if match else start

    def _line_end(self) -> int:
        end = self.header.find(b"\n", self.at)
        return len(self.header) if end < 0 else end


def _is_true(text: bytes) -> bool:
    return text[:1] in (b"T", b"t", b"1")


def _numbers(text: bytes) -> tuple[float | None, ...]:
    return tuple(_number(word) for word in text.split())


def _number(text: bytes) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return 0.0 if abs(number) < SMALLEST_NORMAL else number


def _stripped(value: bytes) -> bytes:
    """Without what is not printable at the end; a zero byte ends it."""
    value = value.partition(b"\0")[0]
    end = len(value)
    while end and not 32 < value[end - 1] < 127:
        end -= 1
    return value[:end]
