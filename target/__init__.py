"""The array: a group address, its portals, the redirect between them, sessions, and disks behind them.

Usable alone on a stock asyncio loop: `target.server.ArrayServer` over a `target.group.Group`.
"""
