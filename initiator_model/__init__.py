"""The host: sessions, paths, the device-specific module, its policies, and the MPIO disk on top.

Modeled on Windows with the Microsoft iSCSI initiator. Everything that decides is pure; the few driver files
(`connector`, `link`, `login_chain`, `live_connection`, `session`, `discovery`, `host` and what they call, and the
awaitables of `disk`) need an asyncio loop, any asyncio loop.
"""
