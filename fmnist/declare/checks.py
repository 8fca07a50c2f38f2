"""Checks of what a study says: each gives the value in the type that is stored, or names it in a UserError."""

import math
import numbers
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from fmnist import UserError

LARGEST = 2**31 - 1  # of a whole number: rows and tensors count in 32 bits
LONGEST = 100  # characters of a name or label


def whole(name: str, value: Any, minimum: int, maximum: int = LARGEST) -> int:
    """A whole number from `minimum` to `maximum`, numpy's too; not 1.0 and not True."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or not minimum <= value <= maximum:
        raise UserError(f"{name}: got {value!r}, expected a whole number of at least {minimum} and at most {maximum}")
    return int(value)


def number(name: str, value: Any, interval: str) -> float:
    """A finite number, numpy's too, within an interval such as "[0, 1)"; not True."""
    low, high = map(float, interval[1:-1].split(","))
    try:
        known = math.nan if isinstance(value, bool) or not isinstance(value, numbers.Real) else float(value)
    except OverflowError:
        known = math.nan
    above = known > low or (known == low and interval[0] == "[")
    below = known < high or (known == high and interval[-1] == "]")
    if not (math.isfinite(known) and above and below):
        raise UserError(f"{name}: got {value!r}, expected a number in {interval}")
    return known + 0.0  # -0.0 is 0.0


def flag(name: str, value: Any) -> bool:
    """True or False; 1 is refused, which a row could not hold."""
    if not isinstance(value, (bool, np.bool_)):
        raise UserError(f"{name}: got {value!r}, expected True or False")
    return bool(value)


def member(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of some words."""
    allowed = tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise UserError(f"{name}: got {value!r}, expected one of {', '.join(allowed)}")
    return str(value)


def sha256(name: str, value: Any) -> str:
    """The SHA-256 of a file, as `sha256sum` prints it, or "" for no file."""
    if not isinstance(value, str) or not re.fullmatch("|[0-9a-f]{64}", value):
        raise UserError(
            f"{name}: got {value!r:.200}, expected '' or the SHA-256 of a file, 64 digits as `sha256sum FILE` prints"
        )
    return str(value)


def text(name: str, value: Any, longest: int = LONGEST) -> str:
    """A line of printable characters that begins and ends with none that is blank."""
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value.strip()) == len(value) <= longest:
        raise UserError(
            f"{name}: got {value!r:.200}, expected a line of 1 to {longest} printable characters, no blank at its ends"
        )
    return str(value)


def several(name: str, given: Any, kind: type) -> tuple[Any, ...]:
    """At least one of a kind, none of them twice."""
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else ()
    if not found or not all(isinstance(item, kind) for item in found) or len(set(found)) < len(found):
        raise UserError(f"{name}: got {given!r:.200}, expected at least one {kind.__name__}, each once")
    return found
