"""The states of RFC 9293 and the timers around them, one exchange at a time."""

from dataclasses import replace

import pytest

from sim.env import ms, s
from sim.net.segment import ACK, FIN, PSH, RST, SYN, Segment
from sim.net.tcp import TcpState
from sim.net.tcp_profiles import LINUX, WINDOWS_2003, WINDOWS_2012, profile
from tests.unit.sim.net.wire import SERVER, Wire


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.handshake()
    return wire


def flags(wire: Wire) -> list[int]:
    return [segment.flags for segment in wire.sent]


def test_a_handshake_is_three_segments_and_says_what_each_end_can_do() -> None:
    wire = Wire(LINUX, client=WINDOWS_2003)
    wire.client.connect(0)
    [syn], wire.client.outgoing = wire.client.outgoing, []
    wire.server.accept(0, syn)
    wire.run(ms(1))
    assert flags(wire) == [SYN | ACK, ACK]
    assert (syn.options.mss, syn.options.window_scale, syn.options.timestamps) == (1460, None, False)
    # What one end does not offer the other does not use.
    answer = wire.sent[0].options
    assert (answer.window_scale, answer.timestamps, answer.sack_permitted) == (None, False, True)
    assert wire.server.send.mss == 1460


def test_timestamps_cost_twelve_bytes_of_every_segment(wire: Wire) -> None:
    assert wire.client.send.mss == 1448
    wire.client.write(wire.now_ns, bytes(2 * 1448))
    [segment] = wire.client.outgoing
    assert (segment.frames, segment.wire_bytes) == (2, 2 * 1538)
    assert segment.timestamps is not None


def test_a_pure_acknowledgement_fills_the_smallest_frame() -> None:
    segment = Segment((SERVER, ("10.0.0.1", 1)), ACK, 1, 1, 65_535)
    assert segment.wire_bytes == 84


def test_bytes_arrive_in_order_as_the_objects_that_were_written(wire: Wire) -> None:
    message = bytes(range(200)) * 20
    wire.reading[wire.server] = False
    wire.client.write(wire.now_ns, message)
    wire.run(wire.now_ns + ms(1))
    [received] = wire.server.received.ready
    assert received is message


def test_an_answer_carries_the_acknowledgement(wire: Wire) -> None:
    wire.client.write(wire.now_ns, b"question")
    wire.run(wire.now_ns + ms(1))
    wire.server.write(wire.now_ns, b"answer")
    wire.run(wire.now_ns + ms(1))
    assert flags(wire) == [ACK | PSH, ACK | PSH]


def test_a_small_segment_is_acknowledged_after_the_delay(wire: Wire) -> None:
    start = wire.now_ns
    wire.client.write(start, b"question")
    due_ns = start + wire.latency_ns + LINUX.delayed_ack_ns
    wire.run(due_ns - 1)
    assert flags(wire) == [ACK | PSH]
    wire.run(due_ns)
    assert flags(wire) == [ACK | PSH, ACK]


def test_a_connection_that_is_idle_has_no_deadline(wire: Wire) -> None:
    wire.client.write(wire.now_ns, bytes(100_000))
    wire.run()
    assert wire.client.send.unacknowledged_bytes == 0
    assert len(wire.got[wire.server]) == 100_000


def test_finishing_one_direction_leaves_the_other_open(wire: Wire) -> None:
    wire.client.finish(wire.now_ns)
    wire.run(wire.now_ns + ms(1))
    assert (wire.client.state, wire.server.state) == (TcpState.FIN_WAIT_2, TcpState.CLOSE_WAIT)
    assert wire.server.peer_finished
    wire.server.write(wire.now_ns, b"still here")
    wire.run(wire.now_ns + ms(1))
    assert wire.got[wire.client] == b"still here"
    wire.server.finish(wire.now_ns)
    wire.run(wire.now_ns + ms(1))
    assert (wire.client.state, wire.server.state) == (TcpState.TIME_WAIT, TcpState.CLOSED)
    before = wire.now_ns
    wire.run()
    assert wire.client.state is TcpState.CLOSED
    assert before + s(59) < wire.now_ns <= before + LINUX.time_wait_ns


def test_both_ends_finishing_at_once_wait_both(wire: Wire) -> None:
    wire.client.finish(wire.now_ns)
    wire.server.finish(wire.now_ns)
    wire.run(wire.now_ns + wire.latency_ns)
    assert wire.client.state is wire.server.state is TcpState.CLOSING
    wire.run(wire.now_ns + wire.latency_ns)
    assert wire.client.state is wire.server.state is TcpState.TIME_WAIT


def test_a_lost_fin_is_sent_again(wire: Wire) -> None:
    lost = []
    wire.lose = lambda segment: bool(segment.flags & FIN and not lost and (lost.append(segment) or True))
    wire.client.finish(wire.now_ns)
    wire.run(wire.now_ns + s(1))
    assert wire.server.state is TcpState.CLOSE_WAIT


def test_data_written_before_the_fin_arrives_before_it(wire: Wire) -> None:
    wire.client.write(wire.now_ns, bytes(3_000_000))
    wire.client.finish(wire.now_ns)
    wire.run(wire.now_ns + s(1))
    assert len(wire.got[wire.server]) == 3_000_000
    assert wire.server.peer_finished


def test_an_abort_resets_the_peer(wire: Wire) -> None:
    wire.client.abort(wire.now_ns)
    wire.run()
    assert flags(wire) == [RST | ACK]
    assert isinstance(wire.server.error, ConnectionResetError)
    assert wire.client.error is None


def test_closing_over_unread_data_resets(wire: Wire) -> None:
    wire.reading[wire.client] = False
    wire.server.write(wire.now_ns, b"unread")
    wire.run(wire.now_ns + ms(1))
    wire.client.close(wire.now_ns)
    wire.run()
    assert isinstance(wire.server.error, ConnectionResetError)


def test_data_for_an_application_that_has_gone_is_answered_by_a_reset(wire: Wire) -> None:
    wire.client.close(wire.now_ns)
    wire.run(wire.now_ns + ms(1))
    wire.server.write(wire.now_ns, b"too late")
    wire.run()
    assert isinstance(wire.server.error, ConnectionResetError)


def test_an_orphan_does_not_wait_for_its_peers_fin_for_ever(wire: Wire) -> None:
    wire.client.close(wire.now_ns)
    wire.run(wire.now_ns + ms(1))
    assert wire.client.state is TcpState.FIN_WAIT_2
    wire.run()
    assert wire.client.state is TcpState.CLOSED


@pytest.mark.parametrize(
    ("name", "attempts", "gives_up_ns"),
    [("windows-2003", 3, s(21)), ("windows-2012", 3, s(21)), ("linux", 7, s(127))],
)
def test_a_syn_without_an_answer_times_out(name: str, attempts: int, gives_up_ns: int) -> None:
    wire = Wire(profile(name))
    wire.lose = lambda segment: True
    wire.client.connect(0)
    wire.run()
    assert len(wire.sent) == attempts
    assert wire.now_ns == gives_up_ns
    assert isinstance(wire.client.error, TimeoutError)


def test_a_syn_answered_by_a_reset_is_refused() -> None:
    wire = Wire()
    wire.client.connect(0)
    wire.client.receive(5, Segment((wire.client.local, SERVER), RST | ACK, 0, 1_001, 0))
    assert isinstance(wire.client.error, ConnectionRefusedError)


def test_a_reset_that_acknowledges_something_else_is_ignored() -> None:
    wire = Wire()
    wire.client.connect(0)
    wire.client.receive(5, Segment((wire.client.local, SERVER), RST | ACK, 0, 77, 0))
    assert wire.client.state is TcpState.SYN_SENT


@pytest.mark.parametrize(("name", "retries", "total_s"), [("windows-2003", 5, 18.9), ("linux", 15, 924.6)])
def test_a_blackhole_is_found_by_backing_off(name: str, retries: int, total_s: float) -> None:
    wire = Wire(profile(name))
    wire.handshake()
    wire.client.write(wire.now_ns, b"x")
    wire.run()
    wire.log.clear()
    wire.lose = lambda segment: True
    start = wire.now_ns
    wire.client.write(start, b"into the dark")
    wire.run()
    assert len(wire.sent) == 1 + retries
    assert isinstance(wire.client.error, TimeoutError)
    # The first time-out is the smallest there is when the round trip is far below it, delayed ACKs apart.
    assert total_s <= (wire.now_ns - start) / s(1) <= 2 * total_s
    assert wire.server.state is TcpState.ESTABLISHED  # it has sent nothing and knows nothing


def test_simultaneous_open() -> None:
    wire = Wire()
    wire.client.connect(0)
    wire.server.connect(0)
    wire.run(s(1))
    assert wire.client.state is wire.server.state is TcpState.ESTABLISHED


def test_a_restarted_client_is_cleared_away_and_connects(wire: Wire) -> None:
    wire.client.__init__(LINUX, wire.client.local, SERVER, 77_000_000)
    wire.client.connect(wire.now_ns)
    wire.run(wire.now_ns + ms(1))
    # SYN; challenge ACK; RST. The server's old connection is gone, and the next SYN finds a listener.
    assert flags(wire) == [SYN, ACK, RST]
    assert isinstance(wire.server.error, ConnectionResetError)


def test_a_receiver_that_does_not_read_closes_its_window_and_is_probed() -> None:
    wire = Wire(WINDOWS_2003)
    wire.handshake()
    wire.reading[wire.server] = False
    wire.client.write(wire.now_ns, bytes(200_000))
    wire.run(wire.now_ns + s(100))
    assert wire.server.received.ready_bytes == 65_535
    assert wire.client.send.queued_bytes == 200_000 - 65_535
    assert wire.sent[-1].window == 0
    probes = [segment for segment in wire.sent if segment.seq == wire.client.send.una - 1]
    assert 3 <= len(probes) <= 9  # they back off, and being answered they never give up
    wire.reading[wire.server] = True
    wire.read(wire.server)
    wire.run()
    assert len(wire.got[wire.server]) == 200_000


def test_a_lost_window_update_does_not_stall_for_ever() -> None:
    wire = Wire(WINDOWS_2003)
    wire.handshake()
    wire.reading[wire.server] = False
    wire.client.write(wire.now_ns, bytes(100_000))
    wire.run(wire.now_ns + ms(100))
    wire.lose = lambda segment: True
    wire.reading[wire.server] = True
    wire.read(wire.server)
    wire.run(wire.now_ns + ms(1))
    wire.lose = lambda segment: False
    wire.run()
    assert len(wire.got[wire.server]) == 100_000


def test_the_window_limits_what_is_in_flight() -> None:
    wire = Wire(WINDOWS_2003)
    wire.handshake()
    wire.client.write(wire.now_ns, bytes(500_000))  # slow start
    wire.run()
    wire.client.write(wire.now_ns, bytes(1_000_000))
    sent = sum(len(segment.payload) for segment in wire.client.outgoing)
    assert 65_535 - 1_460 < sent <= 65_535
    assert max(len(segment.payload) for segment in wire.client.outgoing) <= 65_535 // 4
    assert all(len(segment.payload) % 1_460 == 0 for segment in wire.client.outgoing)


def test_window_scaling_opens_more_than_sixty_four_kilobytes() -> None:
    wire = Wire(WINDOWS_2012)
    wire.handshake()
    wire.client.write(wire.now_ns, bytes(1_000_000))
    wire.run(wire.now_ns + ms(50))
    assert wire.got[wire.server] == bytes(1_000_000)
    wire.client.write(wire.now_ns, bytes(1_000_000))
    assert 200_000 < sum(len(segment.payload) for segment in wire.client.outgoing) <= 262_144


def test_a_small_mtu_makes_small_frames() -> None:
    from sim.net.tcp import TcpEndpoint

    end = TcpEndpoint(replace(LINUX, timestamps=False), SERVER, ("10.0.0.1", 1), 0, mtu=576)
    end.connect(0)
    assert end.outgoing[0].options.mss == 536
