"""A step as a sentence: what a person at the bench does, in the words of the applet."""

from typing import assert_never

from harness.array_steps import (
    AccessState,
    ControllerFailover,
    Drain,
    Drop,
    PortalGroupTag,
    Rebalance,
    RequestLogout,
    SwapVolumes,
    Undrain,
)
from harness.fault_step import Fault
from harness.io_step import SingleIo
from harness.policy_step import SetPolicy
from harness.step_base import HostStep
from harness.steps import (
    AnyStep,
    Devices,
    Discover,
    Expect,
    Heal,
    Login,
    Logout,
    Mpclaim,
    Netstat,
    Stop,
    Targets,
    Wait,
    Workload,
)
from harness.units import format_duration, format_rate, format_size
from initiator_model.policies.catalog import BUILT_IN

POLICY_WORDS = {policy.option: policy.display for policy in BUILT_IN}


def describe(step: AnyStep) -> str:
    """One line, without the host unless the step names it."""
    at = f" at {step.host}" if isinstance(step, HostStep) and step.host else ""
    return _words(step) + at


def _words(step: AnyStep) -> str:
    match step:
        case Discover():
            return f"Add target portal {step.portal or '(the group address)'}{_from(step.source)}"
        case Login():
            boxes = [
                name for name, ticked in (("persistent", step.persistent), ("multi-path", step.multipath)) if ticked
            ]
            ticked = f" [{', '.join(boxes)}]" if boxes else ""
            return f"Log On {step.volume}{_from(step.source)}{f' to {step.portal}' if step.portal else ''}{ticked}"
        case Logout():
            return f"Log Off {step.volume}{_from(step.source) or ', all sessions'}"
        case Targets():
            return "Look at the Targets list"
        case Devices():
            return f"Look at the device details of {step.volume}"
        case Netstat():
            return "Run netstat -nt"
        case Mpclaim():
            return "Run mpclaim -s -d"
        case SetPolicy():
            preferred = f", preferring {step.preferred}" if step.preferred else ""
            standby = f", {', '.join(step.standby)} Standby" if step.standby else ""
            policy = POLICY_WORDS.get(step.policy, step.policy)
            return f"Set the load balance policy of {step.volume} to {policy}{preferred}{standby}{_settings(step)}"
        case Workload():
            return _workload(step)
        case SingleIo():
            last = step.lba + step.blocks - 1
            background = " in the background" if step.background else ""
            return f"{step.op.capitalize()} blocks {step.lba} to {last} of {step.volume}{background}"
        case Stop():
            return f"Stop {step.name} and let its I/Os drain"
        case Fault():
            return f"Break: {fault_words(step)}"
        case Heal():
            return f"Mend: {step.name}"
        case Drain():
            return f"Array: drain portal {step.portal}{_within(step)}"
        case Undrain():
            return f"Array: portal {step.portal} takes logins again"
        case Rebalance():
            return f"Array: rebalance{_within(step)}"
        case RequestLogout():
            volume = f" from {step.volume}" if step.volume else ""
            return f"Array: ask {step.source} to log out{volume}{_within(step)}"
        case AccessState():
            return f"Array: port group {step.group} becomes {step.state}{f' for {step.volume}' if step.volume else ''}"
        case PortalGroupTag():
            return f"Array: from its next start on its portals have portal group tag {step.tag}"
        case SwapVolumes():
            return f"Array: from its next start on {' and '.join(step.volumes)} have each other's target name"
        case Drop():
            volume = f" to {step.volume}" if step.volume else ""
            return f"Array: drop the connection from {step.source}{volume} ({step.how})"
        case ControllerFailover():
            return f"Array: controller failover, {format_duration(step.gap_ns)} until the other one serves ({step.how})"
        case Wait():
            if step.duration_ns is not None:
                return f"Wait {format_duration(step.duration_ns)}"
            count = f" ({step.count})" if step.count else ""
            return f"Wait until {str(step.until).replace('_', ' ')}{count}, at most {format_duration(step.within_ns)}"
        case Expect():
            return f"Check {', '.join(dict.fromkeys(check.check.replace('_', ' ') for check in step.that))}"
        case _:
            assert_never(step)


def _workload(step: Workload) -> str:
    ops = {"read": "Read", "write": "Write", "mixed": f"Read ({step.read_share:.0%}) and write"}
    limits = [f"{step.ios:,} I/Os"] if step.ios else []
    limits += [f"for {format_duration(step.duration_ns)}"] if step.duration_ns else []
    limits += [f"at {step.iops:,} IOPS"] if step.iops else []
    limits += ["in the background"] if step.background else []
    block = format_size(step.block_bytes)
    return f'"{step.name}": {ops[step.op]} {block} {step.pattern}, {step.depth} at a time, {", ".join(limits)}'


def fault_words(step: Fault) -> str:
    """What is broken, where, and how badly: "loss w2k3/3A_iSCSI, 0.1 % of the frames it sends"."""
    return f"{step.kind.replace('_', ' ')} {step.place}{_strength(step)}"


def _strength(step: Fault) -> str:
    way = {None: "", "in": " that come to it", "out": " it sends"}[step.direction]
    words = []
    if step.share is not None:
        words.append(f", {step.share * 100:.4g} % of the frames{way}")
    elif step.direction is not None:
        words.append(f", the frames{way}")
    if step.kind == "jitter" and step.extra_ns is not None:
        words.append(f", up to {format_duration(step.extra_ns)}")
    elif step.extra_ns is not None:
        words.append(f" +{format_duration(step.extra_ns)}")
    if step.delay_ns is not None:
        words.append(f", {format_duration(step.delay_ns)} late")
    if step.rate_bits_per_s is not None:
        words.append(f" to {format_rate(step.rate_bits_per_s)}")
    if step.limit_bytes is not None:
        words.append(f", {format_size(step.limit_bytes)} each way")
    if step.carrier:
        words.append(" (link light stays on)")
    return "".join(words)


def _within(step: Drain | Rebalance | RequestLogout) -> str:
    return "" if step.within_ns is None else f", within {format_duration(step.within_ns)}"


def _from(source: str | None) -> str:
    return f" from {source}" if source else ""


def _settings(step: SetPolicy) -> str:
    """What is set beside the policy."""
    words = [f"{source} weighs {weight}" for source, weight in step.weights.items()]
    words += [f"{source} has throughput {share}" for source, share in step.throughputs.items()]
    words += ["sequential streams stay"] if step.use_cache else []
    words += [f"grouping {step.grouping}"] if step.grouping else []
    if step.failback is not None:
        words.append(f"failback {step.failback if isinstance(step.failback, str) else format_duration(step.failback)}")
    words += [f"type {step.type}"] if step.type else []
    words += [f"iops={step.iops}"] if step.iops else []
    words += [f"bytes={step.bytes_in_turn}"] if step.bytes_in_turn else []
    return "".join(f", {word}" for word in words)
