"""The world in virtual time: an asyncio loop over SimPy, a network, and its faults. Knows nothing of iSCSI."""
