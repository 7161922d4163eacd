"""One logical I/O as a step: for stories told write by write, and for what a minimizer leaves of a workload."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from harness.step_base import VolumeStep

MAX_BLOCK_BYTES = 8 << 20
"""What the array says in VPD page B0h; a longer command is refused."""


class SingleIo(VolumeStep):
    """Read or write some blocks once."""

    do: Literal["io"]
    op: Literal["read", "write"]
    lba: Annotated[int, Field(ge=0)]
    blocks: PositiveInt = 8
    background: bool = False
    """Later steps run meanwhile; what is still under way at the end drains then."""
