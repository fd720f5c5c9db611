"""Text whose letters were read in the wrong encoding, such as "CafÃ©" for "Café": found, and put right."""

from __future__ import annotations

import re

LOST = "\ufffd"


def _character(byte: int) -> str:
    """How Windows-1252 reads a byte; the five bytes that it leaves out stand for themselves."""
    return bytes([byte]).decode("cp1252", errors="ignore") or chr(byte)


BYTES = {_character(byte): byte for byte in range(0x80, 0x100)}
RUN = re.compile(f"[{re.escape(''.join(BYTES))}]{{2,}}")


def repaired(text: str) -> str:
    """The text with every run of letters that is UTF-8 read as Windows-1252 put right. Other text stays as it is."""
    return RUN.sub(_repair, text)


def is_damaged(text: str) -> bool:
    """True if letters are lost (U+FFFD) or were read in the wrong encoding."""
    return LOST in text or repaired(text) != text


def _repair(run: re.Match[str]) -> str:
    try:
        return bytes(BYTES[character] for character in run[0]).decode("utf-8")
    except UnicodeDecodeError:
        return run[0]
