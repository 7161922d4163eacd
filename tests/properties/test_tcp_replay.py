"""The same seed gives the same segments in any process: with faults, loss of carrier, timers and many connections."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import asyncio, hashlib, sys
from sim.faults import Blackhole, HostReboot, Latency, LinkDown, PortalDown
from sim.rng import stream
from tests.unit.sim.net.bench import NIC_A, NIC_B, PORTAL_1, PORTAL_2, Bench, Peer

seed = int(sys.argv[1])
padding = [object() for _ in range(int(sys.argv[2]))]  # other addresses for everything that follows
bench = Bench("windows-2003", seed)
digest = hashlib.sha256()

def log(r):
    facts = (r.time_ns, r.nic, r.src, r.dst, r.flags, r.seq, r.ack, r.window, r.sack, r.timestamps)
    digest.update(repr(facts).encode())
    digest.update(r.payload)

bench.network.observe(log)

class Echo(Peer):
    def data_received(self, data):
        self.transport.write(data[::-1])

async def client(number):
    draws = stream(seed, f"client {number}")
    for _ in range(6):
        source, portal = draws.pick([NIC_A, NIC_B]), draws.pick([PORTAL_1, PORTAL_2])
        try:
            async with asyncio.timeout(draws.between(1, 10)):
                _, peer = await bench.loop.create_connection(Peer, portal, 3260, local_addr=(source, 0))
                for _ in range(draws.between(1, 8)):
                    peer.transport.write(draws.bytes(draws.between(1, 60_000)))
                    await asyncio.sleep(draws.random())
                peer.transport.close()
        except OSError as error:
            digest.update(type(error).__name__.encode())

async def trouble():
    draws = stream(seed, "trouble")
    faults = [Blackhole(bench.nic_a), LinkDown(bench.nic_b), Latency(bench.eth0, 100_000),
              PortalDown(bench.eth1, PORTAL_2), HostReboot(bench.array)]
    for _ in range(8):
        fault = draws.pick(faults)
        await asyncio.sleep(draws.random() * 3)
        fault.apply()
        await asyncio.sleep(draws.random() * 3)
        fault.heal()

async def main():
    await bench.loop.create_server(Echo, (PORTAL_1, PORTAL_2), 3260)
    await asyncio.gather(trouble(), *(client(number) for number in range(6)))
    await asyncio.sleep(60)

bench.run(main())
print(digest.hexdigest(), bench.loop.now_ns)
"""


def run(seed: int, hash_seed: int, padding: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seed), str(padding)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return done.stdout


def test_a_seed_gives_the_same_segments_in_every_process() -> None:
    first = run(seed=1, hash_seed=0, padding=0)
    assert run(seed=1, hash_seed=4_711, padding=12_345) == first
    assert run(seed=2, hash_seed=0, padding=0) != first
