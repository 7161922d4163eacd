"""The toy initiator on a real array, in virtual time, and under seeds; and a mistake that the seeds find."""

import asyncio
from random import Random

import pytest
from toy_initiator import Disk, LoginRefused, Session

NAME = "iqn.2003-01.org.example:toy"
BLOCK = bytes(range(256)) * 2


# -- on real TCP, in real time -----------------------------------------------------------------------------------------


def test_what_it_writes_stands_on_the_medium(iscsi_array):
    async def main():
        disk = Disk(iscsi_array.address, iscsi_array.targets["disk"], NAME)
        await disk.write_block(7, BLOCK)
        assert await disk.read_block(7) == BLOCK
        await disk.close()

    asyncio.run(main())

    assert iscsi_array.read_medium("disk", 6, 3) == bytes(512) + BLOCK + bytes(512)
    assert iscsi_array.connections() == ()


def test_a_redirect_leads_past_a_portal_that_is_down(iscsi_array):
    async def portal_of_a_session():
        session = await Session.log_in(iscsi_array.address, iscsi_array.targets["disk"], NAME)
        assert [one.portal for one in iscsi_array.connections()] == [session.portal]
        await session.log_out()
        return session.portal

    with iscsi_array.fault("portal_down", portal=iscsi_array.portals[0]):
        assert asyncio.run(portal_of_a_session()) in iscsi_array.portals[1:]


def test_a_session_that_is_dropped_is_made_again(iscsi_array):
    async def main():
        disk = Disk(iscsi_array.address, iscsi_array.targets["disk"], NAME)
        await disk.write_block(0, BLOCK)
        assert iscsi_array.drop_connections() == 1
        assert await disk.read_block(0) == BLOCK
        await disk.close()

    asyncio.run(main())


def test_a_target_that_is_not_there_is_refused(iscsi_array):
    with pytest.raises(LoginRefused, match="0203"):
        asyncio.run(Session.log_in(iscsi_array.address, "iqn.2003-01.org.example:nothing", NAME))


# -- in virtual time ---------------------------------------------------------------------------------------------------


def test_an_array_that_is_dead_for_five_seconds_is_waited_for(mpio_lab):
    async def main():
        disk = Disk(mpio_lab.address, mpio_lab.targets["disk"], mpio_lab.initiator_name)
        await disk.write_block(0, BLOCK)
        await mpio_lab.step("fault", kind="array_kill", name="crash")
        reading = asyncio.create_task(disk.read_block(0))
        await asyncio.sleep(5)
        assert not reading.done()
        await mpio_lab.step("heal", name="crash")
        assert await reading == BLOCK
        await disk.close()

    mpio_lab.run(main())

    assert 5 < mpio_lab.now_s < 20


async def write_while_a_cable_is_out(lab, disk, seed):
    """Two hundred writes, and a cable that is out for a while. What was acknowledged has to be there."""
    random = Random(seed)
    acknowledged = {}

    async def pull_the_cable():
        await asyncio.sleep(random.uniform(0.1, 1.5))
        async with lab.fault("link_down", nic="host/a"):
            await asyncio.sleep(random.uniform(1, 5))

    pulling = asyncio.create_task(pull_the_cable())
    for number in range(200):
        lba, block = random.randrange(1000), number.to_bytes(4, "big") * 128
        await disk.write_block(lba, block)
        acknowledged[lba] = block
        await asyncio.sleep(0.01)
    await pulling
    await disk.close()
    lost = [lba for lba, block in acknowledged.items() if lab.read_medium("disk", lba) != block]
    assert lost == [], "acknowledged, and not on the medium"


def test_what_was_acknowledged_is_there(mpio_lab, mpio_seed):
    disk = Disk(mpio_lab.address, mpio_lab.targets["disk"], mpio_lab.initiator_name)

    mpio_lab.run(write_while_a_cable_is_out(mpio_lab, disk, mpio_seed))


# -- a mistake, planted ------------------------------------------------------------------------------------------------


class ForgetfulDisk(Disk):
    """It logs in again when a session is lost, and does not repeat the write that was under way."""

    async def write_block(self, lba, data):
        async def write_once(session):
            try:
                await session.write_block(lba, data)
            except ConnectionError:
                session.give_up()
                self._session = None

        await self._repeat(write_once)


def finds(lab, seed):
    disk = ForgetfulDisk(lab.address, lab.targets["disk"], lab.initiator_name)
    try:
        lab.run(write_while_a_cable_is_out(lab, disk, seed))
    except AssertionError as error:
        return "acknowledged, and not on the medium" in str(error)
    return False


def test_ten_seeds_find_a_disk_that_forgets(mpio_lab):
    assert any(finds(mpio_lab, seed) for seed in range(10))
