"""Two sides with any legal wishes agree, whoever offers what, in whatever order and however little is said."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iscsi.errors import RemoteProtocolError
from iscsi.keys import KEYS, Rule, Side
from iscsi.negotiation import Negotiation, OperationalKeys

OFFERABLE = [key.name for key in KEYS.values() if key.negotiated or key.field == "max_recv_data_segment_length"]
lengths = st.integers(512, (1 << 24) - 1)
small_lengths = st.integers(512, 4096)
digests = st.permutations(["CRC32C", "None"]).flatmap(lambda order: st.integers(1, 2).map(lambda n: tuple(order[:n])))


@st.composite
def wishes(draw: st.DrawFn) -> OperationalKeys:
    one_length = st.one_of(lengths, small_lengths)
    first, burst = sorted((draw(one_length), draw(one_length)))
    kinds = draw(st.permutations(["RFC3720", "ResponseFence", "FastAbort"]))
    return OperationalKeys(
        header_digest=draw(digests),
        data_digest=draw(digests),
        max_connections=draw(st.integers(1, 65535)),
        initial_r2t=draw(st.booleans()),
        immediate_data=draw(st.booleans()),
        max_recv_data_segment_length=draw(lengths),
        max_burst_length=burst,
        first_burst_length=first,
        default_time2wait=draw(st.integers(0, 3600)),
        default_time2retain=draw(st.integers(0, 3600)),
        max_outstanding_r2t=draw(st.integers(1, 65535)),
        data_pdu_in_order=draw(st.booleans()),
        data_sequence_in_order=draw(st.booleans()),
        error_recovery_level=draw(st.integers(0, 2)),
        task_reporting=tuple(kinds[: draw(st.integers(1, 3))]),
        iscsi_protocol_level=draw(st.integers(0, 31)),
    )


@settings(deadline=None, max_examples=300)
@given(
    wishes(),
    wishes(),
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(list(Side)), st.lists(st.sampled_from(OFFERABLE), unique=True)), max_size=6),
)
def test_both_sides_compute_the_same_parameters(
    host_wishes: OperationalKeys,
    array_wishes: OperationalKeys,
    discovery: bool,
    leading: bool,
    turns: list[tuple[Side, list[str]]],
) -> None:
    ends = {
        Side.INITIATOR: Negotiation(Side.INITIATOR, host_wishes, discovery=discovery, leading=leading),
        Side.TARGET: Negotiation(Side.TARGET, array_wishes, discovery=discovery, leading=leading),
    }
    for speaker, names in turns:
        answers = ends[speaker.peer].receive(ends[speaker].offer(names))
        assert ends[speaker].receive(answers) == [], "answers are not answered"
        assert ends[speaker].unanswered == []

    agreed = ends[Side.INITIATOR].parameters()
    assert agreed == ends[Side.TARGET].parameters().as_seen_by_peer()
    assert agreed.first_burst_length <= agreed.max_burst_length
    if agreed.error_recovery_level and agreed.data_sequence_in_order:
        assert agreed.max_outstanding_r2t == 1


@settings(deadline=None)
@given(wishes(), wishes())
def test_a_full_exchange_gives_neither_side_more_than_it_wished_for(
    one: OperationalKeys, other: OperationalKeys
) -> None:
    host, array = Negotiation(Side.INITIATOR, one), Negotiation(Side.TARGET, other)
    host.receive(array.receive(host.offer(OFFERABLE)))
    agreed = host.parameters()

    for key in KEYS.values():
        if key.rule in (Rule.LOWER, Rule.HIGHER) and key.field not in ("first_burst_length", "max_outstanding_r2t"):
            pick = min if key.rule is Rule.LOWER else max
            assert getattr(agreed, key.field) == pick(getattr(one, key.field), getattr(other, key.field)), key.name
    assert agreed.initial_r2t == (one.initial_r2t or other.initial_r2t)
    assert agreed.immediate_data == (one.immediate_data and other.immediate_data)
    assert agreed.first_burst_length == min(one.first_burst_length, other.first_burst_length, agreed.max_burst_length)
    assert agreed.header_digest == (
        next((choice for choice in one.header_digest if choice in other.header_digest), "None") == "CRC32C"
    )


@settings(deadline=None)
@given(wishes(), wishes(), st.permutations(OFFERABLE), st.permutations(OFFERABLE))
def test_the_order_of_offers_does_not_matter(
    one: OperationalKeys, other: OperationalKeys, order: list[str], another_order: list[str]
) -> None:
    agreements = []
    for names in (order, another_order):
        host, array = Negotiation(Side.INITIATOR, one), Negotiation(Side.TARGET, other)
        host.receive(array.receive(host.offer(names)))
        agreements.append(host.parameters())
    assert agreements[0] == agreements[1]


values = st.one_of(
    st.sampled_from(["Yes", "No", "None", "CRC32C", "Reject", "Irrelevant", "NotUnderstood", "0", "512", "0x200", ""]),
    st.integers(0, 1 << 65).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
)
received = st.lists(st.tuples(st.sampled_from([*KEYS, "X-com.example.turbo"]), values), max_size=8)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(Side)), wishes(), st.booleans(), st.booleans(), received)
def test_whatever_a_peer_says_is_refused_or_leads_to_legal_parameters(
    side: Side, own: OperationalKeys, discovery: bool, offers_first: bool, said: list[tuple[str, str]]
) -> None:
    negotiation = Negotiation(side, own, discovery=discovery)
    if offers_first:
        negotiation.offer()
    try:
        negotiation.receive(said)
    except RemoteProtocolError:
        assume(False)
    agreed = negotiation.parameters()
    for key in KEYS.values():
        if key.rule in (Rule.LOWER, Rule.HIGHER):
            assert key.low <= getattr(agreed, key.field) <= key.high
