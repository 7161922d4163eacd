"""One session over one connection, one command at a time (RFC 7143; SCSI commands from SBC-4)."""

import asyncio
import struct

BLOCK = 512
MAX_REDIRECTS = 4
NO_TAG = 0xFFFFFFFF

NOP_OUT, SCSI_COMMAND, LOGIN, LOGOUT = 0x00, 0x01, 0x43, 0x46
NOP_IN, SCSI_RESPONSE, LOGIN_RESPONSE, DATA_IN, LOGOUT_RESPONSE = 0x20, 0x21, 0x23, 0x25, 0x26


class LoginRefused(Exception):
    """The target answered a login with a status that is neither success nor a redirect."""


class CommandFailed(Exception):
    """A SCSI command ended with a status that is not GOOD."""


class Session:
    """Made by `log_in`."""

    def __init__(self, reader, writer):
        self.portal = writer.get_extra_info("peername")[0]
        self._reader, self._writer = reader, writer
        self._tag = 0
        self._cmd_sn = 1
        self._exp_stat_sn = 0

    @classmethod
    async def log_in(cls, address, target, name, source=None):
        """A session with `target`. `address` is (ip, port), `source` the local IP to come from (None: any)."""
        for _ in range(MAX_REDIRECTS):
            local = None if source is None else (source, 0)
            session = cls(*await asyncio.open_connection(*address, local_addr=local))
            try:
                address = await session._login(target, name)
            except BaseException:
                session.close()
                raise
            if address is None:
                return session
            session.close()
        raise LoginRefused(f"redirected more than {MAX_REDIRECTS} times")

    async def _login(self, target, name):
        """None when it is logged in, else the address it was sent to."""
        keys = {"InitiatorName": name, "TargetName": target, "SessionType": "Normal"}
        keys |= {"HeaderDigest": "None", "DataDigest": "None"}
        text = b"".join(f"{key}={value}\0".encode() for key, value in keys.items())
        # T, CSG=1 (operational: no security stage), NSG=3 (full feature); an ISID of the random kind
        header = struct.pack(">BBxx4x6sHIHxxII16x", LOGIN, 0x87, bytes.fromhex("800000000001"), 0, 0, 1, 1, 0)
        await self._send(header, text)
        while True:
            header, data = await self._receive()
            if header[0] != LOGIN_RESPONSE:
                raise LoginRefused(f"a PDU with opcode {header[0]:#x} during login")
            self._exp_stat_sn = _u32(header, 24) + 1
            if header[36] == 0x01:
                answers = dict(line.split("=", 1) for line in data.decode().split("\0") if line)
                ip, _, port = answers["TargetAddress"].partition(",")[0].rpartition(":")
                return ip, int(port)
            if header[36]:
                raise LoginRefused(f"status {header[36]:02x}{header[37]:02x}")
            if header[1] & 0x83 == 0x83:
                return None
            again = struct.pack(">BBxx4x6sHIHxxII16x", LOGIN, 0x87, header[8:14], 0, 0, 1, 1, self._exp_stat_sn)
            await self._send(again, b"")

    async def read_block(self, lba):
        """The 512 bytes of a block."""
        return await self._command(struct.pack(">BxIxHx6x", 0x28, lba, 1), 0xC1)

    async def write_block(self, lba, data):
        """Write a block; it is written when this returns."""
        await self._command(struct.pack(">BxIxHx6x", 0x2A, lba, 1), 0xA1, data)

    async def _command(self, cdb, flags, data=b""):
        while True:  # the first command after a login meets a unit attention, and is sent again
            tag = await self._send_command(cdb, flags, data)
            status, answer = await self._answer(tag)
            if status == 0:
                return answer
            sense_key = answer[4] & 0x0F if len(answer) > 4 else None
            if (status, sense_key) != (0x02, 0x06):
                raise CommandFailed(f"status {status:#04x}, sense key {sense_key}")

    async def _send_command(self, cdb, flags, data):
        self._tag += 1
        head = struct.pack(">BBxx4x8xIIII", SCSI_COMMAND, flags, self._tag, BLOCK, self._cmd_sn, self._exp_stat_sn)
        self._cmd_sn += 1
        await self._send(head + cdb, data)
        return self._tag

    async def _answer(self, tag):
        """Status and data, or sense, of the command with this tag. Pings are answered meanwhile."""
        read = b""
        while True:
            header, data = await self._receive()
            if header[0] == NOP_IN and _u32(header, 20) != NO_TAG:
                numbers = (NO_TAG, _u32(header, 20), self._cmd_sn, self._exp_stat_sn)
                await self._send(struct.pack(">BBxx4x8sIIII16x", 0x40 | NOP_OUT, 0x80, header[8:16], *numbers), b"")
                continue
            if _u32(header, 16) != tag:
                raise ConnectionError(f"an answer to task {_u32(header, 16)}, which is not under way")
            if header[0] == DATA_IN:
                read += data
                if not header[1] & 0x01:
                    continue
            self._exp_stat_sn = _u32(header, 24) + 1
            return header[3], read if header[0] == DATA_IN or not data else data

    async def log_out(self):
        """Say goodbye and close."""
        header = struct.pack(">BBxx4x8xIHxxII16x", LOGOUT, 0x80, NO_TAG - 1, 0, self._cmd_sn, self._exp_stat_sn)
        await self._send(header, b"")
        while (await self._receive())[0][0] != LOGOUT_RESPONSE:
            pass
        self.close()

    def close(self):
        """Close the connection."""
        self._writer.close()

    def give_up(self):
        """Break the connection: what TCP has not delivered yet, it must never deliver: it is sent again elsewhere."""
        self._writer.transport.abort()

    async def _send(self, header, data):
        padded = data + bytes(-len(data) % 4)
        self._writer.write(header[:4] + struct.pack(">I", len(data)) + header[8:] + padded)
        await self._writer.drain()

    async def _receive(self):
        header = await self._reader.readexactly(48)
        length = _u32(header, 4) & 0xFFFFFF
        data = await self._reader.readexactly(length + -length % 4)
        return bytes([header[0] & 0x3F]) + header[1:], data[:length]


def _u32(header, offset):
    return int.from_bytes(header[offset : offset + 4], "big")
