"""What systemd is told about the service's state (sd_notify(3)): one datagram each, when systemd asked for it."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Sends to the socket that NOTIFY_SOCKET names; without one, every call does nothing."""

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET") if address is None else address
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def tell(self, *states: str) -> str | None:
        """Send states such as "READY=1"; returns what went wrong, which is no reason to stop serving."""
        if not self._address:
            return None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(states).encode(), self._address)
        except OSError as error:
            return f"systemd was not told {states[0]}: {error.strerror or error}"
        return None
