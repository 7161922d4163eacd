"""The clock counts whole nanoseconds; equal times keep their order; cancelled calls do not pile up."""

import pytest

from sim.env import COMPACT_AT_LEAST, Environment, ms, s, us


def test_helpers_give_nanoseconds() -> None:
    assert (us(5), ms(5), s(5)) == (5_000, 5_000_000, 5_000_000_000)


@pytest.mark.parametrize("helper", [us, ms, s])
def test_helpers_refuse_floats(helper) -> None:
    with pytest.raises(TypeError, match="expected an int, got float"):
        helper(1.5)


def test_a_float_delay_never_reaches_the_clock() -> None:
    env = Environment()
    with pytest.raises(TypeError, match="whole nanoseconds"):
        env.timeout(0.5)
    with pytest.raises(TypeError, match="whole nanoseconds"):
        env.at(1.0, lambda call: None)
    with pytest.raises(TypeError, match="whole nanoseconds"):
        env.run(until=1e9)


def test_the_past_cannot_be_scheduled() -> None:
    env = Environment()
    env.run(until=10)
    with pytest.raises(ValueError, match="it is 10 ns already"):
        env.at(9, lambda call: None)
    with pytest.raises(ValueError, match="3 ns ago"):
        env.schedule(env.event(), delay=-3)


def test_calls_for_one_instant_run_in_the_order_they_were_set() -> None:
    env, order = Environment(), []
    for number in range(9):
        env.at(100, lambda call: order.append(call.payload), number)
    env.at(50, lambda call: order.append("unrelated"))
    env.run()
    assert order == ["unrelated", *range(9)]


def test_a_cancelled_call_does_nothing_and_its_neighbours_keep_their_order() -> None:
    env, order = Environment(), []
    calls = [env.at(100, lambda call: order.append(call.payload), number) for number in range(5)]
    env.cancel(calls[1])
    env.cancel(calls[1])
    env.cancel(calls[3])
    env.run()
    assert order == [0, 2, 4]


def test_cancelled_calls_leave_the_heap_before_their_time() -> None:
    env, order = Environment(), []
    for number in range(10 * COMPACT_AT_LEAST):
        env.cancel(env.at(s(30), lambda call: None))
        if number % COMPACT_AT_LEAST == 0:
            env.at(number + 1, lambda call: order.append(call.payload), number)
    assert len(env._queue) <= 2 * COMPACT_AT_LEAST + 16
    env.run()
    assert order == sorted(order)
    assert len(order) == 10


def test_processes_share_the_clock() -> None:
    env, log = Environment(), []

    def script():
        yield env.timeout(us(3))
        log.append(env.now_ns)

    env.process(script())
    env.at(us(3), lambda call: log.append("call"))
    env.run()
    assert log == ["call", 3_000]  # the process's timeout was set after the call
