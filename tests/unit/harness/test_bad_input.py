"""What a person does wrong at the command line ends in a sentence that says where and what; never in a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ran

from harness import cli
from harness.result import from_json
from iscsi.discovery import TargetAddress
from iscsi.login_gate import Admit, LoginIdentity, Redirect, Refuse
from target.arrival import Arrival
from tests.support.runs import GROUP, LOGINS, NICS, PORTALS, SOURCES, Tables, failed, login, two_paths, workload

SECRET, WRONG = "host-secret-0123", "wrong-secret-456"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def mpiolab(*arguments: str) -> Ran:
    """Run the command; whatever it raises but its exit is a failure of the test."""
    ran = CliRunner().invoke(cli.app, arguments)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), repr(ran.exception)
    assert "Traceback" not in ran.stdout + ran.stderr
    return ran


def saved(tables: Tables) -> str:
    """The scenario as a file."""
    Path("s.toml").write_text(toml(tables), encoding="utf-8")
    return "s.toml"


def toml(tables: Tables, path: str = "") -> str:
    """Enough of TOML for a scenario's tables."""
    plain, nested = [], []
    for key, value in tables.items():
        if value is None:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            nested += [f"[[{path}{key}]]\n{toml(item, f'{path}{key}.')}" for item in value]
        elif isinstance(value, dict) and path == "":
            nested.append(f"[{key}]\n{toml(value, f'{key}.')}")
        else:
            plain.append(f"{key} = {inline(value)}")
    return "\n".join([*plain, *nested]) + "\n"


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)


def failed_run(tables: Tables, code: int = 10) -> tuple[str, float]:
    """Run it; the reason of its one failure, and the virtual time it took."""
    ran = mpiolab("run", saved(tables), "--json", "-")
    assert ran.exit_code == code, ran.stdout + ran.stderr
    result = from_json(ran.stdout)
    (failure,) = result.failures
    return failure.why, result.virtual_seconds


# Files that are no scenario


def test_all_mistakes_of_a_file_are_told_at_once_with_file_and_key() -> None:
    tables = two_paths(
        *LOGINS, workload(block="100B", depht=4), {"do": "logn", "volume": "logs"}, {"do": "heal", "name": "x"}
    )
    tables["hosts"][0]["nics"][1]["rate"] = "1Gbyte"
    tables["array"]["portals"][0] = "192.168.300.2"
    tables["hosts"][0]["timers"] = {"link_down_tme": "1s"}

    ran = mpiolab("run", saved(tables))

    assert (ran.exit_code, ran.stdout) == (2, "")
    lines = ran.stderr.splitlines()
    assert all(line.startswith("s.toml: ") for line in lines)
    assert [line.split(": ")[1] for line in lines] == [
        "array.portals[0]",
        "hosts[0].timers.link_down_tme",
        "hosts[0].nics[1].rate",
        "steps[3].depht",
        "steps[3].block",
        "steps[4]",
        "steps[5].name",
    ]
    assert 'unknown key: did you mean "depth"?' in ran.stderr
    assert not Path("runs").exists()


def test_mistakes_of_several_files_are_told_together() -> None:
    Path("one.toml").write_text("name = 1\n")
    Path("two.toml").write_text("[array\n")
    ran = mpiolab("run", "one.toml", "two.toml", "three.toml")
    assert ran.exit_code == 2
    assert [line.split(":")[0] for line in ran.stderr.splitlines()][-2:] == ["two.toml", "three.toml"]
    assert "two.toml: line 1, column 7: not TOML" in ran.stderr
    assert "three.toml: cannot be read: No such file or directory" in ran.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "array: this key is wanted"),
        (b"\xff\xfe", "TOML is UTF-8; this is not"),
        (b"x" * ((1 << 20) + 1), "expected at most 1048576 bytes"),
    ],
    ids=["empty", "not UTF-8", "too large"],
)
def test_a_file_that_is_no_scenario_at_all(content: bytes, words: str) -> None:
    Path("s.toml").write_bytes(content)
    ran = mpiolab("run", "s.toml")
    assert ran.exit_code == 2
    assert words in ran.stderr


def test_a_directory_is_no_scenario() -> None:
    ran = mpiolab("run", ".")
    assert (ran.exit_code, ran.stderr) == (2, ".: cannot be read: Is a directory\n")


# Places that cannot be written


def test_a_capture_into_a_directory_that_is_not_there() -> None:
    ran = mpiolab("run", saved(two_paths({"do": "discover"})), "--pcap", "no/such.pcapng")
    assert (ran.exit_code, ran.stderr) == (2, "--pcap no/such.pcapng: there is no directory no\n")
    assert not Path("runs").exists()


def test_a_capture_onto_a_directory() -> None:
    ran = mpiolab("run", saved(two_paths({"do": "discover"})), "--pcap", ".")
    assert (ran.exit_code, ran.stderr) == (2, "--pcap .: is a directory\n")


def test_run_directories_where_a_file_stands() -> None:
    Path("runs").write_text("a file")
    ran = mpiolab("run", saved(two_paths({"do": "discover"})))
    assert ran.exit_code == 2
    assert ran.stderr.startswith("--runs runs: ")


# Scenarios that are well formed and go wrong


def test_a_portal_nobody_answers_at_is_told_with_the_reason_after_tcp_s_patience() -> None:
    cut = [{"do": "fault", "kind": "blackhole", "portal": portal} for portal in PORTALS[:2]]
    why, virtual_s = failed_run(two_paths(*cut, {"do": "discover"}))
    assert why == (f"refused: target portal {GROUP}:3260: login at {GROUP}:3260 failed: no TCP connection within 1 s")
    assert virtual_s == pytest.approx(1.0, abs=0.01)


def test_a_portal_where_nobody_listens_is_told_at_once() -> None:
    why, virtual_s = failed_run(two_paths({"do": "fault", "kind": "array_kill"}, {"do": "discover"}))
    assert why.startswith(f"refused: target portal {GROUP}:3260: login at {GROUP}:3260 failed: ")
    assert "refused" in why.partition("failed: ")[2].lower()
    assert virtual_s < 1


def test_a_portal_that_is_down_may_be_expected() -> None:
    cut = [{"do": "fault", "kind": "blackhole", "portal": portal} for portal in PORTALS[:2]]
    steps = [*cut, {"do": "discover", "expect_error": "no TCP connection within 1 s"}]
    assert mpiolab("run", saved(two_paths(*steps))).exit_code == 0


def with_chap(*steps: Tables) -> Tables:
    rule = {"initiator": two_paths()["hosts"][0]["iqn"], "chap": {"user": "w2k3", "secret": SECRET}}
    return two_paths({"do": "discover"}, *steps, volumes=[{"name": "logs", "size": "16MiB", "access": [rule]}])


def test_a_wrong_chap_secret_is_told_by_number_and_in_words() -> None:
    why, _ = failed_run(with_chap(login(SOURCES[0], chap_user="w2k3", chap_secret=WRONG)))
    assert "0x0201 AUTHENTICATION_FAILURE" in why
    assert f"{GROUP}:3260: 0x0101 moved temporarily to {PORTALS[0]}:3260" in why
    assert SECRET not in why
    assert WRONG not in why


def test_no_secret_where_one_is_wanted() -> None:
    why, _ = failed_run(with_chap(login(SOURCES[0])))
    assert "0x0201 AUTHENTICATION_FAILURE" in why


def test_the_right_secret_gets_in() -> None:
    right = with_chap(login(SOURCES[0], chap_user="w2k3", chap_secret=SECRET), workload(ios=10))
    assert mpiolab("run", saved(right)).exit_code == 0


def test_a_volume_of_somebody_else() -> None:
    rows = [{"name": "logs", "size": "16MiB", "access": [{"initiator": "iqn.2026-01.org.example:other"}]}]
    why, _ = failed_run(two_paths({"do": "discover"}, login(), volumes=rows))
    assert "the target name is not found" in why


def test_a_redirect_loop_ends_with_its_whole_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array whose portals send every login on to each other, once discovery is over."""
    honest = Arrival.identify

    def send_on(gate: Arrival, who: LoginIdentity) -> Admit | Redirect | Refuse:
        other = PORTALS[1] if gate.local != PORTALS[1] else PORTALS[0]
        return honest(gate, who) if who.discovery else Redirect(TargetAddress(other))

    monkeypatch.setattr(Arrival, "identify", send_on)
    result = from_json(mpiolab("run", saved(two_paths({"do": "discover"}, login(SOURCES[0]))), "--json", "-").stdout)
    why = failed(result, "step login")
    assert "the login was redirected more than 8 times" in why
    assert why.count("0x0101 moved temporarily to") == 9
    assert "redirected 9 times in a row" in failed(result, "logins")  # the array's fault, and the oracle sees it
    assert (result.exit_code, result.virtual_seconds < 1) == (10, True)


def test_a_fault_without_meaning_on_real_tcp_is_a_mistake_of_the_scenario() -> None:
    cable = {"do": "fault", "kind": "link_down", "nic": NICS[0]}
    ran = mpiolab("run", saved(two_paths(*LOGINS, cable)), "--net", "tcp")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == 'steps[3].kind: "link_down" has no meaning on real TCP: mark the step net = "sim"\n'


def test_real_tcp_with_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.77.2", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = mpiolab("run", saved(two_paths({"do": "discover"}, port=port)), "--net", "tcp")
    assert ran.exit_code == 2
    assert ran.stderr.startswith(f"array: the array cannot listen at 127.0.77.2:{port}: ")


def test_a_volume_name_that_is_there_twice_for_the_target() -> None:
    rows = [{"name": name, "size": "1MiB", "access": [{"source": "0.0.0.0/0"}]} for name in ("logs", "LOGS")]
    ran = mpiolab("run", saved(two_paths({"do": "discover"}, volumes=rows)))
    assert ran.exit_code == 2
    assert "is given twice" in ran.stderr


def test_more_depth_than_a_disk_takes_is_told_not_raised() -> None:
    why, _ = failed_run(two_paths(*LOGINS, workload(depth=5000, ios=5000, iops=None, op="read")), code=11)
    assert why == "I/O was refused: io: 4096 I/Os are under way already"


# The command as a process


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m harness`, as a user's shell runs it."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "missing.toml"], "missing.toml: cannot be read"),
        (["run", "s.toml", "--net", "udp"], "--net"),
        (["run", "s.toml", "--seed", "-1"], "--seed"),
        (["fly"], "fly"),
    ],
)
def test_bad_usage_is_exit_code_2_without_a_traceback(arguments: list[str], words: str) -> None:
    saved(two_paths({"do": "discover"}))
    done = process(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_step_as_a_process_has_its_code_and_its_reason_on_stdout() -> None:
    done = process("run", saved(two_paths(login())))
    assert done.returncode == 10
    assert "the target name is not found" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "key", "expected"),
    [
        ({"chap_user": "", "chap_secret": SECRET}, "steps[1].chap_user", "expected 1 to 255 bytes"),
        ({"chap_user": "u" * 300, "chap_secret": SECRET}, "steps[1].chap_user", "expected 1 to 255 bytes"),
        ({"chap_user": "u", "chap_secret": ""}, "steps[1].chap_secret", "expected 1 to 255 bytes"),
    ],
)
def test_chap_texts_that_no_login_could_carry(change: Tables, key: str, expected: str) -> None:
    steps = [{"do": "discover"}, {**login(SOURCES[0]), **change}]
    ran = mpiolab("run", saved(two_paths(*steps)))
    assert ran.exit_code == 2
    assert f"s.toml: {key}: {expected}" in ran.stderr


def test_a_block_larger_than_the_array_takes() -> None:
    ran = mpiolab("run", saved(two_paths(*LOGINS, workload(block="16MiB", ios=1))))
    assert ran.exit_code == 2
    assert "expected a block of at most 8MiB" in ran.stderr


def test_a_volume_beyond_counting() -> None:
    tables = two_paths(*LOGINS)
    tables["array"]["volumes"][0]["size"] = "100000000000TiB"
    ran = mpiolab("run", saved(tables))
    assert ran.exit_code == 2
    assert "expected at most 8EiB" in ran.stderr


def test_tables_nested_beyond_reason() -> None:
    Path("deep.toml").write_text("a = " + "[" * 3000 + "]" * 3000, encoding="utf-8")
    ran = mpiolab("run", "deep.toml")
    assert ran.exit_code == 2
    assert "deep.toml: tables or arrays are nested too deep" in ran.stderr


def test_a_capture_where_none_can_be_written() -> None:
    ran = mpiolab("run", saved(two_paths({"do": "discover"})), "--pcap", "/proc/a.pcapng")
    assert ran.exit_code == 2
    assert "--pcap /proc/a.pcapng: cannot be written" in ran.stderr


def test_an_address_that_means_every_interface() -> None:
    tables = two_paths({"do": "discover"}, portals=["0.0.0.0"])
    ran = mpiolab("run", saved(tables))
    assert ran.exit_code == 2
    assert "array.portals[0]: expected the IPv4 address of one interface" in ran.stderr
