"""iSCSI names: the forms a node may call itself by (RFC 7143 section 4.2.7).

The check is as wide as the names seen in the field: it holds the prefix, the length and the absence of anything that
would break a text pair or a list, not the stringprep profile.
"""

from __future__ import annotations

import re
from typing import Final

MAX_NAME_LENGTH: Final = 223
"""Bytes of UTF-8."""

_FORMS: Final = re.compile(
    r"iqn\.\d{4}-\d{2}\.[^\s,;=\0]+"  # date and naming authority, then anything it chose
    r"|eui\.[0-9A-Fa-f]{16}"
    r"|naa\.(?:[0-9A-Fa-f]{16}|[0-9A-Fa-f]{32})"
)


def name_complaint(name: str) -> str | None:
    """What is wrong with ``name`` as an iSCSI name, or None when it will do."""
    if len(name.encode()) > MAX_NAME_LENGTH:
        return f"iSCSI name {name[:40]}... is longer than {MAX_NAME_LENGTH} bytes"
    if not _FORMS.fullmatch(name):
        return f"{name[:80]!r} is not an iSCSI name: expected iqn.yyyy-mm.domain[:text], eui.<16 hex> or naa.<hex>"
    return None
