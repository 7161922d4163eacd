"""The framer, example by example: fragments, limits, digests, the end of the stream."""

from __future__ import annotations

import pytest
from google_crc32c import value as crc32c

from iscsi.constants import RejectReason
from iscsi.errors import RemoteProtocolError
from iscsi.framer import DamagedPdu, Framer, LostPdu, RefusedPdu
from iscsi.pdu import DataOut, LoginRequest, NopIn, NopOut, Pdu, ScsiCommand, TextRequest, encode

PING = NopOut(itt=1, cmd_sn=7, data=b"ping!")
COMMAND = ScsiCommand(itt=2, cmd_sn=7, ahs=b"\0\x05\x02\0" + bytes(4), data=b"write me")
LIMIT = 8192


def framer(*, header_digest: bool = False, data_digest: bool = False, limit: int = LIMIT) -> Framer:
    made = Framer(limit)
    made.header_digest, made.data_digest = header_digest, data_digest
    return made


def flipped(wire: bytes, index: int, bit: int = 1) -> bytes:
    return wire[:index] + bytes([wire[index] ^ bit]) + wire[index + 1 :]


def crc(data: bytes) -> bytes:
    return crc32c(data).to_bytes(4, "little")


digest_settings = pytest.mark.parametrize(
    ("header_digest", "data_digest"), [(False, False), (True, False), (False, True), (True, True)]
)


class TestFragments:
    @digest_settings
    def test_byte_by_byte(self, header_digest: bool, data_digest: bool) -> None:
        receiver = framer(header_digest=header_digest, data_digest=data_digest)
        wire = b"".join(encode(pdu, header_digest, data_digest) for pdu in (PING, COMMAND, NopOut()))
        seen = [pdu for index in range(len(wire)) for pdu in receiver.receive(wire[index : index + 1])]
        assert seen == [PING, COMMAND, NopOut()]
        assert receiver.buffered == 0

    def test_many_in_one_piece_and_the_rest_of_the_last_later(self) -> None:
        receiver = framer()
        wire = encode(PING) + encode(COMMAND)
        assert receiver.receive(wire[:-1]) == [PING]
        assert receiver.buffered == len(encode(COMMAND)) - 1
        assert receiver.receive(wire[-1:]) == [COMMAND]

    def test_a_pdu_is_complete_only_with_its_padding(self) -> None:
        receiver = framer()
        wire = encode(PING)
        assert receiver.receive(wire[:53]) == []
        assert receiver.receive(wire[53:]) == [PING]

    def test_nothing_in_nothing_out(self) -> None:
        assert framer().receive(b"") == []


class TestOnePduAtATime:
    """Login ends between two PDUs; what follows may have digests and other limits, even in the same segment."""

    def test_the_rest_waits_for_the_next_call(self) -> None:
        receiver = framer()
        assert receiver.receive(encode(PING) + encode(COMMAND), limit=1) == [PING]
        assert receiver.receive(b"", limit=1) == [COMMAND]
        assert receiver.receive(b"", limit=1) == []

    def test_digests_begin_with_the_pdu_after_the_login(self) -> None:
        receiver = framer()
        login = LoginRequest(transit=True, csg=1, nsg=3)
        assert receiver.receive(encode(login) + encode(PING, True, True), limit=1) == [login]
        receiver.header_digest = receiver.data_digest = True
        assert receiver.receive(b"") == [PING]

    def test_so_does_a_larger_limit(self) -> None:
        receiver = framer(limit=8)
        large = NopOut(data=bytes(512))
        assert receiver.receive(encode(PING) + encode(large), limit=1) == [PING]
        receiver.max_data_segment_length = 512
        assert receiver.receive(b"") == [large]


class TestLimits:
    @pytest.mark.parametrize("length", [0, 1, LIMIT - 1, LIMIT])
    def test_up_to_the_limit(self, length: int) -> None:
        assert framer().receive(encode(DataOut(data=bytes(length)))) == [DataOut(data=bytes(length))]

    @pytest.mark.parametrize("length", [LIMIT + 1, 0xFFFFFF])
    def test_above_it_the_header_is_enough_to_refuse(self, length: int) -> None:
        receiver = framer()
        header = bytearray(encode(DataOut()))
        header[5:8] = length.to_bytes(3, "big")
        assert receiver.receive(bytes(header[:47])) == []
        with pytest.raises(
            RemoteProtocolError, match=f"DATA_OUT announces .* {length} bytes; the limit here is 8192"
        ) as caught:
            receiver.receive(bytes(header[47:]))
        assert caught.value.reject_reason is RejectReason.PROTOCOL_ERROR
        assert caught.value.header == header, "a Reject can give it back"

    def test_a_refusal_of_an_opcode_no_one_knows_names_its_number(self) -> None:
        with pytest.raises(RemoteProtocolError, match="opcode 0x1c announces"):
            framer().receive(b"\x1c\0\0\0\0\xff\xff\xff" + bytes(40))

    def test_an_ahs_where_none_may_be_costs_only_its_pdu(self) -> None:
        wire = bytearray(encode(PING, True, True)[:48] + bytes(4))
        wire[4:8] = b"\1\0\0\0"
        refused, sound = framer().receive(bytes(wire) + encode(PING))
        assert isinstance(refused, RefusedPdu)
        assert (refused.header, refused.error.reject_reason) == (bytes(wire), RejectReason.INVALID_PDU_FIELD)
        assert sound == PING

    @digest_settings
    @pytest.mark.parametrize("opcode", [0x07, 0x1C, 0x1E, 0x3E])
    def test_an_opcode_no_one_knows_costs_only_its_pdu(
        self, opcode: int, header_digest: bool, data_digest: bool
    ) -> None:
        header = bytes((opcode,)) + bytes(6) + b"\6" + bytes(40)
        wire = header + (crc(header) if header_digest else b"") + bytes(8) + (crc(bytes(8)) if data_digest else b"")
        receiver = framer(header_digest=header_digest, data_digest=data_digest)
        refused, sound = receiver.receive(wire + encode(PING, header_digest, data_digest))
        assert isinstance(refused, RefusedPdu)
        assert (refused.header, refused.error.reject_reason) == (header, RejectReason.COMMAND_NOT_SUPPORTED)
        assert sound == PING

    def test_after_a_fault_nothing_is_read_or_kept(self) -> None:
        receiver = framer()
        with pytest.raises(RemoteProtocolError, match="opcode 0x3e announces"):
            receiver.receive(b"\x3e\0\0\0\0\xff" + bytes(42))
        for _ in range(3):
            with pytest.raises(RemoteProtocolError, match="nothing can be read after this: opcode 0x3e"):
                receiver.receive(encode(PING) * 100)
            assert receiver.buffered == 0


class TestResynchronising:
    """Above ErrorRecoveryLevel 0 a damaged header costs its PDU, if what lies where it ends proves its length right."""

    DAMAGED = flipped(encode(PING, True, True), 20)

    def receiver(self, *, data_digest: bool = True) -> Framer:
        made = framer(header_digest=True, data_digest=data_digest)
        made.resynchronise = True
        return made

    def test_the_data_digest_is_proof(self) -> None:
        assert self.receiver().receive(self.DAMAGED) == [LostPdu(len(self.DAMAGED))]

    @pytest.mark.parametrize("follower", [PING, COMMAND, NopOut()], ids=["data", "data and AHS", "neither"])
    def test_the_next_header_is_proof(self, follower: Pdu) -> None:
        """Which is waited for: until then nothing is known."""
        receiver = self.receiver(data_digest=False)
        damaged, wire = flipped(encode(PING, True), 20), encode(follower, True)
        proof = 52 + len(getattr(follower, "ahs", b""))
        assert receiver.receive(damaged + wire[: proof - 1]) == []
        assert receiver.receive(wire[proof - 1 :]) == [LostPdu(len(damaged)), follower]

    @pytest.mark.parametrize("index", [4, 5, 6, 7], ids=lambda i: f"byte {i}")
    def test_a_damaged_length_ends_the_connection(self, index: int) -> None:
        receiver = self.receiver()
        with pytest.raises(RemoteProtocolError, match="header digest error") as caught:
            receiver.receive(flipped(encode(PING, True, True), index, 4) + bytes(2000) + encode(PING, True, True) * 9)
        assert caught.value.reject_reason is None


class TestDigests:
    @digest_settings
    @pytest.mark.parametrize("pdu", [PING, COMMAND, NopOut()], ids=["data", "data and AHS", "neither"])
    def test_sound(self, pdu: Pdu, header_digest: bool, data_digest: bool) -> None:
        receiver = framer(header_digest=header_digest, data_digest=data_digest)
        assert receiver.receive(encode(pdu, header_digest, data_digest)) == [pdu]

    @pytest.mark.parametrize("index", [1, 16, 47, 48, 55, 56, 59], ids=lambda i: f"byte {i}")
    def test_a_damaged_header_ahs_or_header_digest_ends_the_connection(self, index: int) -> None:
        receiver = framer(header_digest=True, data_digest=True)
        with pytest.raises(RemoteProtocolError, match="header digest error") as caught:
            receiver.receive(flipped(encode(COMMAND, True, True), index))
        assert caught.value.reject_reason is None, "no PDU boundary is known: there is nothing to reject"

    @pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
    @pytest.mark.parametrize("index", [5, 6, 7], ids=lambda i: f"byte {i}")
    def test_a_damaged_length_is_not_believed(self, index: int, bit: int) -> None:
        """Waiting for as many bytes as a damaged length names could take for ever."""
        with pytest.raises(RemoteProtocolError, match="header digest error"):
            framer(header_digest=True).receive(flipped(encode(NopIn(data=b"data"), True), index, bit))

    @pytest.mark.parametrize("index", [52, 56, 57, 59, 60, 63], ids=lambda i: f"byte {i}")
    def test_damaged_data_padding_or_data_digest_spoils_only_its_pdu(self, index: int) -> None:
        """Bytes 52 to 56 are the data, 57 to 59 its padding, 60 to 63 the digest."""
        receiver = framer(header_digest=True, data_digest=True)
        damaged, sound = receiver.receive(flipped(encode(PING, True, True), index) + encode(COMMAND, True, True))
        assert isinstance(damaged, DamagedPdu)
        assert damaged.header == encode(PING)[:48]
        assert isinstance(damaged.pdu, NopOut)
        assert damaged.pdu.itt == PING.itt
        assert sound == COMMAND

    def test_the_header_of_a_damaged_pdu_has_its_ahs(self) -> None:
        wire = encode(COMMAND, data_digest=True)
        [damaged] = framer(data_digest=True).receive(flipped(wire, 56))
        assert isinstance(damaged, DamagedPdu)
        assert damaged.header == wire[:56]

    def test_without_digests_damage_goes_unnoticed(self) -> None:
        [pdu] = framer().receive(flipped(encode(PING), 48))
        assert isinstance(pdu, NopOut)
        assert pdu.data == b"qing!"


class TestEndOfStream:
    def test_between_pdus_is_a_clean_end(self) -> None:
        receiver = framer()
        receiver.receive_eof()
        receiver.receive(encode(PING))
        receiver.receive_eof()

    @pytest.mark.parametrize("count", [1, 47, 48, 55])
    def test_inside_a_pdu_is_not(self, count: int) -> None:
        receiver = framer()
        assert receiver.receive(encode(TextRequest(data=b"SendTargets=All\0"))[:count]) == []
        with pytest.raises(
            RemoteProtocolError, match=f"inside a PDU: {count} bytes of at least {48 if count < 48 else 64}"
        ):
            receiver.receive_eof()
