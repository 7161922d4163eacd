"""What `mpiolab serve` reads: an array file with its secrets, or the array of a scenario.

An array file has `[array]` as scenarios do, and `[serve]` for how it is served. Its CHAP rules name users; the secrets
stand in a file of their own (see `secrets_file`), because array files get copied, mailed and shown. One that stands in
the array file all the same is refused. Relative paths start at the array file's folder.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from harness import references
from harness.fields import Table
from harness.load import read_toml, scenario_from, validated
from harness.mistakes import Mistake, ScenarioError, dotted
from harness.scenario import Array, Disk, Network
from harness.serving.limit_settings import read_limits
from harness.serving.secrets_file import SecretsFile, load_secrets
from harness.serving.settings import Settings
from target.config import Limits

Finding = tuple[str, str]
_DIRECTIONS = (("user", "secret", "chap"), ("mutual_user", "mutual_secret", "mutual_chap"))
"""The key of a user in an access rule, the key of its secret there, and the table of the secrets file that has it."""
_WITHHELD = SecretStr("stands in for a secret that is not known"), SecretStr("and this one for the other direction")


class ArrayFile(Table):
    """The tables of such a file."""

    network: Network = Network()
    serve: Settings = Settings()
    array: Array


@dataclass(frozen=True, slots=True)
class Serving:
    """An array and how to serve it. ``file`` is None for the built-in example."""

    array: Array
    settings: Settings = field(default_factory=Settings)
    limits: Limits = field(default_factory=Limits)
    file: Path | None = None


def load_serving(path: Path) -> Serving:
    """Read an array file and the secrets it names. Raises ScenarioError with every mistake of both."""
    tables = read_toml(path)
    if "steps" in tables or "hosts" in tables:
        return _of_scenario(tables, path)
    tables = copy.deepcopy(tables)
    limits, wrong_limits = read_limits(_table(_table(tables, "serve"), "limits"))
    findings = [*_take_out_secrets(tables)]
    findings += [(f"serve.limits.{key}" if key else "serve.limits", message) for key, message in wrong_limits]
    secrets, mistakes = _secrets(tables, path)
    findings += _fill_in(tables, secrets)
    findings += references.check(tables)
    try:
        loaded = validated(ArrayFile, tables, str(path), findings)
    except ScenarioError as error:
        raise ScenarioError([*error.mistakes, *mistakes]) from None
    if mistakes:
        raise ScenarioError(mistakes)
    return Serving(_with_files_beside(loaded.array, path.parent), loaded.serve, limits, path)


def _of_scenario(tables: Mapping[str, Any], path: Path) -> Serving:
    """A scenario's array, unless it has secrets: those are for runs, which nobody else can log in to."""
    array = scenario_from(tables, file=str(path)).array
    raw = {"array": copy.deepcopy(tables["array"])}
    if mistakes := [Mistake(str(path), key, message) for key, message in _take_out_secrets(raw)]:
        raise ScenarioError(mistakes)
    return Serving(array, file=path)


def _table(node: object, key: str) -> dict[str, Any]:
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, dict) else {}


def _chap_tables(tables: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every `chap` of an access rule with the path of its keys."""
    for v, volume in references.rows(tables, "array", "volumes"):
        for a, access in references.rows(volume, "access"):
            if isinstance(access.get("chap"), dict):
                yield ("array", "volumes", v, "access", a, "chap"), access["chap"]


def _take_out_secrets(tables: dict[str, Any]) -> Iterator[Finding]:
    for path, chap in _chap_tables(tables):
        for _, key, table in _DIRECTIONS:
            if chap.pop(key, None) is not None:
                yield (
                    dotted((*path, key)),
                    "a served array's secrets do not stand beside it: put this one under "
                    f"[{table}] of a file with mode 0600, and name that file by secrets = in [serve]",
                )


def _secrets(tables: dict[str, Any], path: Path) -> tuple[SecretsFile | None, tuple[Mistake, ...]]:
    """The secrets file that the array file names; None when it names none, or one that is no good."""
    name = _table(tables, "serve").get("secrets")
    if not isinstance(name, str):
        return None, ()
    try:
        return load_secrets(path.parent / name), ()
    except ScenarioError as error:
        return None, error.mistakes


def _fill_in(tables: dict[str, Any], secrets: SecretsFile | None) -> Iterator[Finding]:
    """Put the secrets where the model wants them; say which users have none."""
    named = _table(tables, "serve").get("secrets")
    for path, chap in _chap_tables(tables):
        for (user_key, key, table), withheld in zip(_DIRECTIONS, _WITHHELD, strict=True):
            user = chap.get(user_key)
            if not isinstance(user, str):
                continue
            known = {} if secrets is None else getattr(secrets, table)
            chap[key] = known.get(user, withheld)
            if named is None:
                yield dotted((*path, user_key)), "CHAP wants secrets: name their file by secrets = in [serve]"
            elif secrets is not None and user not in known:
                yield dotted((*path, user_key)), f'no secret of "{user}" under [{table}] in {named}'


def _with_files_beside(array: Array, folder: Path) -> Array:
    """A relative path of a volume's data starts at the array file's folder."""
    volumes = []
    for volume in array.volumes:
        update: dict[str, Any] = _beside(volume, folder)
        if volume.luns:
            update["luns"] = tuple(lun.model_copy(update=_beside(lun, folder)) for lun in volume.luns)
        volumes.append(volume.model_copy(update=update))
    return array.model_copy(update={"volumes": tuple(volumes)})


def _beside(disk: Disk, folder: Path) -> dict[str, Any]:
    named = {"file": disk.file, "snapshot_of": disk.snapshot_of}
    return {key: str(folder / name) for key, name in named.items() if name is not None}
