"""The story of a ghost write: who wrote what over which path, when it was acknowledged, when the old one landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.check.history import History, Operation
from harness.check.landings import Landing
from harness.check.wire.copies import Copy

__all__ = ["ghost_story"]


def ghost_story(
    old: Operation,
    newer: Operation,
    copies: Mapping[int, Sequence[Copy]],
    landed: Sequence[Landing],
    ghost: Landing,
    history: History,
) -> list[str]:
    """``ghost`` is the landing of ``old`` that came too late; ``landed`` are all of its landings."""
    lines: list[tuple[int, str]] = []

    def tell(tick: int, at_ns: int, text: str) -> None:
        lines.append((tick, f"{at_ns / 1e9:9.3f} s  {text}"))

    for name, write in (("W1", old), ("W2", newer)):
        what = (
            f"{write.host} writes blocks {write.lba} to {write.lba + write.blocks - 1} ({name}, write {write.number})"
        )
        tell(write.begun, write.begun_ns, what)
        for count, copy in enumerate(copies.get(write.number, ())):
            sent = f"{name} is sent over {copy.where}" if not count else f"{name} is sent again over {copy.where}"
            tell(copy.sent, copy.sent_ns, sent)
        if write.ended is None or write.ended_ns is None:
            continue
        tell(write.ended, write.ended_ns, f"{name} is acknowledged over {write.via.rpartition(':')[0] or 'a path'}")
    for landing in landed:
        if landing is ghost:
            text = "the array carries out a copy of W1 that it still held: old data on top of new"
        else:
            text = "the array stores W1"
        tell(landing.tick, landing.at_ns, text)
    for reader in history.operations:
        if reader.is_write or reader.ended is None or reader.begun < ghost.tick:
            continue
        if any(run.writer == old.number for run in reader.seen):
            assert reader.ended_ns is not None
            where = "the medium holds" if not reader.host else f"read {reader.number} of {reader.host} returns"
            tell(reader.ended, reader.ended_ns, f"{where} W1, which W2 had overwritten")
            break
    return [text for _, text in sorted(lines)]
