"""TCP's states, the roads between them that a FIN opens, and the errors a connection can end with (RFC 9293 3.3.2)."""

from __future__ import annotations

import enum
import errno


class TcpState(enum.Enum):
    """The states of RFC 9293 3.3.2, spelled as Windows netstat spells them."""

    CLOSED = "CLOSED"
    SYN_SENT = "SYN_SENT"
    SYN_RECEIVED = "SYN_RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN_WAIT_1"
    FIN_WAIT_2 = "FIN_WAIT_2"
    CLOSE_WAIT = "CLOSE_WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"


# Reaching a member through its enum costs a function call on Python 3.11, and these are read for every segment.
CLOSED = TcpState.CLOSED
SYN_SENT = TcpState.SYN_SENT
SYN_RECEIVED = TcpState.SYN_RECEIVED
ESTABLISHED = TcpState.ESTABLISHED
FIN_WAIT_1 = TcpState.FIN_WAIT_1
FIN_WAIT_2 = TcpState.FIN_WAIT_2
CLOSE_WAIT = TcpState.CLOSE_WAIT
CLOSING = TcpState.CLOSING
LAST_ACK = TcpState.LAST_ACK
TIME_WAIT = TcpState.TIME_WAIT

# Where our FIN goes when the application is done, and where the peer's FIN and the ACK of ours take us.
AFTER_OUR_FIN = {
    ESTABLISHED: FIN_WAIT_1,
    CLOSE_WAIT: LAST_ACK,
}
AFTER_PEERS_FIN = {
    ESTABLISHED: CLOSE_WAIT,
    FIN_WAIT_1: CLOSING,
    FIN_WAIT_2: TIME_WAIT,
}
AFTER_FIN_ACKNOWLEDGED = {
    FIN_WAIT_1: FIN_WAIT_2,
    CLOSING: TIME_WAIT,
    LAST_ACK: CLOSED,
}
# Where queued data may still go out: also after the application asked for the FIN that waits behind it.
SENDING = (ESTABLISHED, CLOSE_WAIT)
RECEIVING = (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2)


def timed_out() -> OSError:
    """The error of a peer that does not answer."""
    return TimeoutError(errno.ETIMEDOUT, "Connection timed out")


def refused() -> OSError:
    """The error of a SYN answered by RST."""
    return ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def reset_by_peer() -> OSError:
    """The error of a connection ended by RST."""
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
