"""Values of a DICOM header, checked as they are taken: what is malformed ends with the file and the tag."""

from __future__ import annotations

import datetime
import math
import re
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cinetrack.clinic.packages import clinic_package
from cinetrack.errors import InputError

DEFLATED = "1.2.840.10008.1.2.1.99"
MOST_INFLATED = 1 << 29  # bytes; a deflated file of some kilobytes can hold gigabytes
TIME = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(?:\.(\d{1,6}))?)?)?")
DATE_TIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)([+-]\d{4})?")


@dataclass(frozen=True, eq=False)
class Header:
    """A dataset, or an item of a sequence in it, and the file to name."""

    path: Path
    dataset: Any

    def text(self, keyword: str) -> str:
        """The value as text; "" where it is absent or empty."""
        value = self._value(keyword)
        return "" if value is None else str(value).strip()

    def uid(self, keyword: str) -> str:
        """A unique identifier, which has to be there."""
        value = self.text(keyword)
        if not re.fullmatch(r"[0-9.]{1,64}", value):
            raise self.unusable(keyword, "a unique identifier", value)
        return value

    def number(self, keyword: str) -> float | None:
        """A finite number; None where it is absent or empty."""
        value = self._value(keyword)
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self.unusable(keyword, "a number", value) from None
        if not math.isfinite(number):
            raise self.unusable(keyword, "a finite number", value)
        return number

    def whole(self, keyword: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`; `default` where it is absent, an error where there is none."""
        number = self.number(keyword)
        if number is None and default is not None:
            return default
        if number is None or number != int(number) or not low <= number <= high:
            raise self.unusable(keyword, f"a whole number of {low} to {high}", number)
        return int(number)

    def numbers(self, keyword: str, count: int | None) -> tuple[float, ...] | None:
        """Several finite numbers, `count` where that is given; None where the value is absent or empty."""
        value = self._value(keyword)
        if value is None or value == "":
            return None
        wanted = "numbers" if count is None else f"{count} numbers"
        try:
            found = tuple(float(part) for part in ([value] if isinstance(value, (int, float, str)) else value))
        except (TypeError, ValueError):
            raise self.unusable(keyword, wanted, value) from None
        if (count is not None and len(found) != count) or not all(math.isfinite(part) for part in found):
            raise self.unusable(keyword, wanted, value)
        return found

    def seconds_of_day(self, keyword: str) -> float | None:
        """A time (TM) as seconds since midnight; None where it is absent or empty."""
        value = self.text(keyword)
        if not value:
            return None
        found = TIME.fullmatch(value)
        parts = [int(part or 0) for part in found.groups()[:3]] if found else []
        if found is None or parts[0] > 23 or parts[1] > 59 or parts[2] > 60:
            raise self.unusable(keyword, "a time as HHMMSS.FFFFFF", value)
        return parts[0] * 3600 + parts[1] * 60 + parts[2] + float(f"0.{found.group(4) or 0}")

    def days(self, keyword: str) -> int:
        """A date (DA) as a number of days; 0 where it is absent or empty."""
        value = self.text(keyword).replace(".", "")
        return self._days(keyword, value) if value else 0

    def seconds_of_date_time(self, keyword: str) -> float | None:
        """A date and time (DT) as seconds; None where it is absent or empty."""
        value = self.text(keyword)
        if not value:
            return None
        found = DATE_TIME.fullmatch(value)
        if not found:
            raise self.unusable(keyword, "a date and time as YYYYMMDDHHMMSS.FFFFFF", value)
        clock, zone = found.group(2), found.group(3)
        seconds = int(clock[:2]) * 3600 + int(clock[2:4] or 0) * 60 + float(clock[4:] or 0)
        offset = (int(zone[1:3]) * 3600 + int(zone[3:]) * 60) * (-1 if zone[0] == "-" else 1) if zone else 0
        return self._days(keyword, found.group(1)) * 86400 + seconds - offset

    def items(self, keyword: str) -> list[Header]:
        """The items of a sequence; none where it is absent."""
        value = self._value(keyword)
        if value is None:
            return []
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise self.unusable(keyword, "a sequence", value)
        return [Header(self.path, item) for item in value]

    def item(self, keyword: str) -> Header | None:
        """The first item of a sequence; None where there is none."""
        return next(iter(self.items(keyword)), None)

    def unusable(self, keyword: str, expected: str, found: object) -> InputError:
        """The error that says what is wrong with a value."""
        shown = "none" if found is None or found == "" else str(found)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return InputError(f"{self.path}: {tag_name(keyword)}: expected {expected}, found {shown}")

    def _value(self, keyword: str) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's remarks on values that it reads all the same
                return self.dataset.get(keyword)
        except Exception as error:  # values are converted when they are taken; pydicom raises many kinds
            raise self.unusable(keyword, "a readable value", f"{type(error).__name__}: {error}") from None

    def _days(self, keyword: str, text: str) -> int:
        try:
            return datetime.datetime.strptime(text, "%Y%m%d").toordinal()
        except ValueError:
            raise self.unusable(keyword, "a date as YYYYMMDD", text) from None


def read_header(path: Path, pixels: bool = False) -> Header:
    """Read a DICOM file, without its pixels unless they are asked for.

    Raises:
        InputError: no DICOM file, or one that cannot be read.
    """
    pydicom = clinic_package("pydicom", f"{path}: to read DICOM")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if str(pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")) == DEFLATED:
                _check_inflated(path)
            return Header(path, pydicom.dcmread(path, stop_before_pixels=not pixels))
    except InputError:
        raise
    except Exception as error:  # struct, zlib, operating system, and pydicom's own
        raise InputError(f"{path}: expected a DICOM file, found one that cannot be read ({_reason(error)})") from None


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark, or its ending."""
    if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError as error:
        raise InputError(
            f"{path}: expected a file that can be read, found one that cannot ({error.strerror})"
        ) from None


def tag_name(keyword: str) -> str:
    """As (0028,0010) Rows."""
    datadict = clinic_package("pydicom.datadict", "to name a DICOM tag")
    tag = datadict.tag_for_keyword(keyword)
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}"


def _check_inflated(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(132)
        content = file.read()
    start = 12 + int.from_bytes(content[8:12], "little") if content[:4] == b"\x02\x00\x00\x00" else 0
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    if len(inflate.decompress(content[start:], MOST_INFLATED)) >= MOST_INFLATED:
        raise InputError(f"{path}: expected a deflated file of at most {MOST_INFLATED >> 20} MiB, found a larger one")


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__
