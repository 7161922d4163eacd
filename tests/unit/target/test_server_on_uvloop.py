"""The array on uvloop: every test of `test_server` and `test_server_bad_input` over again on that loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from tests.unit.target import test_server, test_server_bad_input

for _module in (test_server, test_server_bad_input):
    globals().update({name: test for name, test in vars(_module).items() if name.startswith("test_")})


@pytest.fixture(autouse=True)
def _on_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)

    monkeypatch.setattr(asyncio, "run", run)


def test_these_tests_run_on_uvloop() -> None:
    async def main() -> None:
        assert type(asyncio.get_running_loop()).__module__ == "uvloop"

    asyncio.run(main())
