"""TransportIDs of iSCSI, byte by byte (SPC-4 7.6.4.6)."""

import pytest

from iscsi.transport_id import TransportId, parse_transport_ids

PORT = TransportId("iqn.1991-05.com.microsoft:w2k3", "400001370001")
DEVICE = TransportId("iqn.1991-05.com.microsoft:w2k3")


def test_a_port_is_named_with_its_isid() -> None:
    raw = PORT.encode()
    assert raw[:4] == bytes.fromhex("45 00 0030")
    assert raw[4:] == b"iqn.1991-05.com.microsoft:w2k3,i,0x400001370001\0"
    assert PORT.port == "iqn.1991-05.com.microsoft:w2k3,i,0x400001370001"
    assert TransportId.of_port(PORT.port) == PORT


def test_a_device_is_named_alone() -> None:
    assert DEVICE.encode()[:4] == bytes.fromhex("05 00 0020")
    assert DEVICE.port is None


def test_a_short_name_fills_twenty_bytes() -> None:
    raw = TransportId("iqn.2026-01.a").encode()
    assert raw == bytes.fromhex("05 00 0014") + b"iqn.2026-01.a".ljust(20, b"\0")


def test_several_stand_one_behind_the_other() -> None:
    assert parse_transport_ids(b"") == ()
    assert parse_transport_ids(PORT.encode() + DEVICE.encode()) == (PORT, DEVICE)


def test_names_are_read_in_lower_case_and_short_isids_filled_up() -> None:
    text = b"IQN.2026-01.org.example:A,i,0x1F\0".ljust(36, b"\0")
    raw = bytes((0x45, 0)) + len(text).to_bytes(2, "big") + text
    assert parse_transport_ids(raw) == (TransportId("iqn.2026-01.org.example:a", "00000000001f"),)


@pytest.mark.parametrize(
    "raw",
    [
        PORT.encode()[:-1],  # torn
        PORT.encode()[:3],
        PORT.encode() + b"\x45",
        b"\x06\0\0\x14" + bytes(20),  # SAS
        b"\x85\0\0\x14" + b"iqn.a".ljust(20, b"\0"),  # a reserved form
        b"\x45\0\0\x14" + b"iqn.2026-01.org.exam".ljust(20, b"\0"),  # no ISID and no NUL
        b"\x45\0\0\x14" + b"iqn.a,i,0xzz".ljust(20, b"\0"),
        b"\x05\0\0\x18" + b"iqn.a,i,0x400001370001".ljust(24, b"\0"),  # a port in the device's form
        b"\x05\0\0\x14" + bytes(20),
        b"\x05\0\0\x14" + b"\xff\xfe".ljust(20, b"\0"),
        b"\x05\0\0\x15" + b"iqn.a".ljust(21, b"\0"),
    ],
)
def test_what_is_no_transport_id(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"TransportID|initiator (name|port)|UTF-8"):
        parse_transport_ids(raw)


def test_what_is_no_port_name() -> None:
    with pytest.raises(ValueError, match="does not name"):
        TransportId.of_port("iqn.2026-01.org.example:a")
