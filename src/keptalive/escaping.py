"""What came from elsewhere, made harmless to read: no character of it acts on a terminal, or reorders a text.

Rule: pure; the one table of such characters.
"""

from __future__ import annotations

# C0, DEL and C1 controls, the bidirectional overrides and the line separators: all that
# can move a cursor, recolour, retitle or reorder what a person reads.
_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{
        code: f"\\u{code:04x}"
        for code in (*range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    },
}


def escape(text: object) -> str:
    """Return *text* with every character that could act on a terminal written as \\xNN or \\uNNNN."""
    escaped = str(text).translate(_CONTROLS)
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")
