"""PDUs against bytes written out by hand: the worked examples of RFC 7143, padding, digests, LUNs, refusals."""

from __future__ import annotations

import dataclasses

import pytest
from google_crc32c import value as crc32c

from iscsi.constants import RESERVED_TAG, LoginStatus, Opcode, RejectReason
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.lun import decode_lun, encode_lun
from iscsi.pdu import (
    PDU_TYPES,
    DataIn,
    DataOut,
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    NopIn,
    NopOut,
    Pdu,
    Reject,
    ScsiCommand,
    ScsiResponse,
    TextRequest,
    TmfRequest,
    decode,
    encode,
    encode_buffers,
    encode_header,
)

MICROSOFT_ISID = bytes.fromhex("400001370000")

EXAMPLES: list[tuple[str, Pdu, str]] = [
    (
        "a redirecting login response (11.13.5): Status 0x0101 and 32 bytes of TargetAddress",
        LoginResponse(
            isid=MICROSOFT_ISID,
            itt=1,
            status=LoginStatus.MOVED_TEMPORARILY,
            data=b"TargetAddress=192.168.51.2:3260\0",
        ),
        "23000000 00000020 40000137 00000000 00000001 00000000"
        "00000000 00000000 00000000 01010000 00000000 00000000"
        "54617267 65744164 64726573 733d3139 322e3136 382e3531 2e323a33 32363000",
    ),
    (
        "the READ(10) of RFC 7143 appendix A.4",
        ScsiCommand(
            final=True,
            read=True,
            attr=0,
            itt=0x14000000,
            edtl=0x400,
            cmd_sn=0x14,
            exp_stat_sn=0x18,
            cdb=bytes.fromhex("28000000000000000200000000000000"),
        ),
        "01c00000 00000000 00000000 00000000 14000000 0000040000000014 00000018 28000000 00000000 02000000 00000000",
    ),
    (
        "the first login request of a session: immediate, T, operational to full feature",
        LoginRequest(transit=True, csg=1, nsg=3, isid=MICROSOFT_ISID, itt=1, cid=1, cmd_sn=7, data=b"k=v\0"),
        "43870000 00000004 40000137 00000000 00000001 00010000"
        "00000007 00000000 00000000 00000000 00000000 00000000 6b3d7600",
    ),
    (
        "a ping, not immediate, one byte of data padded to four",
        NopOut(immediate=False, itt=5, cmd_sn=9, exp_stat_sn=3, data=b"x"),
        "00800000 00000001 00000000 00000000 00000005 ffffffff"
        "00000009 00000003 00000000 00000000 00000000 00000000 78000000",
    ),
    (
        "Data-In with phase collapse: F, S, U, status GOOD, 512 bytes short",
        DataIn(has_status=True, underflow=True, itt=2, stat_sn=4, exp_cmd_sn=5, max_cmd_sn=36, data_sn=1, residual=512),
        "25830000 00000000 00000000 00000000 00000002 ffffffff00000004 00000005 00000024 00000001 00000000 00000200",
    ),
    (
        "Data-Out for an R2T: no CmdSN, the LUN goes with the target transfer tag",
        DataOut(lun=1 << 48, itt=2, ttt=0x10, exp_stat_sn=4, data_sn=2, buffer_offset=0x2000, data=b"four"),
        "05800000 00000004 00010000 00000000 00000002 00000010"
        "00000000 00000004 00000000 00000002 00002000 00000000 666f7572",
    ),
    (
        "LOGICAL UNIT RESET as an immediate task management request",
        TmfRequest(function=5, lun=1 << 48, itt=3, cmd_sn=8, exp_stat_sn=4),
        "42850000 00000000 00010000 00000000 00000003 ffffffff00000008 00000004 00000000 00000000 00000000 00000000",
    ),
    (
        "logout that closes the session, not immediate",
        LogoutRequest(immediate=False, itt=6, cid=1, cmd_sn=11, exp_stat_sn=5),
        "06800000 00000000 00000000 00000000 00000006 000100000000000b 00000005 00000000 00000000 00000000 00000000",
    ),
    (
        "a SCSI response with CHECK CONDITION and overflow",
        ScsiResponse(status=2, overflow=True, itt=2, stat_sn=4, exp_cmd_sn=5, max_cmd_sn=36, residual=16),
        "21840002 00000000 00000000 00000000 00000002 0000000000000004 00000005 00000024 00000000 00000000 00000010",
    ),
]


@pytest.mark.parametrize(("pdu", "wire"), [pytest.param(pdu, wire, id=words) for words, pdu, wire in EXAMPLES])
class TestWorkedExamples:
    def test_encodes_to_these_bytes(self, pdu: Pdu, wire: str) -> None:
        assert encode(pdu).hex() == wire.replace(" ", "")

    def test_decodes_from_these_bytes(self, pdu: Pdu, wire: str) -> None:
        octets = bytes.fromhex(wire)
        length = int.from_bytes(octets[5:8], "big")
        assert decode(octets[:48], b"", octets[48 : 48 + length]) == pdu


class TestDigests:
    """CRC32C as it goes on the wire, least significant byte first (appendix A.4)."""

    @pytest.mark.parametrize(
        ("content", "wire"),
        [
            (b"123456789", "839206e3"),
            (bytes(32), "aa36918a"),
            (b"\xff" * 32, "43aba862"),
            (bytes(range(32)), "4e79dd46"),
            (bytes(range(31, -1, -1)), "5cdb3f11"),
        ],
    )
    def test_vectors(self, content: bytes, wire: str) -> None:
        assert crc32c(content).to_bytes(4, "little").hex() == wire

    @pytest.mark.parametrize(
        ("content", "wire"),
        [
            (bytes(32), "aa36918a"),
            (b"\xff" * 32, "43aba862"),
            (bytes(range(32)), "4e79dd46"),
            (bytes(range(31, -1, -1)), "5cdb3f11"),
        ],
    )
    def test_a_data_digest_is_the_vector_of_the_data(self, content: bytes, wire: str) -> None:
        assert encode(NopIn(data=content), data_digest=True)[-4:].hex() == wire

    def test_the_header_digest_of_the_read_10_example(self) -> None:
        _, read_10, _ = EXAMPLES[1]
        assert encode(read_10, header_digest=True)[48:].hex() == "563a96d9"

    def test_the_header_digest_covers_the_ahs(self) -> None:
        header = encode_header(ScsiCommand(ahs=b"\0\x05\x02\0" + bytes(4)))
        assert len(header) == 56
        wire = encode(ScsiCommand(ahs=b"\0\x05\x02\0" + bytes(4)), header_digest=True)
        assert wire == header + crc32c(header).to_bytes(4, "little")

    def test_the_data_digest_covers_the_padding(self) -> None:
        wire = encode(NopIn(data=b"12345"), data_digest=True)
        assert wire[48:] == b"12345\0\0\0" + crc32c(b"12345\0\0\0").to_bytes(4, "little")

    def test_no_data_segment_no_data_digest(self) -> None:
        assert len(encode(NopIn(), data_digest=True)) == 48


class TestBuffers:
    @pytest.mark.parametrize(
        ("length", "padding"), [(1, 3), (2, 2), (3, 1), (4, 0), (5, 3), (511, 1), (512, 0)], ids=lambda n: str(n)
    )
    def test_a_data_segment_is_padded_to_four_bytes_and_not_counted(self, length: int, padding: int) -> None:
        wire = encode(NopIn(data=b"\xff" * length))
        assert int.from_bytes(wire[5:8], "big") == length
        assert wire[48:] == b"\xff" * length + bytes(padding)

    @pytest.mark.parametrize("digest", [False, True])
    def test_the_data_segment_is_handed_on_without_a_copy(self, digest: bool) -> None:
        data = bytes(65536)
        assert any(buffer is data for buffer in encode_buffers(DataIn(data=data), digest, digest))


class TestRefusals:
    @pytest.mark.parametrize(
        ("pdu", "words"),
        [
            (ScsiCommand(itt=-1), r"ScsiCommand.itt holds 0 to 4294967295, not -1"),
            (ScsiCommand(itt=1 << 32), r"ScsiCommand.itt holds 0 to 4294967295, not 4294967296"),
            (ScsiCommand(attr=8), r"ScsiCommand.attr holds 0 to 7, not 8"),
            (ScsiCommand(cdb=bytes(6)), r"ScsiCommand.cdb holds 16 bytes"),
            (ScsiCommand(cdb=bytes(32)), r"ScsiCommand.cdb holds 16 bytes"),
            (ScsiCommand(ahs=b"123"), r"AHS is a multiple of 4 bytes, at most 1020; this one has 3"),
            (ScsiCommand(ahs=bytes(1024)), r"AHS is a multiple of 4 bytes, at most 1020; this one has 1024"),
            (LoginRequest(csg=4), r"LoginRequest.csg holds 0 to 3, not 4"),
            (LoginRequest(isid=b"short"), r"LoginRequest.isid holds 6 bytes, not b'short'"),
            (NopIn(data=bytes(1 << 24)), r"at most 16777215 bytes, not 16777216"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Pdu) else "",
    )
    def test_a_value_its_field_cannot_hold_is_not_cut_to_size(self, pdu: Pdu, words: str) -> None:
        with pytest.raises(LocalProtocolError, match=words):
            encode(pdu)

    @pytest.mark.parametrize("opcode", sorted(set(range(64)) - {int(o) for o in Opcode}))
    def test_an_unknown_opcode_is_a_command_not_supported(self, opcode: int) -> None:
        with pytest.raises(RemoteProtocolError, match=f"0x{opcode:02x}") as caught:
            decode(bytes([opcode]) + bytes(47))
        assert caught.value.reject_reason is RejectReason.COMMAND_NOT_SUPPORTED

    @pytest.mark.parametrize("opcode", [o for o in Opcode if o is not Opcode.SCSI_COMMAND])
    def test_only_a_scsi_command_may_carry_an_ahs(self, opcode: Opcode) -> None:
        with pytest.raises(RemoteProtocolError, match=f"{opcode.name} arrived with an AHS of 4 bytes") as caught:
            decode(bytes([opcode]) + bytes(47), bytes(4))
        assert caught.value.reject_reason is RejectReason.INVALID_PDU_FIELD


class TestLun:
    @pytest.mark.parametrize(
        ("number", "wire"),
        [
            (0, "0000000000000000"),
            (1, "0001000000000000"),
            (255, "00ff000000000000"),
            (256, "4100000000000000"),
            (16383, "7fff000000000000"),
        ],
    )
    def test_numbers_on_the_wire(self, number: int, wire: str) -> None:
        assert encode_lun(number) == int(wire, 16)
        assert decode_lun(int(wire, 16)) == number

    @pytest.mark.parametrize("number", [-1, 16384, 1 << 48])
    def test_numbers_no_single_level_lun_has(self, number: int) -> None:
        with pytest.raises(LocalProtocolError, match="0 to 16383"):
            encode_lun(number)

    @pytest.mark.parametrize(
        ("wire", "why"),
        [
            ("0001000100000000", "a second level"),
            ("0000000000000001", "a fourth level"),
            ("0101000000000000", "bus 1"),
            ("8001000000000000", "logical unit addressing"),
            ("c101000000000000", "extended addressing: the REPORT LUNS well-known unit"),
        ],
    )
    def test_forms_no_array_here_presents(self, wire: str, why: str) -> None:
        assert decode_lun(int(wire, 16)) == -1, why

    def test_flat_addressing_of_a_small_number_is_the_same_unit(self) -> None:
        assert decode_lun(0x4007 << 48) == 7


class TestValues:
    def test_there_is_a_class_for_every_opcode(self) -> None:
        assert sorted(PDU_TYPES) == sorted(int(opcode) for opcode in Opcode)

    def test_a_pdu_is_a_frozen_value(self) -> None:
        ping = NopOut(itt=1)
        with pytest.raises(dataclasses.FrozenInstanceError):
            ping.itt = 2  # type: ignore[misc]
        assert dataclasses.replace(ping, itt=2) == NopOut(itt=2)
        assert len({ping, NopOut(itt=1)}) == 1

    def test_defaults_are_those_of_a_pdu_that_concerns_no_task(self) -> None:
        assert (NopOut().itt, NopOut().ttt, NopIn().itt, NopIn().ttt) == (RESERVED_TAG,) * 4
        assert Reject().itt == RESERVED_TAG
        assert DataOut().ttt == TextRequest().ttt == RESERVED_TAG

    @pytest.mark.parametrize("first_byte", [0x43, 0x03, 0xC3, 0x83], ids=hex)
    def test_a_login_request_is_immediate_whatever_its_bit_says(self, first_byte: int) -> None:
        assert encode_header(decode(bytes([first_byte]) + bytes(47)))[0] == 0x43
