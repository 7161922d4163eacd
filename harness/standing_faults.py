"""Which faults stand when: a name breaks one thing at a time, and only what is broken is mended.

Steps may be meant for one network alone, so the list of steps is gone through once per network.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.mistakes import did_you_mean, dotted

NETS = ("sim", "tcp")

Row = Mapping[str, Any]


def check(steps: Iterable[tuple[int, Row]]) -> Iterator[tuple[str, str]]:
    """(Dotted key, what was expected) for each fault that stands already and each heal of one that does not stand."""
    numbered = list(steps)
    told: list[int] = []
    for net in NETS:
        standing: dict[str, int] = {}
        for index, step in numbered:
            if step.get("net", net) != net or index in told:
                continue
            if step.get("do") == "fault":
                name = fault_name(step)
                if name in standing:
                    told.append(index)
                    key = dotted(("steps", index, "name" if "name" in step else "kind"))
                    yield key, f'the fault "{name}" of steps[{standing[name]}] still stands; give this one another name'
                standing.setdefault(name, index)
            elif step.get("do") == "heal" and isinstance(step.get("name"), str):
                healed: str = step["name"]
                if healed in standing:
                    del standing[healed]
                else:
                    told.append(index)
                    yield dotted(("steps", index, "name")), _not_standing(healed, net, index, numbered)


def fault_name(step: Row) -> str:
    """The name `heal` knows a fault by: its own, or its kind and place."""
    given = [step[key] for key in ("nic", "portal", "host", "volume") if isinstance(step.get(key), str)]
    name = step.get("name")
    return name if isinstance(name, str) else f"{step.get('kind')} {[*given, 'array'][0]}"


def _not_standing(name: str, net: str, index: int, steps: list[tuple[int, Row]]) -> str:
    earlier = [step for at, step in steps if at < index and step.get("do") == "fault"]
    namesakes = [step for step in earlier if fault_name(step) == name]
    if not namesakes:
        return f'no earlier fault "{name}"{did_you_mean(name, map(fault_name, earlier))}'
    elsewhere = [step["net"] for step in namesakes if step.get("net", net) != net]
    if elsewhere:
        return f'on net = "{net}" there is no fault "{name}" here: mark this step net = "{elsewhere[0]}"'
    return f'the fault "{name}" is mended already'
