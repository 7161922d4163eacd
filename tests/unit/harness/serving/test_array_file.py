"""The file an array is served from: what it says, where its secrets come from, and what is told about its mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.array import group_config
from harness.mistakes import ScenarioError
from harness.serving.array_file import Serving, load_serving
from harness.serving.settings import Settings
from target.config import Limits

if TYPE_CHECKING:
    from tests.unit.harness.serving.conftest import Folder

INLINE = 'chap = { user = "w2k3", secret = "inline-secret-1", mutual_user = "ps100" }'


def told(path: Path) -> list[tuple[str, str, str]]:
    """(file, key, message) of every mistake."""
    with pytest.raises(ScenarioError) as caught:
        load_serving(path)
    return [(Path(m.file).name, m.key, m.message) for m in caught.value.mistakes]


def secrets_of(serving: Serving) -> tuple[bytes, bytes | None]:
    """What the array will compare with: the host's secret and its own."""
    chap = group_config(serving.array).volumes[0].access[0].chap
    assert chap is not None
    return chap.one_way[0].secret, chap.mutual.secret if chap.mutual else None


def test_users_of_the_array_file_get_their_secrets_from_the_other(folder: Folder) -> None:
    assert secrets_of(load_serving(folder.array)) == (b"only-the-host-knows", b"only-the-array-knows")


def test_the_secrets_file_may_be_anywhere(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = folder.secrets.rename(tmp_path_factory.mktemp("etc") / "chap.toml")
    folder.change('"secrets.toml"', f'"{elsewhere}"')
    assert secrets_of(load_serving(folder.array))[0] == b"only-the-host-knows"


def test_nothing_that_was_loaded_shows_a_secret(folder: Folder) -> None:
    serving = load_serving(folder.array)
    for shown in (repr(serving), str(serving), serving.array.model_dump_json(), repr(group_config(serving.array))):
        assert "only-the-host-knows" not in shown
        assert "only-the-array-knows" not in shown
        assert "w2k3" in shown


def test_without_a_serve_table_everything_has_its_default(folder: Folder) -> None:
    folder.change('[serve]\nsecrets = "secrets.toml"', "")
    folder.change(', mutual_user = "ps100" }', " }")
    folder.change('chap = { user = "w2k3" }', "")
    serving = load_serving(folder.array)
    assert serving.settings == Settings()
    assert serving.limits == Limits()
    assert serving.file == folder.array


def test_a_volume_s_file_lies_beside_the_array_file(folder: Folder) -> None:
    folder.change('size = "1MiB"', 'size = "1MiB"\nfile = "volumes/mail.img"')
    assert load_serving(folder.array).array.volumes[0].file == str(folder.path / "volumes/mail.img")


def test_a_secret_in_the_array_file_is_refused_and_not_repeated(folder: Folder) -> None:
    folder.change('chap = { user = "w2k3", mutual_user = "ps100" }', INLINE)
    ((file, key, message),) = told(folder.array)
    assert (file, key) == ("array.toml", "array.volumes[0].access[0].chap.secret")
    assert "put this one under [chap] of a file with mode 0600" in message
    assert "inline-secret-1" not in message


def test_a_scenario_with_secrets_is_for_runs_not_for_serving() -> None:
    keys = [key for _, key, _ in told(Path("scenarios/chap_mutual.toml"))]
    assert keys == ["array.volumes[0].access[0].chap.secret", "array.volumes[0].access[0].chap.mutual_secret"]


def test_a_user_without_a_secret_is_named(folder: Folder) -> None:
    folder.write_secrets('[chap]\nw2k4 = "only-the-host-knows"\n')
    assert told(folder.array) == [
        ("array.toml", "array.volumes[0].access[0].chap.user", 'no secret of "w2k3" under [chap] in secrets.toml'),
        (
            "array.toml",
            "array.volumes[0].access[0].chap.mutual_user",
            'no secret of "ps100" under [mutual_chap] in secrets.toml',
        ),
    ]


def test_chap_without_a_secrets_file_says_how_to_name_one(folder: Folder) -> None:
    folder.change('secrets = "secrets.toml"', "")
    assert [(key, message) for _, key, message in told(folder.array)] == [
        (
            f"array.volumes[0].access[0].chap.{user}",
            "CHAP wants secrets: name their file by secrets = in [serve]",
        )
        for user in ("user", "mutual_user")
    ]


def test_mistakes_of_both_files_are_told_at_once(folder: Folder) -> None:
    folder.change('name = "PS100"', 'nam = "PS100"')
    folder.write_secrets('[chap]\nw2k3 = "short"\n')
    assert [(file, key) for file, key, _ in told(folder.array)] == [
        ("array.toml", "array.nam"),
        ("secrets.toml", "chap.w2k3"),
    ]


@pytest.mark.parametrize(
    ("setting", "key", "expected"),
    [
        ("metrics = 0", "serve.metrics", "expected a port such as 9273"),
        ("metrics = true", "serve.metrics", "expected a port such as 9273"),
        ('metrics = "localhost:9273"', "serve.metrics", "expected a port such as 9273"),
        ('metrics = "127.0.0.1"', "serve.metrics", "expected a port such as 9273"),
        ('metrics = "0.0.0.0:9273"', "serve", "expected a loopback address, or metrics_open = true"),
        ('log = "xml"', "serve.log", 'expected "text" or "json", got "xml"'),
        ('loop = "trio"', "serve.loop", 'expected "auto", "asyncio" or "uvloop", got "trio"'),
        ('stop_within = "2h"', "serve", "stop_within: expected at most 1h"),
        ("stop_within = 5", "serve.stop_within", 'expected a duration such as "250us"'),
        ("sockt = 1", "serve.sockt", 'unknown key: did you mean "socket"?'),
        ("limits = 5", "serve.limits", "expected a table, got 5"),
        ("limits = { max_connection = 5 }", "serve.limits.max_connection", 'did you mean "max_connections"?'),
        ("limits = { max_connections = 0 }", "serve.limits.max_connections", "must be 1 to 65535, not 0"),
        ("limits = { max_connections = true }", "serve.limits.max_connections", "expected a whole number, got true"),
        ("limits = { login_timeout = 15 }", "serve.limits.login_timeout", 'expected a duration such as "250us"'),
        ('limits = { login_timeout = "0s" }', "serve.limits.login_timeout", "must be more than 0 s"),
        ('limits = { write_buffer = "32" }', "serve.limits.write_buffer", 'expected a size such as "64KiB"'),
        ('limits = { first_burst_length = "1MiB" }', "serve.limits.first_burst_length", "is above max_burst_length"),
    ],
)
def test_a_wrong_setting_is_told_by_its_key(folder: Folder, setting: str, key: str, expected: str) -> None:
    folder.change('secrets = "secrets.toml"', f'secrets = "secrets.toml"\n{setting}')
    ((file, found, message),) = told(folder.array)
    assert (file, found) == ("array.toml", key)
    assert expected in message


def test_settings_and_limits_are_read(folder: Folder) -> None:
    folder.change(
        'secrets = "secrets.toml"',
        'secrets = "secrets.toml"\nmetrics = 9273\nlog = "json"\nstop_within = "20s"\n[serve.limits]\n'
        'max_connections = 200\nlogin_timeout = "2500ms"\nwrite_buffer = "8MiB"\nmax_burst_length = "1MiB"',
    )
    serving = load_serving(folder.array)
    assert serving.settings.metrics == ("127.0.0.1", 9273)
    assert (serving.settings.log, serving.settings.stop_within_ns) == ("json", 20_000_000_000)
    assert serving.limits == Limits(
        max_connections=200, login_timeout_s=2.5, write_buffer_bytes=8 << 20, max_burst_length=1 << 20
    )


def test_metrics_may_be_opened_to_others(folder: Folder) -> None:
    folder.change("[serve]", '[serve]\nmetrics = "0.0.0.0:9273"\nmetrics_open = true')
    assert load_serving(folder.array).settings.metrics == ("0.0.0.0", 9273)
