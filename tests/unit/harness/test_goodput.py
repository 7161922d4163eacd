"""The goodput arithmetic against figures worked out by hand."""

import pytest

from harness.goodput import Framing, goodput_bytes_per_s, stream_bytes, wire_bytes

PLAIN = Framing()


def test_a_gigabit_link_leaves_949_mbit_to_tcp_and_941_with_timestamps() -> None:
    """1460 (1448) of the 1538 byte times a full frame takes."""
    for framing, mbit in ((PLAIN, 949), (Framing(tcp_option_bytes=12), 941)):
        full = framing.mss_bytes
        assert wire_bytes(full, framing) == 1538
        assert round(1000 * full / wire_bytes(full, framing)) == mbit


def test_jumbo_frames_leave_991_mbit() -> None:
    jumbo = Framing(mtu=9000)
    assert (jumbo.mss_bytes, wire_bytes(8960, jumbo)) == (8960, 9038)


def test_a_read_of_64_kib_is_one_data_in_pdu() -> None:
    """48 + 65,536 bytes: 44 full frames and one of 1,344 bytes."""
    assert stream_bytes("read", 65_536, PLAIN) == 65_584
    assert wire_bytes(65_584, PLAIN) == 44 * 1538 + (1_344 + 40 + 38)


def test_a_smaller_max_recv_data_segment_length_costs_a_header_each() -> None:
    assert stream_bytes("read", 65_536, Framing(max_data_segment_bytes=8_192)) == 65_536 + 8 * 48
    assert stream_bytes("read", 10_000, Framing(max_data_segment_bytes=8_192)) == 10_000 + 2 * 48


def test_a_write_is_a_command_and_its_data_out() -> None:
    assert stream_bytes("write", 65_536, PLAIN) == 48 + 48 + 65_536
    assert stream_bytes("write", 65_536, Framing(immediate_data_bytes=65_536)) == 48 + 65_536
    assert stream_bytes("write", 65_536, Framing(immediate_data_bytes=8_192)) == 48 + 8_192 + 48 + 57_344


def test_digests_cost_four_bytes_each_and_padding_counts() -> None:
    assert stream_bytes("read", 512, Framing(header_digest=True, data_digest=True)) == 48 + 4 + 512 + 4
    assert stream_bytes("read", 510, PLAIN) == 48 + 512


def test_the_smallest_frame_takes_84_byte_times() -> None:
    assert wire_bytes(1, PLAIN) == 84


@pytest.mark.parametrize(("rate", "times"), [(10**9, 1), (2 * 10**9, 2)])
def test_goodput_is_the_payload_part_of_the_line_rate(rate: int, times: int) -> None:
    expected = times * 125e6 * 65_536 / (44 * 1538 + 1_422)
    assert goodput_bytes_per_s("read", 65_536, rate, PLAIN) == pytest.approx(expected)


def test_no_block_no_goodput() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        goodput_bytes_per_s("read", 0, 10**9, PLAIN)
