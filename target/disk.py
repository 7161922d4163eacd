"""The state behind a logical unit: medium, names, unit attentions, reservations, and the checks commands share.

Commands are functions over this state, by subject in ``target.disk_io``, ``disk_mode``, ``disk_medium`` and so on;
``target.lun`` dispatches to them.
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.inquiry import BlockLimits
from iscsi.mode import D_SENSE, SOFTWARE_WRITE_PROTECT, TASK_ABORTED_STATUS, WRITE_CACHE, ModePage, disk_pages
from iscsi.sense import CAPACITY_CHANGED, LBA_OUT_OF_RANGE, WRITE_PROTECTED, Sense
from target.attention import UnitAttentions
from target.chores import TakeUp, at_once
from target.command import GOOD, CheckCondition, ScsiResult, bad_cdb_field
from target.copies import Copies
from target.identity import PRODUCT, VENDOR, VolumeIdentity
from target.mode_pages import ModePages
from target.nexus import Nexus
from target.port_groups import PortGroups
from target.reservation_memory import ReservationMemory
from target.reservations import Reservations
from target.sanitize import Overwriting
from target.store import BlockStore

MAX_SIZE_BYTES: Final = 1 << 63
"""Of a logical unit. It is sparse, but its bytes have to be counted."""

MAX_TRANSFER_BYTES: Final = 8 << 20
"""Most that one READ, WRITE, VERIFY or WRITE SAME covers; VPD page B0h reports it in blocks."""

_OPTIMAL_GRANULARITY_BYTES: Final = 4096
_OPTIMAL_TRANSFER_BYTES: Final = 1 << 20
_MAX_COMPARE_AND_WRITE_BLOCKS: Final = 255
_MAX_UNMAP_BLOCKS: Final = 1 << 20
_MAX_UNMAP_DESCRIPTORS: Final = 256


class Disk:
    """A direct access block device over a store.

    ``block_size``: 512 or 4096 bytes; the store's size must be a multiple of it. ``read_only``: writes end DATA
    PROTECT. ``removable``: the medium can be ejected. ``thin``: the disk offers UNMAP and deallocating WRITE SAME.
    ``descriptor_sense``: the default of D_SENSE. ``write_through``: the write cache is off (WCE=0), so every write is
    flushed before it is answered. ``physical_block_size``: that of the medium, 4096 bytes for a disk that emulates
    blocks of 512 (None: ``block_size``). ``rotation_rate``: turns per minute for page B1h, 1 for a solid state medium.
    ``memory``: where persistent reservations outlive a loss of power; FileRefused when it cannot be read.
    ``port_groups``: through which portals it is served, and how well; None: through all alike.
    """

    __slots__ = (
        "attentions",
        "block_size",
        "blocks",
        "copies",
        "descriptor_sense",
        "identity",
        "limits",
        "max_transfer_blocks",
        "modes",
        "not_ready",
        "physical_block_size",
        "port_groups",
        "prevention",
        "product",
        "read_only",
        "removable",
        "reservations",
        "revision",
        "rotation_rate",
        "sanitizing",
        "store",
        "take_up",
        "task_aborted_status",
        "thin",
        "vendor",
        "write_protected",
        "write_through",
    )

    def __init__(
        self,
        store: BlockStore,
        identity: VolumeIdentity,
        *,
        block_size: int = 512,
        physical_block_size: int | None = None,
        read_only: bool = False,
        removable: bool = False,
        thin: bool = True,
        descriptor_sense: bool = False,
        rotation_rate: int = 7200,
        vendor: str = VENDOR,
        product: str = PRODUCT,
        revision: str = "4.3",
        memory: ReservationMemory | None = None,
        port_groups: PortGroups | None = None,
    ) -> None:
        if block_size not in (512, 4096):
            raise ValueError(f"block_size must be 512 or 4096, got {block_size}")
        if store.size_bytes % block_size:
            raise ValueError(f"a store of {store.size_bytes} bytes does not hold whole blocks of {block_size}")
        self.store = store
        self.identity = identity
        self.port_groups = port_groups
        self.block_size = block_size
        self.physical_block_size = physical_block_size or block_size
        self.blocks = store.size_bytes // block_size
        self.read_only = read_only
        self.removable = removable
        self.not_ready: Sense | None = None
        """Why commands that need the medium are refused; None when it is ready."""
        self.sanitizing: Overwriting | None = None
        """The sanitize operation that runs, or the last one if it failed."""
        self.take_up: TakeUp = at_once
        """Who goes on with what takes time; set by the array."""
        self.prevention: dict[Nexus, None] = {}
        """The nexuses that prevent the medium's removal."""
        self.thin = thin
        self.modes = ModePages(disk_pages(write_cache=store.write_cache, descriptor_sense=descriptor_sense))
        self.apply_modes()
        self.rotation_rate = rotation_rate
        self.vendor = vendor
        self.product = product
        self.revision = revision
        self.attentions = UnitAttentions()
        self.reservations = Reservations(self.attentions, memory)
        self.copies = Copies()
        self.max_transfer_blocks = MAX_TRANSFER_BYTES // block_size
        atomic = None if store.atomic_bytes is None else max(store.atomic_bytes // block_size, 1)
        self.limits = BlockLimits(
            write_same_non_zero=True,
            max_compare_and_write=_MAX_COMPARE_AND_WRITE_BLOCKS,
            optimal_granularity=_OPTIMAL_GRANULARITY_BYTES // block_size,
            max_transfer=self.max_transfer_blocks,
            optimal_transfer=_OPTIMAL_TRANSFER_BYTES // block_size,
            max_prefetch=self.max_transfer_blocks,
            max_unmap_blocks=_MAX_UNMAP_BLOCKS if thin else 0,
            max_unmap_descriptors=_MAX_UNMAP_DESCRIPTORS if thin else 0,
            unmap_granularity=max(store.allocation_bytes // block_size, 1) if thin else 0,
            max_write_same=self.max_transfer_blocks,
            max_atomic=self.max_transfer_blocks if atomic is None else atomic,
            atomic_alignment=0 if atomic is None else atomic,
        )

    def written(self, *, stable: bool) -> ScsiResult:
        """The good end of a command that has written or discarded; ``stable``: it must survive a loss of power (FUA).

        Every command that changes the medium ends with it, so that a write cache that is off is off for all.
        """
        return self.flushed() if stable or self.write_through else GOOD

    def flushed(self) -> ScsiResult:
        """The good end of a command that asks for all writes before it to be stable."""
        flush = self.store.flush()
        return GOOD if flush is None else ScsiResult(ScsiStatus.GOOD, pending=flush)

    def check_range(self, lba: int, blocks: int) -> None:
        """LBA OUT OF RANGE unless all the blocks exist. A range of none may start just behind the last block."""
        if lba + blocks > self.blocks:
            raise CheckCondition(LBA_OUT_OF_RANGE.with_information(max(lba, self.blocks)))

    def check_transfer(self, blocks: int, cdb: bytes) -> None:
        """INVALID FIELD IN CDB when a transfer is longer than page B0h allows."""
        if blocks > self.max_transfer_blocks:
            raise bad_cdb_field(_LENGTH_FIELD[cdb[0] >> 5])

    def grow(self, size_bytes: int) -> None:
        """Become larger, which every nexus is told by CAPACITY DATA HAS CHANGED. A host would lose what is cut off.

        Raises ValueError for a size that is no larger one of whole blocks, CannotGrow, and OSError.
        """
        size = self.blocks * self.block_size
        if size_bytes <= size or size_bytes % self.block_size or size_bytes > MAX_SIZE_BYTES:
            raise ValueError(
                f"a disk of {size} bytes can grow to a multiple of {self.block_size} bytes up to {MAX_SIZE_BYTES}, "
                f"not to {size_bytes}"
            )
        self.store.grow(size_bytes)
        self.blocks = size_bytes // self.block_size
        self.attentions.establish_for_all(CAPACITY_CHANGED)

    def restore_mode_defaults(self) -> None:
        """Forget what MODE SELECT changed, as a reset does."""
        self.modes.reset()
        self.apply_modes()

    def apply_modes(self) -> None:
        """Take the settings that commands look at from the mode pages."""
        control, caching = self.modes.current(ModePage.CONTROL), self.modes.current(ModePage.CACHING)
        self.descriptor_sense = bool(control[2] & D_SENSE)
        self.write_protected = self.read_only or bool(control[4] & SOFTWARE_WRITE_PROTECT)
        self.task_aborted_status = bool(control[5] & TASK_ABORTED_STATUS)
        self.write_through = self.store.write_cache and not caching[2] & WRITE_CACHE

    def check_writable(self) -> None:
        """WRITE PROTECTED on a read-only disk, or one that a host has write-protected."""
        if self.write_protected:
            raise CheckCondition(WRITE_PROTECTED)


_LENGTH_FIELD: Final = {0: 4, 1: 7, 2: 7, 4: 10, 5: 6}
"""Group code of an opcode (its top three bits): the byte where the transfer length starts."""
