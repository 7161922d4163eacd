"""The ledger against a register that remembers everything, on random histories of overlapping reads and writes.

The register is written from the definition, with no pruning and no shortcuts: a read may return the value of a write
that had begun, unless some other write began after that one had been acknowledged and was itself acknowledged before
the read began. What the ledger keeps and forgets must never change that answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ledger import NEVER_WRITTEN, Ledger, stamped

BLOCK = 512
BLOCKS = 3
FOREVER = 1 << 30


@dataclass
class Op:
    number: int
    write: bool
    lba: int
    blocks: int
    begun: int
    ended: int = FOREVER
    ok: bool = False

    def covers(self, block: int) -> bool:
        return self.lba <= block < self.lba + self.blocks


def allowed(history: list[Op], block: int, read_begun: int) -> list[int]:
    """By the definition, at the moment of asking."""
    writes = [op for op in history if op.write and op.covers(block)]
    origin = Op(NEVER_WRITTEN, True, 0, BLOCKS, -2, -1, ok=True)
    acknowledged = [op for op in writes if op.ok and op.ended < read_begun]
    return [
        op.number
        for op in [origin, *writes]
        if not (op.ok and any(later.begun > op.ended for later in acknowledged if later is not op))
    ]


# One step of a history: begin a write or a read somewhere, or end one of the open ones.
steps = st.lists(
    st.tuples(st.sampled_from("wre"), st.integers(0, BLOCKS - 1), st.integers(1, BLOCKS), st.booleans(), st.integers()),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(steps=steps)
def test_the_ledger_allows_what_the_register_allows_and_nothing_else(
    steps: list[tuple[str, int, int, bool, int]],
) -> None:
    ledger = Ledger(BLOCK)
    history: list[Op] = []
    open_ops: list[Op] = []
    for now, (what, lba, blocks, ok, pick) in enumerate(steps):
        blocks = min(blocks, BLOCKS - lba)
        if what in "wr":
            op = Op(len(history) + 1, what == "w", lba, blocks, now)
            history.append(op)
            open_ops.append(op)
            if op.write:
                ledger.write_begins(op.number, lba, blocks)
            else:
                ledger.read_begins(op.number)
            continue
        if not open_ops:
            continue
        op = open_ops.pop(pick % len(open_ops))
        op.ended, op.ok = now, ok
        if op.write:
            ledger.write_ends(op.number, op.lba, op.blocks, ok)
        else:
            _read_agrees(ledger, history, op, pick)
    now = len(steps)
    for block in range(BLOCKS):
        legal = allowed(history, block, now)
        for number in range(len(history) + 1):
            wrong = ledger.judge_final(block, _value(number, block))
            assert bool(wrong) == (number not in legal), f"block {block}, write {number}: {wrong}, legal {legal}"


def _read_agrees(ledger: Ledger, history: list[Op], op: Op, pick: int) -> None:
    """End a read with a value drawn from all writes there ever were, in every block."""
    values = [pick // (7 + block) % (len(history) + 1) for block in range(op.lba, op.lba + op.blocks)]
    places = range(op.lba, op.lba + op.blocks)
    data = b"".join(_value(number, block) for number, block in zip(values, places, strict=True))
    legal = [number in allowed(history, block, op.begun) for number, block in zip(values, places, strict=True)]

    finding = ledger.read_ends(op.number, op.lba, data)

    assert (finding is None) == all(legal), f"{finding}, read {values} of {list(places)}"
    if finding is not None:
        assert finding.lba == op.lba + legal.index(False)


def _value(number: int, block: int) -> bytes:
    return bytes(BLOCK) if number == NEVER_WRITTEN else stamped(number, block, 1, BLOCK)
