"""What others say, as it may stand in a log or on a terminal."""

from __future__ import annotations

# Marks, overrides and isolates; between the two rows the ends of lines and paragraphs.
_BIDIRECTIONAL = (0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))

# In JSON line breaks and tabs stand between tokens only, and these others inside of strings only.
_JSON_IN_A_LINE: dict[int, str] = {
    **dict.fromkeys(map(ord, "\n\r\t"), " "),
    **{code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x061C, *_BIDIRECTIONAL)},
}


def in_a_line(value: object) -> str:
    """Return it as text for one line: a peer says of itself what it likes, such as what moves the cursor."""
    text = str(value)
    return text if text.isprintable() else "".join(part if part.isprintable() else repr(part)[1:-1] for part in text)


def json_in_a_line(text: str) -> str:
    """Return JSON as it came, but in one line and without what moves the cursor: its author is somebody else.

    To decode and encode it again would change numbers.
    """
    return text.translate(_JSON_IN_A_LINE)
