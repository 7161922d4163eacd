"""TOML → Scenario, with every mistake of the file reported at once.

This is the one door: files come through `load_scenario`, tables made by a program through `scenario_from`. Both raise
`ScenarioError`, whose mistakes name file, dotted key and what was expected; the order is that of the file's tables.
One kind of mistake may hide another: whether the keys of a table go together is asked only where each of them alone
is right.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from harness import references
from harness.fields import Table
from harness.mistakes import Mistake, ScenarioError, from_pydantic
from harness.scenario import Scenario

MAX_SCENARIO_BYTES = 1 << 20

_AT = re.compile(r" \(at (line \d+, column \d+|end of document)\)$")

M = TypeVar("M", bound=Table)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises ScenarioError with all its mistakes."""
    return scenario_from(read_toml(path), file=str(path))


def scenario_from(tables: Mapping[str, Any], *, file: str = "") -> Scenario:
    """The scenario of such tables as TOML gives. Raises ScenarioError."""
    return validated(Scenario, tables, file, references.check(tables))


def read_toml(path: Path) -> dict[str, Any]:
    """The raw tables of a file. Raises ScenarioError: unreadable, too large, no TOML (with its line)."""
    file = str(path)
    try:
        if path.stat().st_size > MAX_SCENARIO_BYTES:
            raise ScenarioError([Mistake(file, "", f"expected at most {MAX_SCENARIO_BYTES} bytes")])
        data = path.read_bytes()
    except OSError as error:
        raise ScenarioError([Mistake(file, "", f"cannot be read: {error.strerror}")]) from None
    return parse_toml(data, file)


def parse_toml(data: bytes, file: str) -> dict[str, Any]:
    """The raw tables of a file's bytes. Raises ScenarioError: no TOML (with its line)."""
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise ScenarioError([Mistake(file, f"byte {error.start}", "TOML is UTF-8; this is not")]) from None
    except RecursionError:
        raise ScenarioError([Mistake(file, "", "tables or arrays are nested too deep")]) from None
    except tomllib.TOMLDecodeError as error:
        text = str(error)
        at = _AT.search(text)
        where = at.group(1) if at else ""
        raise ScenarioError([Mistake(file, where, f"not TOML: {_AT.sub('', text)}")]) from None


def validated(model: type[M], tables: Mapping[str, Any], file: str, findings: Iterable[tuple[str, str]] = ()) -> M:
    """A file's tables as a model. Raises ScenarioError with all their mistakes: the model's, and the findings."""
    mistakes: list[Mistake] = []
    result: M | None = None
    try:
        result = model.model_validate(tables)
    except ValidationError as error:
        mistakes += from_pydantic(error.errors(include_url=False), _schema(model), file)
    mistakes += [Mistake(file, key, message) for key, message in findings]
    if mistakes or result is None:
        raise ScenarioError(_in_file_order(mistakes, tables))
    return result


@cache
def _schema(model: type[Table]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _in_file_order(mistakes: list[Mistake], tables: Mapping[str, Any]) -> list[Mistake]:
    """By top-level table as written, then by the indexes in the key; a missing table comes last."""
    tops = list(tables)

    def position(mistake: Mistake) -> tuple[int, list[int]]:
        top = re.split(r"[.\[]", mistake.key, maxsplit=1)[0]
        return (tops.index(top) if top in tops else len(tops), [int(n) for n in re.findall(r"\[(\d+)\]", mistake.key)])

    return sorted(mistakes, key=position)
