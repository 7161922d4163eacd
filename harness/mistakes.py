"""What is wrong with a scenario file, in words its author understands.

A mistake names the file, the dotted key (`hosts[0].nics[1].rate`) and what was expected there. Pydantic finds most of
them; this module turns its findings into such sentences. Walking the JSON schema along a finding's location does two
things at once: it drops the components that name a union's branch, which no author ever wrote, and it finds which
keys the table has, so a misspelt one gets its "did you mean". What stands where a secret belongs is never repeated:
such places are `writeOnly` in the schema.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where, and what was expected."""

    file: str
    key: str
    """Dotted key; for TOML syntax "line 3, column 7"; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.message) if part)


class ScenarioError(Exception):
    """A file that is no scenario; `mistakes` holds everything wrong with it, in the order of the file."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


def dotted(path: Iterable[str | int]) -> str:
    """("hosts", 0, "nics", 1, "rate") → "hosts[0].nics[1].rate"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """': did you mean "rate"?' when a known word is close, else all known words. Addresses are never close."""
    words = list(known)
    lower = {name.lower(): name for name in reversed(words)}
    close = difflib.get_close_matches(word.lower(), lower, n=1) if any(letter.isalpha() for letter in word) else []
    if close:
        return f': did you mean "{lower[close[0]]}"?'
    return f" (known: {', '.join(words)})" if words else ""


class _Secret:
    """Stands in for a value that may be a secret."""

    def __str__(self) -> str:
        return "something else (not shown: it may be a secret)"


def from_pydantic(errors: Iterable[ErrorDetails], schema: Json, file: str) -> list[Mistake]:
    """Pydantic's findings as mistakes. `schema` is the JSON schema of the model that was validated, by alias."""
    mistakes = []
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # the items are there; each has a mistake of its own
        path, node, secret = _walk(error["loc"], schema)
        if secret:
            error["input"] = _Secret()
        sentence = _SENTENCES.get(error["type"], _as_pydantic_says)
        mistakes.append(Mistake(file, dotted(path), sentence(error, node)))
    return mistakes


def _walk(loc: tuple[int | str, ...], schema: Json) -> tuple[list[str | int], Json, bool]:
    """The location as the author would write it, the schema of the table that holds its last key, and: a secret?"""
    path: list[str | int] = []
    node, holder = schema, schema
    secret = False
    for part in loc:
        node = _resolve(node, schema)
        if "discriminator" in node and part in node["discriminator"]["mapping"]:
            node = _resolve({"$ref": node["discriminator"]["mapping"][part]}, schema)
            holder = node
        elif isinstance(part, int):
            path.append(part)
            node = node.get("items", {})
        elif "properties" in node:
            path.append(part)
            holder, node = node, node["properties"].get(part, {})
        elif "additionalProperties" in node and part != "[key]":
            path.append(part)
            node = node["additionalProperties"] if isinstance(node["additionalProperties"], dict) else {}
        elif "oneOf" in node:  # a union told apart by its shape: the branch has no name in the file
            node = next((branch for branch in node["oneOf"] if "$ref" in branch), {})
        secret = secret or "writeOnly" in node or "writeOnly" in _resolve(node, schema)
    return path, _resolve(holder, schema), secret


def _resolve(node: Json, schema: Json) -> Json:
    """Follow `$ref`, and of `anyOf` (an optional table) the branch that is not null."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in node:
            node = next(branch for branch in node["anyOf"] if branch.get("type") != "null")
        else:
            return node


def _unknown_key(error: ErrorDetails, holder: Json) -> str:
    return f"unknown key{did_you_mean(str(error['loc'][-1]), holder.get('properties', {}))}"


def _missing(error: ErrorDetails, holder: Json) -> str:
    about = holder.get("properties", {}).get(error["loc"][-1], {}).get("description")
    return "this key is wanted" + (f": {about.rstrip('.').replace(chr(10), ' ')}" if about else "")


def _one_of(error: ErrorDetails, _holder: Json) -> str:
    expected = str(error["ctx"]["expected"]).replace("'", '"')
    return f"expected {expected}, got {show(error['input'])}"


def _unknown_tag(error: ErrorDetails, _holder: Json) -> str:
    context = error["ctx"]
    key = str(context["discriminator"]).strip("'")
    tags = [tag.strip().strip("'") for tag in str(context["expected_tags"]).split(",")]
    return f'{key} = "{context["tag"]}" is unknown{did_you_mean(str(context["tag"]), tags)}'


def _no_tag(error: ErrorDetails, _holder: Json) -> str:
    return (
        f"the key {str(error['ctx']['discriminator']).replace(chr(39), chr(34))} is wanted: it says what kind this is"
    )


def _own_words(error: ErrorDetails, _holder: Json) -> str:
    return str(error["ctx"]["error"])


def _expected(what: str) -> Callable[[ErrorDetails, Json], str]:
    return lambda error, _holder: f"expected {what}, got {show(error['input'])}"


def _bound(word: str, key: str) -> Callable[[ErrorDetails, Json], str]:
    return lambda error, _holder: f"expected {word} {error['ctx'][key]}, got {show(error['input'])}"


def _too_few(error: ErrorDetails, _holder: Json) -> str:
    return f"expected at least {error['ctx']['min_length']}, got {error['ctx']['actual_length']}"


def _too_short(error: ErrorDetails, _holder: Json) -> str:
    return f"expected at least {error['ctx']['min_length']} characters, got {len(error['input'])}"


def _as_pydantic_says(error: ErrorDetails, _holder: Json) -> str:
    return f"{error['msg']}, got {show(error['input'])}"


_SENTENCES: Mapping[str, Callable[[ErrorDetails, Json], str]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "literal_error": _one_of,
    "union_tag_invalid": _unknown_tag,
    "union_tag_not_found": _no_tag,
    "value_error": _own_words,
    "string_type": _expected('a text in quotes such as "w2k3"'),
    "int_type": _expected("a whole number"),
    "int_from_float": _expected("a whole number"),
    "float_type": _expected("a number"),
    "bool_type": _expected("true or false"),
    "tuple_type": _expected("an array in [ ]"),
    "dict_type": _expected("a table"),
    "model_type": _expected("a table"),
    "model_attributes_type": _expected("a table"),
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "too_short": _too_few,
    "string_too_short": _too_short,
}


def show(value: object) -> str:
    """A value as the file's author wrote it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "an array"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
