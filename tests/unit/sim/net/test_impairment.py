"""One direction of a cable and what ails it: each frame's fate, when the rest arrives, and what draws at random."""

import pytest

from sim.env import Environment, ms, us
from sim.net.impairment import Clog, Corruption, FrameLoss, Impairments, Jitter, QueueLimit, Reordering
from sim.net.link import Link
from sim.net.segment import ACK, FIN, PSH, Segment
from sim.rng import Stream, stream
from tests.unit.sim.net.measure import EveryNth

FLOW = (("10.0.0.2", 3_260), ("10.0.0.1", 40_000))
MSS = 1_460
FRAME_NS = 1_538 * 8  # a full frame at 1 Gbit/s
LATENCY_NS = 10_000


class Streams:
    """Hands out streams, by default periodic ones, and remembers whose."""

    def __init__(self, every: int | None = None) -> None:
        self.every, self.asked = every, list[str]()

    def __call__(self, name: str) -> Stream:
        self.asked.append(name)
        return stream(1, name) if self.every is None else EveryNth(self.every)


def cable(every: int | None = None) -> tuple[Impairments, Streams]:
    streams = Streams(every)
    return Impairments(Link(Environment(), 1_000_000_000, LATENCY_NS), "nic:out", streams), streams


def burst(frames: int, flags: int = ACK | PSH) -> Segment:
    payload = bytes(number % 251 for number in range(frames * MSS))
    return Segment(FLOW, flags, 1_000, 7, 500, payload, MSS, timestamps=(1, 2))


def sent(ailing: Impairments, segment: Segment, now_ns: int = 0) -> list[tuple[int, int, int]]:
    """(First frame, how many, when the last has arrived) of each piece."""
    return [
        ((piece.segment.seq - 1_000) // MSS, piece.segment.frames, piece.last_ns)
        for piece in ailing.pieces(segment, lambda frame: now_ns)
    ]


def arrival_ns(frame: int) -> int:
    return (frame + 1) * FRAME_NS + LATENCY_NS


def test_a_burst_that_loses_frames_arrives_as_what_is_left_of_it() -> None:
    ailing, _ = cable(every=4)
    ailing.add(FrameLoss(0.25))
    assert sent(ailing, burst(10)) == [(0, 3, arrival_ns(2)), (4, 3, arrival_ns(6)), (8, 2, arrival_ns(9))]


def test_a_piece_says_what_its_frames_said() -> None:
    ailing, _ = cable(every=4)
    ailing.add(FrameLoss(0.25))
    whole = burst(6, ACK | PSH | FIN)
    head, tail = (piece.segment for piece in ailing.pieces(whole, lambda frame: 0))
    assert (head.flags, tail.flags) == (ACK, ACK | PSH | FIN)
    assert (tail.seq, tail.end, tail.ack, tail.window, tail.timestamps) == (1_000 + 4 * MSS, whole.end, 7, 500, (1, 2))
    assert head.payload + whole.payload[3 * MSS : 4 * MSS] + tail.payload == whole.payload
    assert head.wire_bytes + tail.wire_bytes + whole.full_frame_bytes == whole.wire_bytes


def test_a_lost_frame_has_taken_its_time_on_the_wire_and_a_dropped_one_has_not() -> None:
    lossy, _ = cable(every=1)
    lossy.add(FrameLoss(1.0))
    assert sent(lossy, burst(10)) == []
    assert lossy._link.free_ns == 10 * FRAME_NS
    short, _ = cable()
    short.add(QueueLimit(4 * 1_538))
    assert sent(short, burst(10)) == [(0, 4, arrival_ns(3))]
    assert short._link.free_ns == 4 * FRAME_NS


def test_a_queue_has_room_again_as_it_drains() -> None:
    short, _ = cable()
    short.add(QueueLimit(4 * 1_538))
    sent(short, burst(10))
    assert sent(short, burst(2), now_ns=FRAME_NS - 1) == []
    assert sent(short, burst(2), now_ns=FRAME_NS) == [(0, 1, arrival_ns(4))]


def test_an_idle_link_takes_a_frame_whatever_its_queue() -> None:
    short, _ = cable()
    short.add(QueueLimit(1))
    assert sent(short, burst(3)) == [(0, 1, arrival_ns(0))]


def test_late_frames_come_between_the_others_and_then_each_travels_alone() -> None:
    ailing, _ = cable(every=3)
    ailing.add(Reordering(0.3, 2 * FRAME_NS + 1))
    on_time = [(frame, 1, arrival_ns(frame)) for frame in (0, 1, 3, 4)]
    assert sent(ailing, burst(6)) == [*on_time, (2, 1, arrival_ns(4) + 1), (5, 1, arrival_ns(7) + 1)]


def test_jitter_moves_a_segment_as_a_whole_and_none_passes_another() -> None:
    ailing, _ = cable()
    ailing.add(Jitter(ms(5)))
    arrivals = []
    for number in range(50):
        [(first, frames, last_ns)] = sent(ailing, burst(3), now_ns=number * us(100))
        assert (first, frames) == (0, 3)
        arrivals.append(last_ns)
    assert arrivals == sorted(arrivals)
    delays = [last_ns - number * us(100) - arrival_ns(2) for number, last_ns in enumerate(arrivals)]
    assert min(delays) >= 0
    assert ms(2) < max(delays) <= ms(5)


def test_what_is_sent_when_the_jitter_ends_stays_behind_what_was_held_up() -> None:
    ailing, _ = cable()
    ailing.add(Jitter(ms(5)))
    latest_ns = max(sent(ailing, burst(1))[0][2] for _ in range(20))
    ailing.remove(Jitter(ms(5)))
    assert not ailing.any
    assert ailing._link.reserve(us(1), 1_538) > latest_ns


def test_corruption_changes_one_byte_of_a_frame_and_nothing_else() -> None:
    ailing, _ = cable()
    ailing.add(Corruption(0.2))
    whole = burst(40)
    before = whole.payload
    [piece] = ailing.pieces(whole, lambda frame: 0)
    changed = [place for place, (old, new) in enumerate(zip(before, piece.segment.payload, strict=True)) if old != new]
    assert 2 < len(changed) < 16
    assert len({place // MSS for place in changed}) == len(changed)
    assert whole.payload is before  # the sender's copy is sound
    assert (piece.segment.seq, piece.segment.wire_bytes, piece.segment.end) == (whole.seq, whole.wire_bytes, whole.end)


def test_a_segment_without_payload_cannot_be_corrupted() -> None:
    ailing, streams = cable()
    ailing.add(Corruption(1.0))
    ack = Segment(FLOW, ACK, 1_000, 7, 500)
    [piece] = ailing.pieces(ack, lambda frame: 0)
    assert piece.segment is ack
    assert streams.asked == []


def test_only_what_is_on_draws_and_each_kind_from_its_own_stream() -> None:
    ailing, streams = cable()
    for each in (QueueLimit(1_000_000), Clog()):
        ailing.add(each)
    sent(ailing, burst(3))
    assert streams.asked == []
    for each in (FrameLoss(0.1), Corruption(0.1), Reordering(0.1, 5), Jitter(5)):
        ailing.add(each)
    for number in range(20):
        sent(ailing, burst(3), number * ms(1))
    assert sorted(streams.asked) == [f"{kind}:nic:out" for kind in ("corrupt", "jitter", "loss", "reorder")]


def test_one_trouble_more_does_not_move_the_others_draws() -> None:
    def lost(*others) -> list[int]:
        ailing, _ = cable()
        for each in (FrameLoss(0.3), *others):
            ailing.add(each)
        arrived = {first + n for first, count, _ in sent(ailing, burst(40)) for n in range(count)}
        return [frame for frame in range(40) if frame not in arrived]

    assert lost() == lost(Corruption(0.5), Jitter(1_000), Reordering(0.5, us(30)))


def test_of_two_losses_each_takes_its_share_and_one_stays_when_the_other_goes() -> None:
    ailing, _ = cable()
    for each in (FrameLoss(0.5), FrameLoss(0.5)):
        ailing.add(each)
    both = sum(count for number in range(100) for _, count, _ in sent(ailing, burst(10), number * ms(1)))
    assert both == pytest.approx(250, abs=60)
    ailing.remove(FrameLoss(0.5))
    one = sum(count for number in range(100) for _, count, _ in sent(ailing, burst(10), ms(200) + number * ms(1)))
    assert one == pytest.approx(500, abs=75)


def test_the_shortest_of_several_queues_counts() -> None:
    ailing, _ = cable()
    ailing.add(QueueLimit(5 * 1_538))
    ailing.add(QueueLimit(2 * 1_538))
    assert sent(ailing, burst(9))[0][1] == 2
    ailing.remove(QueueLimit(2 * 1_538))
    assert sent(ailing, burst(9), ms(1))[0][1] == 5


def test_a_clog_holds_in_order_until_the_last_one_ends() -> None:
    ailing, _ = cable()
    gone = []
    for _ in range(2):
        ailing.add(Clog())
    segments = [burst(1) for _ in range(5)]
    assert not any(ailing.lets_through(each, gone.append) for each in segments)
    ailing.remove(Clog())
    assert list(ailing.release()) == []
    ailing.remove(Clog())
    assert ailing.any  # what was held has not gone on yet, and nothing passes it
    assert not ailing.lets_through(segments[0], gone.append)
    assert [segment for segment, _ in ailing.release()] == [*segments, segments[0]]
    assert not ailing.any
    assert ailing.lets_through(segments[1], gone.append)
