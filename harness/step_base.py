"""What every step of a scenario may carry, and what steps at a host or a volume carry besides."""

from typing import Annotated, Literal

from pydantic import Field

from harness.fields import DurationNs, Label, Table

Net = Literal["sim", "tcp"]


class Step(Table):
    """What every step may carry."""

    net: Net | None = None
    """Runs only in this world; without it in both."""
    note: str | None = None
    """Printed by the walkthrough as a heading."""
    at_ns: DurationNs | None = Field(default=None, alias="at")
    """Not before this scenario time."""
    expect_error: Annotated[str, Field(min_length=1)] | None = None
    """The action must be refused with an error that contains this text."""
    may_be_refused: bool = False
    """The action may be refused, for what went before decides about it."""


class HostStep(Step):
    """A step done at one host."""

    host: Label | None = None
    """Without it: the first host."""


class VolumeStep(HostStep):
    """A step done at one host to one volume."""

    volume: Label
