"""What a scenario may break, and where: the step `fault`.

Which places a kind of fault wants, and what says how bad it is, stands in the table `FAULTS`. What is not in it is the
array's own: `target.faults` knows the places of those.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, PositiveInt, model_validator

from harness.fields import DurationNs, FrameShare, Ip, Label, RateBitsPerS, SizeBytes
from harness.step_base import Step
from target.faults import ArrayFault, FaultName

FaultKind = Literal[
    "link_down",
    "blackhole",
    "latency",
    "rate",
    "loss",
    "reorder",
    "jitter",
    "corrupt",
    "queue_limit",
    "clog",
    "portal_down",
    "array_kill",
    "host_reboot",
    "busy",
    "task_set_full",
    "reservation_conflict",
    "check_condition",
    "medium_error",
    "write_error",
    "late",
    "stalled",
    "slow",
    "silent",
    "no_login",
    "out_of_resources",
    "redirect_to_dead",
]


class Wants(NamedTuple):
    """The keys of one kind of fault: exactly one of `places`, all of `strengths`, and `options` if one likes."""

    places: tuple[str, ...] = ("nic", "portal")
    strengths: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


FAULTS: Mapping[FaultKind, Wants] = {
    "link_down": Wants(options=("carrier",)),
    "blackhole": Wants(options=("direction",)),
    "latency": Wants(strengths=("extra",)),
    "rate": Wants(strengths=("rate",)),
    "loss": Wants(strengths=("share",), options=("direction",)),
    "reorder": Wants(strengths=("share", "delay"), options=("direction",)),
    "jitter": Wants(strengths=("extra",)),
    "corrupt": Wants(strengths=("share",), options=("direction",)),
    "queue_limit": Wants(strengths=("limit",)),
    "clog": Wants(options=("direction",)),
    "portal_down": Wants(places=("portal",)),
    "array_kill": Wants(places=()),
    "host_reboot": Wants(places=("host",)),
}
"""Faults of cables, interfaces and machines."""

ARRAYS_OWN = ("portal", "volume", "lba", "blocks", "to", "sense", "count", "op", "extra")
"""The keys that faults of the array's own may have; which of them a kind wants `target.faults` says."""


class Fault(Step):
    """Break something; `heal` mends it."""

    do: Literal["fault"]
    kind: FaultKind
    nic: str | None = None
    """"host/nic", such as "w2k3/3A_iSCSI"."""
    portal: Ip | None = None
    host: Label | None = None
    carrier: bool = False
    """link_down only. false: the cable is out and the ends see it; true: the link light stays on, frames are lost."""
    direction: Literal["in", "out"] | None = None
    """Of the cable, as its interface sees it: what comes to it, or what it sends. Without it: both."""
    extra_ns: DurationNs | None = Field(default=None, alias="extra")
    """latency: added to every frame; jitter: each segment gets a random part of it; slow: added to every command."""
    rate_bits_per_s: RateBitsPerS | None = Field(default=None, alias="rate")
    """rate only: what the link has left."""
    share: FrameShare | None = None
    """loss, reorder, corrupt: of the frames, such as 0.001."""
    delay_ns: DurationNs | None = Field(default=None, alias="delay")
    """reorder only: how much later these frames come."""
    limit_bytes: SizeBytes | None = Field(default=None, alias="limit")
    """queue_limit only: what may wait for the cable, each way, such as "64KiB"; more is dropped."""
    volume: Label | None = None
    """Of the array's own faults: one volume only."""
    lba: Annotated[int, Field(ge=0)] | None = None
    blocks: PositiveInt | None = None
    """medium_error, write_error: so many blocks from lba on cannot be read, or written."""
    to: Ip | None = None
    """redirect_to_dead only: the address logins are redirected to, where nobody answers."""
    sense: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]/[0-9A-Fa-f]{2}/[0-9A-Fa-f]{2}$")] | None = None
    """check_condition only: key, ASC and ASCQ, such as "5/25/00"."""
    count: PositiveInt | None = None
    """check_condition, late: how many commands meet it; without it all do until it is healed."""
    op: Literal["read", "write"] | None = None
    """late, slow: commands that read or write blocks only; without it all."""
    name: Label | None = None
    """To heal it by; without it kind and place, such as "link_down w2k3/3A_iSCSI"."""

    @model_validator(mode="after")
    def _keys_of_kind(self) -> Self:
        given = self._given()
        wants = FAULTS.get(self.kind)
        if wants is None:
            self._refuse(key for key in given if key not in ARRAYS_OWN)
            assert self.array_fault is not None
            return self
        if wants.places and sum(key in given for key in wants.places) != 1:
            raise ValueError(f'a fault of kind "{self.kind}" wants {" or ".join(wants.places)}')
        missing = [key for key in wants.strengths if key not in given]
        if missing:
            raise ValueError(f'a fault of kind "{self.kind}" wants {" and ".join(missing)}')
        self._refuse(key for key in given if key not in (*wants.places, *wants.strengths, *wants.options))
        nothing = [key for key in wants.strengths if not given[key]]
        if nothing and self.kind != "latency":
            raise ValueError(f'a fault of kind "{self.kind}" wants {" and ".join(nothing)} above 0')
        return self

    def _given(self) -> dict[str, object]:
        """The keys that the kinds of faults differ in, with their values, where the file has them."""
        values: dict[str, object] = {
            "nic": self.nic,
            "portal": self.portal,
            "host": self.host,
            "direction": self.direction,
            "extra": self.extra_ns,
            "rate": self.rate_bits_per_s,
            "share": self.share,
            "delay": self.delay_ns,
            "limit": self.limit_bytes,
            "volume": self.volume,
            "lba": self.lba,
            "blocks": self.blocks,
            "to": self.to,
            "sense": self.sense,
            "count": self.count,
            "op": self.op,
        }
        given = {key: value for key, value in values.items() if value is not None}
        return given | ({"carrier": self.carrier} if "carrier" in self.model_fields_set else {})

    def _refuse(self, stray: Iterable[str]) -> None:
        found = list(stray)
        if found:
            raise ValueError(f'a fault of kind "{self.kind}" has no {" and no ".join(found)}')

    @property
    def array_fault(self) -> ArrayFault | None:
        """The array's own fault; None when it is one of cables, interfaces or machines. Raises FaultError."""
        if self.kind in FAULTS:
            return None
        name = FaultName(self.kind.replace("_", "-"))
        place = (self.portal, self.volume, self.lba, self.blocks, self.to, self.sense, self.count, self.op)
        return ArrayFault(name, *place, self.extra_ns)

    @property
    def place(self) -> str:
        """Where it strikes: "host/nic", a portal's address, a host, a volume, or the array."""
        return self.nic or self.portal or self.host or self.volume or "array"

    @property
    def fault_name(self) -> str:
        """The name `heal` knows it by."""
        return self.name or f"{self.kind} {self.place}"
