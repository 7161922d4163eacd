"""The policies of a comparison as the command line spells them: `--policy round-robin,"vmw-rr iops=1",vmw-rr`.

A comma ends a policy; what follows its name after a blank is SETTING=VALUE, by the names and in the units of a
`set_policy` step. Where a setting takes several values they are joined with "+", and a path's value stands after its
source address and a colon:

    weighted-paths weights=192.168.50.105:1+192.168.50.125:2
    round-robin-subset standby=192.168.50.145

What is wrong is said the way it is of a file, with the policy where the file's name would stand.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from harness.load import validated
from harness.mistakes import Mistake, ScenarioError, did_you_mean
from harness.policy_step import SETTINGS, SetPolicy

OPTION = "--policy"


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """One policy to compare."""

    name: str
    """A built-in policy's, or `module:Class`."""
    settings: Mapping[str, Any]
    """Beside it, as a scenario's table has them."""

    def __str__(self) -> str:
        """As it is written on the command line."""
        return " ".join([self.name, *(f"{name}={_spelt(value)}" for name, value in self.settings.items())])


def _number(text: str) -> Any:
    return int(text) if text.isdecimal() else text


def _switch(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


def _several(text: str) -> list[str]:
    return text.split("+")


def _by_source(text: str) -> dict[str, Any]:
    pairs = [item.partition(":") for item in text.split("+")]
    return {source: _number(value) for source, _, value in pairs}


_READERS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "standby": _several,
        "weights": _by_source,
        "throughputs": _by_source,
        "use_cache": _switch,
        "iops": _number,
    }
)
"""Settings that are not text in a file. A value that cannot be read stays text: the step's own words refuse it."""

_KNOWN: Final = ("standby", *SETTINGS)


def choices(options: Iterable[str]) -> tuple[PolicyChoice, ...]:
    """The policies of all `--policy` options, in order. Raises ScenarioError with everything wrong about them."""
    found: list[PolicyChoice] = []
    mistakes: list[Mistake] = []
    for text in [item.strip() for option in options for item in option.split(",")]:
        try:
            choice = _choice(text)
        except ScenarioError as error:
            mistakes += error.mistakes
            continue
        if choice in found:
            mistakes.append(_wrong(text, "is given twice"))
        found.append(choice)
    if mistakes:
        raise ScenarioError(mistakes)
    return tuple(found)


def _choice(text: str) -> PolicyChoice:
    if not text:
        raise ScenarioError([Mistake(OPTION, "", "expected the name of a policy between two commas, got nothing")])
    name, *words = text.split()
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in _KNOWN:
            raise ScenarioError([_wrong(text, f'no setting "{key}"{did_you_mean(key, _KNOWN)}')])
        if not equals or not value:
            raise ScenarioError([_wrong(text, f'expected {key}=VALUE, got "{word}"')])
        if key in settings:
            raise ScenarioError([_wrong(text, f"{key} is given twice")])
        settings[key] = _READERS.get(key, str)(value)
    # A step of no particular disk: what each setting may be, and which policy has it, is the step's to say.
    validated(SetPolicy, {"do": "set_policy", "volume": "any", "policy": name, **settings}, _place(text))
    return PolicyChoice(name, settings)


def _place(text: str) -> str:
    return f'{OPTION} "{text}"'


def _wrong(text: str, message: str) -> Mistake:
    return Mistake(_place(text), "", message)


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "+".join(f"{source}:{number}" for source, number in value.items())
    return "+".join(value) if isinstance(value, list) else str(value)
