"""libiscsi's tools against the array as `mpiolab serve` runs it: discovery, the redirect, data, CHAP.

How it is run is in served.py.
"""

from __future__ import annotations

import re

import pytest

from tests.interop.served import GROUP, Serve
from tests.interop.support import Require, run

pytestmark = pytest.mark.interop

HOST = "iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-inq"
"""The name iscsi-inq goes by."""

SECRET = """
[[array.volumes]]
name = "secret"
size = "16MiB"
[[array.volumes.access]]
source = "0.0.0.0/0"
chap = { user = "w2k3" }
"""

SOMEBODY_ELSES = """
[[array.volumes]]
name = "somebody-elses"
size = "16MiB"
[[array.volumes.access]]
initiator = "iqn.1991-05.com.microsoft:somebody-else"
"""


def sessions(said: list[str], initiator: str) -> list[tuple[str, str]]:
    """The array's decisions about one initiator: (address asked, answer)."""
    pattern = re.compile(rf"127\.0\.0\.1 -> (\S+): {re.escape(initiator)} asks for \S+: (.*?) \(")
    return [match.groups() for line in said if (match := pattern.match(line))]  # type: ignore[misc]


def test_discovery_shows_the_group_address_and_follows_the_redirect_to_look_at_the_disk(
    serve: Serve, require: Require
) -> None:
    tool, served = require("iscsi-ls"), serve()
    listed = run(tool, "-s", f"iscsi://{served.portal}")
    assert listed.returncode == 0, listed
    assert f"Target:{served.iqn('exchange-logs')} Portal:{served.portal},1" in listed.stdout
    assert "127.0.51.2" not in listed.stdout
    assert re.search(r"Lun:0\s+Type:DIRECT_ACCESS", listed.stdout)


def test_discovery_hides_what_this_initiator_may_not_use(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-ls"), serve(volumes=SOMEBODY_ELSES)
    listed = run(tool, f"iscsi://{served.portal}")
    assert listed.returncode == 0, listed
    assert "exchange-logs" in listed.stdout
    assert "somebody-elses" not in listed.stdout
    refused = run(require("iscsi-inq"), served.url("somebody-elses"))
    assert refused.returncode != 0
    assert "Authorization failure(514)" in refused.stdout + refused.stderr


def test_a_login_at_the_group_address_ends_up_at_a_portal(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-inq"), serve()
    inquired = run(tool, served.url())
    assert inquired.returncode == 0, inquired
    assert "Vendor:EQLOGIC" in inquired.stdout
    said = served.close()
    assert sessions(said, HOST) == [
        (GROUP, "0x0101 moved temporarily to 127.0.51.2"),
        ("127.0.51.2", "admitted"),
    ]
    assert "127.0.0.1 -> 127.0.51.2: logout" in said
    assert said[-1] == "stopped"


def test_one_login_after_the_other_goes_to_the_next_portal_by_turns(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-inq"), serve(options='placement = "round-robin"')
    for _ in range(4):
        assert run(tool, served.url()).returncode == 0
    arrived = [asked for asked, answer in sessions(served.close(), HOST) if answer == "admitted"]
    assert arrived == ["127.0.51.2", "127.0.51.3", "127.0.51.4", "127.0.51.2"]


def test_a_portal_may_be_addressed_directly_or_send_everybody_to_the_front(serve: Serve, require: Require) -> None:
    tool = require("iscsi-inq")
    for options, answers in (
        ('direct_login = "serve"', ["admitted"]),
        (
            'direct_login = "redirect"',
            ["0x0101 moved temporarily to 127.0.51.1", "0x0101 moved temporarily to 127.0.51.2"],
        ),
    ):
        served = serve(options=options)
        assert run(tool, served.url().replace(GROUP, "127.0.51.3")).returncode == 0
        told = [answer for _, answer in sessions(served.close(), HOST)]
        assert told[: len(answers)] == answers
        assert told[-1] == "admitted"


def test_the_size_of_the_disk(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-readcapacity16"), serve()
    capacity = run(tool, served.url())
    assert capacity.returncode == 0, capacity
    assert f"Total size:{64 << 20}" in capacity.stdout


@pytest.mark.parametrize(("blocks", "depth"), [(8, 32), (2048, 4)], ids=["4 KiB", "1 MiB"])
def test_many_reads_at_once(serve: Serve, require: Require, blocks: int, depth: int) -> None:
    """iscsi-perf reads at random for a second; it says `finished` only when every answer came."""
    timeout, tool, served = require("timeout"), require("iscsi-perf"), serve()
    reads = run(timeout, "-k", "1", "10", tool, "-r", "-m", str(depth), "-b", str(blocks), "-t", "1", served.url())
    assert reads.returncode == 0, reads
    assert "finished" in reads.stdout
    assert re.search(r"iops average [1-9]", reads.stdout)
    assert "127.0.0.1 -> 127.0.51.2: logout" in served.close()


@pytest.mark.parametrize(
    ("user", "admitted"),
    [
        ("w2k3%host-secret-0123@", True),
        ("w2k3%another-secret-9@", False),
        ("w2k4%host-secret-0123@", False),
        ("", False),
    ],
    ids=["right", "wrong secret", "wrong name", "none"],
)
def test_chap_is_asked_for_behind_the_redirect(serve: Serve, require: Require, user: str, admitted: bool) -> None:
    tool, served = require("iscsi-inq"), serve(volumes=SECRET)
    inquired = run(tool, served.url("secret", user))
    said = served.close()
    assert sessions(said, HOST)[0] == (GROUP, "0x0101 moved temporarily to 127.0.51.2")
    if admitted:
        assert inquired.returncode == 0, inquired
        assert "Vendor:EQLOGIC" in inquired.stdout
    else:
        assert inquired.returncode != 0
        assert "127.0.0.1 -> 127.0.51.2: login ended with 0x0201 authentication failure" in said
