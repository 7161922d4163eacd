"""The policies of a comparison as the command line spells them, and what is said of a misspelt one."""

from __future__ import annotations

import pytest

from harness.mistakes import ScenarioError
from harness.policy_choice import choices

SPELT = [
    "round-robin",
    "vmw-rr iops=1",
    "vmw-rr type=latency",
    "vmw-rr bytes=64KiB",
    "weighted-paths weights=192.168.50.105:1+192.168.50.125:2",
    "dm-service-time throughputs=192.168.50.105:4 grouping=multibus failback=30s",
    "round-robin-subset standby=192.168.50.125+192.168.50.145",
    "failover-only preferred=192.168.50.105",
    "least-blocks use_cache=true",
]


def test_a_comma_ends_a_policy_and_options_add_up() -> None:
    found = choices(["round-robin, vmw-rr iops=1", "vmw-rr"])
    assert [(one.name, dict(one.settings)) for one in found] == [
        ("round-robin", {}),
        ("vmw-rr", {"iops": 1}),
        ("vmw-rr", {}),
    ]


@pytest.mark.parametrize("text", SPELT)
def test_what_was_read_is_written_the_same_way(text: str) -> None:
    [choice] = choices([text])
    assert str(choice) == text


def test_settings_have_the_types_of_a_file() -> None:
    [weighted, blocks, subset] = choices(
        [
            "weighted-paths weights=192.168.50.105:1+192.168.50.125:2,least-blocks use_cache=false",
            "round-robin-subset standby=192.168.50.125",
        ]
    )
    assert weighted.settings == {"weights": {"192.168.50.105": 1, "192.168.50.125": 2}}
    assert blocks.settings == {"use_cache": False}
    assert subset.settings == {"standby": ["192.168.50.125"]}


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("", "--policy: expected the name of a policy between two commas, got nothing"),
        ("round-robin,,vmw-rr", "--policy: expected the name of a policy between two commas, got nothing"),
        ("round-robbin", '--policy "round-robbin": policy: no policy "round-robbin" (one of your own is module:Class)'),
        ("no_such_module:Mine", "No module named 'no_such_module'"),
        ("round-robin,vmw-rr,round-robin", '--policy "round-robin": is given twice'),
        ("vmw-rr iosp=1", '--policy "vmw-rr iosp=1": no setting "iosp": did you mean "iops"?'),
        ("vmw-rr iops", '--policy "vmw-rr iops": expected iops=VALUE, got "iops"'),
        ("vmw-rr iops=", '--policy "vmw-rr iops=": expected iops=VALUE, got "iops="'),
        ("vmw-rr iops=1 iops=2", '--policy "vmw-rr iops=1 iops=2": iops is given twice'),
        ("vmw-rr iops=many", '--policy "vmw-rr iops=many": iops: expected a whole number, got "many"'),
        ("vmw-rr iops=0", '--policy "vmw-rr iops=0": iops: expected'),
        ("vmw-rr iops=1 bytes=1MiB", "iops, bytes and type = 'latency' exclude each other"),
        ("vmw-rr bytes=1", '--policy "vmw-rr bytes=1": bytes: expected a size such as "64KiB"'),
        ("round-robin iops=1", '--policy "round-robin iops=1": only policy = "vmw-rr" has iops'),
        ("weighted-paths weights=192.168.50.105", "weights.192.168.50.105: expected a whole number"),
        ("weighted-paths weights=here:1", 'expected the IPv4 address of one interface such as "192.168.51.1"'),
        ("failover-only preferred=nic", '--policy "failover-only preferred=nic": preferred: expected the IPv4 address'),
        ("least-blocks use_cache=yes", '--policy "least-blocks use_cache=yes": use_cache: expected'),
        ("dm-round-robin failback=soon", '--policy "dm-round-robin failback=soon": failback: expected'),
    ],
)
def test_what_is_wrong_is_said_with_its_place(option: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        choices([option])
    assert complaint in str(caught.value)


def test_every_mistake_is_reported() -> None:
    with pytest.raises(ScenarioError) as caught:
        choices(["lqd,round-robin,vmw-rr size=1"])
    assert len(caught.value.mistakes) == 2
