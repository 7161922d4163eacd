"""The mode pages of one disk: their current values, and the check that a change keeps to what may be changed.

Source: SPC-4 6.9 (MODE SELECT), 6.11 (MODE SENSE), 7.5.
"""

from __future__ import annotations

from collections.abc import Iterable

from iscsi.mode import ModePageFormat, PageControl, PageKey, header_length, page_key, select_pages


class UnchangeableBit(ValueError):
    """MODE SELECT touched a bit that cannot be changed, or a page that is not there; ``byte`` counts from its start."""

    def __init__(self, byte: int) -> None:
        super().__init__(f"byte {byte} of the mode page cannot be what was asked")
        self.byte = byte


class ModePages:
    """Current, default and changeable values of the pages in ``formats``, which stand by ascending code."""

    __slots__ = ("_current", "_formats")

    def __init__(self, formats: tuple[ModePageFormat, ...]) -> None:
        self._formats = {page.key: page for page in formats}
        self._current: dict[PageKey, bytes] = {}
        self.reset()

    def reset(self) -> None:
        """Back to the defaults, as nothing is ever saved."""
        self._current = {key: page.default for key, page in self._formats.items()}

    def current(self, code: int, subpage: int = 0) -> bytes:
        """The present value of a page the disk has."""
        return self._current[code, subpage]

    def sense(self, code: int, subpage: int, control: PageControl) -> tuple[bytes, ...]:
        """The pages a MODE SENSE means, with the values it asks for; () when there are none of them."""
        keys = select_pages(tuple(self._formats), code, subpage)
        if control is PageControl.CHANGEABLE:
            return tuple(self._formats[key].changeable for key in keys)
        if control is PageControl.DEFAULT:
            return tuple(self._formats[key].default for key in keys)
        return tuple(self._current[key] for key in keys)

    def check(self, page: bytes) -> None:
        """Raise UnchangeableBit unless ``page`` differs from the current one in changeable bits only."""
        form = self._formats.get(page_key(page))
        if form is None:
            raise UnchangeableBit(0)
        head, current = header_length(form.default), self._current[form.key]
        if header_length(page) != head or page[1:head] != current[1:head]:
            raise UnchangeableBit(head - 1)
        for at in range(head, len(page)):
            if (page[at] ^ current[at]) & ~form.changeable[at]:
                raise UnchangeableBit(at)

    def change(self, pages: Iterable[bytes]) -> bool:
        """Take over pages that `check` has passed; False when they are what was there."""
        before = dict(self._current)
        for page in pages:
            key = page_key(page)
            self._current[key] = before[key][:1] + page[1:]  # without the PS bit
        return self._current != before
