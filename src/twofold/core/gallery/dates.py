"""When a picture was taken, by the clock on the wall: seconds since 1970 without a time zone, as cameras write it."""

import calendar
import io
import warnings
from datetime import date, datetime, timedelta
from typing import NamedTuple

from PIL import Image

from twofold.data.picture_kinds import HEAD_BYTES, format_of
from twofold.errors import SettingError

__all__ = ["Header", "moment", "period", "read_header", "seconds_of", "wall_seconds"]

EPOCH = datetime(1970, 1, 1)
CAMERA_PART, TAKEN, ORIENTATION = 0x8769, 0x9003, 0x112  # tags of EXIF
FORMS = ("%Y", "%Y-%m", "%Y-%m-%d")


class Header(NamedTuple):
    """What the first bytes of a picture's file tell."""

    kind: str | None = None
    """JPEG, PNG, ...; None where it cannot be told."""
    taken: float | None = None
    """Seconds, as the camera wrote them."""
    height: int | None = None
    width: int | None = None


def read_header(data: bytes) -> Header:
    """Date and size, without decoding; nothing of what is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[format_of(data[:HEAD_BYTES])]) as image:
                notes = _notes(image)
                width, height = image.size
                if notes.get(ORIENTATION, 1) in (5, 6, 7, 8):
                    width, height = height, width
                return Header(image.format, _taken(notes), height, width)
    except Exception:  # a damaged header says nothing; whether the picture can be read, decoding tells
        return Header()


def _notes(image: Image.Image) -> Image.Exif:
    """EXIF, as far as it stands before the pixels: asking further would decode a PNG."""
    if image.format == "PNG" and "exif" not in image.info:
        return Image.Exif()
    return image.getexif()


def _taken(notes: Image.Exif) -> float | None:
    try:
        text = str(notes.get_ifd(CAMERA_PART).get(TAKEN, ""))
        return seconds_of(datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S"))
    except Exception:  # no date, or none that a calendar has
        return None


def wall_seconds(n_seconds: float) -> float:
    """From the time of a file to what the clock on the wall showed; 0 for what no clock shows."""
    try:
        return seconds_of(datetime.fromtimestamp(n_seconds))
    except (OverflowError, ValueError, OSError):
        return 0.0


def seconds_of(when: datetime) -> float:
    """Seconds from the first of January 1970, whatever the zone."""
    return (when.replace(tzinfo=None) - EPOCH).total_seconds()


def moment(n_seconds: float) -> datetime:
    """The reverse of `seconds_of`."""
    return EPOCH + timedelta(seconds=n_seconds)


def period(when: str | date) -> tuple[float, float]:
    """First second of a year, a month, a day or a moment, and the first one after it.

    Examples
    --------
    >>> start, end = period("2024-02")
    >>> (end - start) / 86400
    29.0
    """
    if isinstance(when, datetime):
        return seconds_of(when), seconds_of(when) + 1
    text = when.isoformat() if isinstance(when, date) else when.strip()
    for form, n_days in zip(FORMS, _lengths(text), strict=True):
        try:
            start = datetime.strptime(text, form)
        except ValueError:
            continue
        return seconds_of(start), seconds_of(start) + 86400 * n_days
    try:
        return period(datetime.fromisoformat(text))
    except ValueError as error:
        raise SettingError(
            f"the date is {text!r}. Allowed are a year, a month, a day or a moment. "
            "Write it like 2024, 2024-05, 2024-05-17 or 2024-05-17T18:30."
        ) from error


def _lengths(text: str) -> tuple[int, int, int]:
    """Days of the year, of the month, of a day."""
    year, month = (int(part) if part.isdecimal() else 1 for part in [*text.split("-"), "1"][:2])
    in_month = calendar.monthrange(year, month)[1] if 1 <= month <= 12 and 1 <= year <= 9999 else 0
    return 365 + calendar.isleap(year), in_month, 1
