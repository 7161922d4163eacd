"""What the terminal shows of a verdict, and the document `mpiolab.check/1`."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.policy_check.events import to_document
from harness.policy_check.replay import Replayed
from harness.policy_check.verdict import Failing, Verdict, rules_of

__all__ = ["document", "tell"]

SCHEMA = "mpiolab.check/1"


def tell(console: Console, verdict: Verdict, replayed: Replayed | None, *, examples: int, seed: int) -> None:
    """The table of rules, or the failure with its story."""
    if verdict.failing is None or replayed is None:
        _tell_rules(console, verdict, examples, seed)
    else:
        _tell_failure(console, verdict, verdict.failing)
        _tell_again(console, verdict, replayed, examples, seed)


def _tell_rules(console: Console, verdict: Verdict, examples: int, seed: int) -> None:
    head = Text.assemble((verdict.option, "bold"), (f"   {examples:,} drawn stories, seed {seed}", "dim"))
    console.print(head)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for rule, count in rules_of(verdict):
        if count is None:
            table.add_row(Text("–", "dim"), Text(rule.name, "dim"), "", "", Text("not promised", "dim"))
        else:
            table.add_row(Text("✓", "green"), rule.name, f"{count:,}", rule.checked_on, rule.sentence)
    console.print(table)
    console.print(Text.assemble(("pass", "bold green"), ": every rule held"))


def _tell_failure(console: Console, verdict: Verdict, failing: Failing) -> None:
    rule = (f'"{failing.rule.name}"', "bold red")
    console.print(Text.assemble(("✗ ", "bold red"), (verdict.option, "bold"), " breaks the rule ", rule))
    console.print(Padding(Text(failing.rule.sentence), (0, 0, 0, 2), expand=False))
    console.print(Padding(Text(f"Found: {failing.why}", "red"), (0, 0, 0, 2), expand=False))
    console.print()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for number, happened in enumerate(failing.story, start=1):
        outcome = [Text(words) for words in happened.outcome if words != failing.why]
        if number == len(failing.story):
            outcome.append(Text("✗ here", "bold red"))
        table.add_row(f"{number}", str(happened.event), Text("; ").join(outcome))
    if failing.story:
        console.print(table)
        console.print()


def _tell_again(console: Console, verdict: Verdict, replayed: Replayed, examples: int, seed: int) -> None:
    console.print(Text.assemble("  again     ", (check_command(verdict, examples, seed), "bold")), soft_wrap=True)
    if replayed.path is not None:
        command = f"mpiolab run {shlex.quote(str(replayed.path))}"
        console.print(Text.assemble("  in a run  ", (command, "bold")), soft_wrap=True)
    mark = Text("✓ ", "green") if replayed.replays else Text("– ", "yellow")
    console.print(Padding(mark + Text(replayed.words), (0, 0, 0, 2), expand=False))


def check_command(verdict: Verdict, examples: int, seed: int) -> str:
    """The command that finds the same again."""
    return shlex.join(["mpiolab", "check", verdict.option, "--examples", str(examples), "--seed", str(seed)])


def document(verdict: Verdict, replayed: Replayed | None, *, examples: int, seed: int) -> dict[str, Any]:
    """The verdict for JSON."""
    failing = verdict.failing
    return {
        "schema": SCHEMA,
        "policy": verdict.option,
        "examples": examples,
        "seed": seed,
        "verdict": "pass" if failing is None else "fail",
        "rules": [
            {
                "name": rule.name,
                "sentence": rule.sentence,
                "promised": count is not None,
                "checked": count,
                "checked_on": rule.checked_on,
            }
            for rule, count in rules_of(verdict)
        ],
        "failure": None
        if failing is None
        else {
            "rule": failing.rule.name,
            "why": failing.why,
            "events": [
                {**to_document(one.event), "text": str(one.event), "outcome": one.outcome} for one in failing.story
            ],
            "check": check_command(verdict, examples, seed),
            "scenario": None if replayed is None or replayed.path is None else str(replayed.path),
            "replays": replayed is not None and replayed.replays,
        },
    }
