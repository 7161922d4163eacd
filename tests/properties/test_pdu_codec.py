"""The codec against a second definition of every PDU (`tests.support.scapy_iscsi`), in both directions.

Our bytes must dissect there to the values that went in and be built again from them to the same bytes; bytes built
there must decode here to the same values. The two definitions share only the list of names below.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iscsi.errors import RemoteProtocolError
from iscsi.framer import Framer
from iscsi.pdu import (
    LoginResponse,
    LogoutRequest,
    Pdu,
    Reject,
    ScsiCommand,
    SnackRequest,
    decode,
    encode,
)
from tests.support.pdus import PDU_CLASSES, ahs, pdus, pdus_of, whole_numbers

pytest.importorskip("scapy", reason="the second codec is written with scapy (Debian: python3-scapy, or the pcap extra)")
from tests.support.scapy_iscsi import PACKETS, IscsiPacket

FIGURE_NAME = {
    "immediate": "I",
    "final": "F",
    "transit": "T",
    "cont": "C",
    "read": "R",
    "write": "W",
    "attr": "ATTR",
    "acknowledge": "A",
    "has_status": "S",
    "overflow": "O",
    "underflow": "U",
    "bidi_overflow": "o",
    "bidi_underflow": "u",
    "function": "Function",
    "type": "Type",
    "reason": "Reason",
    "response": "Response",
    "status": "Status",
    "csg": "CSG",
    "nsg": "NSG",
    "version_max": "VersionMax",
    "version_min": "VersionMin",
    "version_active": "VersionActive",
    "lun": "LUN",
    "isid": "ISID",
    "tsih": "TSIH",
    "cid": "CID",
    "itt": "InitiatorTaskTag",
    "ttt": "TargetTransferTag",
    "snack_tag": "SNACKTag",
    "referenced_task_tag": "ReferencedTaskTag",
    "edtl": "ExpectedDataTransferLength",
    "cmd_sn": "CmdSN",
    "exp_stat_sn": "ExpStatSN",
    "stat_sn": "StatSN",
    "exp_cmd_sn": "ExpCmdSN",
    "max_cmd_sn": "MaxCmdSN",
    "ref_cmd_sn": "RefCmdSN",
    "exp_data_sn": "ExpDataSN",
    "information": "AdditionalResponseInformation",
    "data_sn": "DataSN",
    "r2t_sn": "R2TSN",
    "buffer_offset": "BufferOffset",
    "desired_length": "DesiredDataTransferLength",
    "residual": "ResidualCount",
    "bidi_residual": "BidirectionalReadResidualCount",
    "event": "AsyncEvent",
    "vcode": "AsyncVCode",
    "param1": "Parameter1",
    "param2": "Parameter2",
    "param3": "Parameter3",
    "time2wait": "Time2Wait",
    "time2retain": "Time2Retain",
    "beg_run": "BegRun",
    "run_length": "RunLength",
    "cdb": "CDB",
    "ahs": "AHS",
    "data": "DataSegment",
}
"""What RFC 7143's figures call our attributes ..."""
FIGURE_NAME_IN = {
    (LogoutRequest, "reason"): "ReasonCode",
    (SnackRequest, "ttt"): "TargetTransferTagOrSNACKTag",
    (Reject, "data_sn"): "DataSNorR2TSN",
}
"""... and where one figure differs."""

every_pdu_class = pytest.mark.parametrize("kind", PDU_CLASSES, ids=lambda kind: kind.__name__)


def figure_values(pdu: Pdu) -> dict[str, int | bytes]:
    """A PDU's attributes under the names of its figure."""
    kind = type(pdu)
    names = [field.name for field in kind.TABLE] + ["data"] + (["ahs"] if kind is ScsiCommand else [])
    values = {FIGURE_NAME_IN.get((kind, name), FIGURE_NAME[name]): getattr(pdu, name) for name in names}
    if kind is LoginResponse:
        values["StatusClass"], values["StatusDetail"] = divmod(values.pop("Status"), 256)
    return values


def drawn_fields(packet: IscsiPacket) -> set[str]:
    """The fields of a figure that carry something: not reserved, not fixed, not a length."""
    fixed = ("reserved_", "final_", "Opcode", "TotalAHSLength", "DataSegmentLength")
    return {field.name for field in packet.fields_desc if not field.name.startswith(fixed)}


def figures(kind: type[Pdu]) -> st.SearchStrategy[IscsiPacket]:
    """Packets of the other definition with any legal values, drawn from that definition's own field widths."""
    packet = PACKETS[int(kind.OPCODE)]
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field in packet.fields_desc:
        if field.name == "AHS":
            values["AHS"] = ahs() if kind is ScsiCommand else st.just(b"")
        elif field.name == "DataSegment":
            values["DataSegment"] = st.binary(max_size=40)
        elif field.name == "I" and packet().I == 1:
            values["I"] = st.just(1)  # a Login Request is immediate by definition
        elif field.name in drawn_fields(packet()):
            octets = int(field.sz)
            if isinstance(packet().getfieldval(field.name), bytes):
                values[field.name] = st.binary(min_size=octets, max_size=octets)
            else:
                values[field.name] = whole_numbers(getattr(field, "size", 0) or 8 * octets)
    return st.builds(packet, **values)


def test_both_definitions_know_the_same_pdus() -> None:
    assert sorted(PACKETS) == sorted(int(kind.OPCODE) for kind in PDU_CLASSES)


@every_pdu_class
def test_both_definitions_name_the_same_fields(kind: type[Pdu]) -> None:
    theirs = drawn_fields(PACKETS[int(kind.OPCODE)]())
    if kind is not ScsiCommand:
        theirs.discard("AHS")
    if kind.__name__ == "LoginRequest":
        theirs.discard("I")
    assert set(figure_values(kind())) == theirs


@every_pdu_class
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_our_bytes_mean_the_same_in_the_figures(kind: type[Pdu], data: st.DataObject) -> None:
    pdu = data.draw(pdus_of(kind))
    wire = encode(pdu)
    seen = PACKETS[int(kind.OPCODE)](wire)
    assert {name: getattr(seen, name) for name in figure_values(pdu)} == figure_values(pdu)
    reserved = [field.name for field in seen.fields_desc if field.name.startswith("reserved_")]
    assert not any(seen.getfieldval(name).strip(b"\0") for name in reserved if isinstance(getattr(seen, name), bytes))
    assert not any(seen.getfieldval(name) for name in reserved if isinstance(getattr(seen, name), int))
    assert bytes(seen.__class__(**{name: seen.getfieldval(name) for name in drawn_fields(seen)})) == wire


@every_pdu_class
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_the_figures_bytes_mean_the_same_to_us(kind: type[Pdu], data: st.DataObject) -> None:
    packet = data.draw(figures(kind))
    wire = bytes(packet)
    [pdu] = Framer(1 << 16).receive(wire)
    assert type(pdu) is kind
    assert figure_values(pdu) == {name: packet.getfieldval(name) for name in figure_values(pdu)}
    assert encode(pdu) == wire


@every_pdu_class
@settings(deadline=None, max_examples=15)
@given(data=st.data(), noise=st.binary(min_size=48, max_size=48))
def test_reserved_bits_are_ignored_on_receipt(kind: type[Pdu], data: st.DataObject, noise: bytes) -> None:
    """11.1: reserved bits are sent as zero and not looked at. The figures say which bits those are."""
    pdu = data.draw(pdus_of(kind, max_data=0))
    clean = PACKETS[int(kind.OPCODE)](encode(pdu))
    loud = PACKETS[int(kind.OPCODE)](noise)
    drawn = {name: clean.getfieldval(name) for name in drawn_fields(clean)}
    noisy = {f.name: loud.getfieldval(f.name) for f in loud.fields_desc if f.name.startswith("reserved_")}
    wire = bytes(PACKETS[int(kind.OPCODE)](**drawn, **noisy))
    assert decode(wire[:48], wire[48:]) == pdu


@settings(deadline=None, max_examples=200)
@given(header=st.binary(min_size=48, max_size=48), ahs=st.binary(max_size=8), data=st.binary(max_size=8))
def test_any_48_bytes_decode_or_are_the_peers_fault(header: bytes, ahs: bytes, data: bytes) -> None:
    try:
        pdu = decode(header, ahs, data)
    except RemoteProtocolError:
        return
    assert pdu.data == data
    assert header[0] & 0x3F == pdu.OPCODE


@settings(deadline=None, max_examples=100)
@given(pdu=pdus())
def test_decoding_what_was_encoded_gives_it_back(pdu: Pdu) -> None:
    wire = encode(pdu)
    header_end = 48 + 4 * wire[4]
    assert decode(wire[:48], wire[48:header_end], wire[header_end : header_end + len(pdu.data)]) == pdu
