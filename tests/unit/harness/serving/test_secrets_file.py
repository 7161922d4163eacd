"""The file of CHAP secrets: who may read it, what it may hold, and that nothing of it is repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.mistakes import ScenarioError
from harness.serving.secrets_file import load_secrets

GOOD = '[chap]\nw2k3 = "only-the-host-knows"\n[mutual_chap]\nps100 = "only-the-array-knows"\n'
SECRET = "hunter2-hunter2"


def written(folder: Path, text: str | bytes = GOOD, mode: int = 0o600) -> Path:
    path = folder / "secrets.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_secrets(path)
    return str(caught.value)


def test_it_holds_the_secrets_by_user_and_direction(tmp_path: Path) -> None:
    secrets = load_secrets(written(tmp_path))
    assert secrets.chap["w2k3"].get_secret_value() == "only-the-host-knows"
    assert secrets.mutual_chap["ps100"].get_secret_value() == "only-the-array-knows"
    assert "knows" not in repr(secrets) + str(secrets) + secrets.model_dump_json()


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_s_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert load_secrets(written(tmp_path, mode=mode)).chap


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    said = refusal(written(tmp_path, mode=mode))
    assert said.endswith(f"others can get at it (mode {mode:04o}): expected mode 0600, so say chmod 600")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away takes root")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    os.chown(path, 12345, 12345)
    assert "it belongs to user 12345" in refusal(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    assert refusal(fifo).endswith("expected a regular file")
    assert refusal(tmp_path).endswith("expected a regular file")
    assert refusal(tmp_path / "none").endswith("cannot be read: No such file or directory")


def test_a_link_to_a_file_is_judged_by_the_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(written(tmp_path, mode=0o644))
    assert "mode 0644" in refusal(link)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"chap = '{SECRET}'", "chap"),
        (f"[chap]\nw2k3 = ['{SECRET}']", "chap.w2k3"),
        (f"[chap]\nw2k3 = {{ secret = '{SECRET}' }}", "chap.w2k3"),
        ("[chap]\nw2k3 = 123456789012345", "chap.w2k3"),
        ("[chap]\nw2k3 = 'hunter2-hun'", "chap.w2k3"),
        (f"[chap]\nw2k3 = '{'hunter2-' * 40}'", "chap.w2k3"),
        (f"[chap]\n'' = '{SECRET}'", "chap."),
        (f"[mutual_chap]\nps100 = '{SECRET}'\n[chap]\na = '{SECRET}'", "mutual_chap.ps100"),
        (f"[chp]\na = '{SECRET}'", "chp"),
        (f"[chap]\nw2k3 = {SECRET}", "line 2, column 8"),
        (f"[chap]\nw2k3 = '{SECRET}", "end of document"),
        (f"[chap]\nw2k3 = '{SECRET}'\nw2k3 = '{SECRET}'", "end of document"),
        (b"[chap]\nw2k3 = '\xff'", "byte 15"),
    ],
)
def test_a_mistake_is_told_by_its_place_and_nothing_of_the_value(tmp_path: Path, text: str | bytes, key: str) -> None:
    said = refusal(written(tmp_path, text))
    assert said.startswith(f"{tmp_path}/secrets.toml: {key}: ")
    assert "hunter2" not in said
    assert "12345678" not in said


def test_eleven_bytes_are_too_few(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, "[chap]\nw2k3 = 'hunter2-hun'"))
    assert said.endswith("expected at least 12 bytes (RFC 7143 9.2.1), got 11")


def test_one_secret_for_both_directions_is_told_with_both_names(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, f"[mutual_chap]\nps100 = '{SECRET}'\n[chap]\na = '{SECRET}'"))
    assert said.endswith(
        "mutual_chap.ps100: also the secret of chap.a: one must not serve both directions (RFC 7143 9.2.1)"
    )
