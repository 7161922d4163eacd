import pytest

from target.identity import parse_volume_iqn, volume_identity


def test_names_have_the_shape_of_an_equallogic_group() -> None:
    identity = volume_identity("PS100", "exchange-logs")
    parts = parse_volume_iqn(identity.iqn)
    assert parts is not None
    assert parts.family == "8a0906"
    assert parts.volume == "exchange-logs"
    assert identity.naa.hex() == f"6090a08{parts.high}{parts.low}"
    assert identity.serial == identity.naa.hex().upper()


def test_the_same_configuration_gives_the_same_disk() -> None:
    assert volume_identity("PS100", "a") == volume_identity("PS100", "a")
    assert volume_identity("PS100", "a").iqn == ("iqn.2001-05.com.equallogic:0-8a0906-3ca6ad8a8-f19be7ed0f56d963-a")


def test_volumes_and_groups_do_not_share_names() -> None:
    identities = [volume_identity(group, volume) for group in ("g1", "g2") for volume in ("a", "b")]
    assert len({identity.naa for identity in identities}) == 4
    assert len({identity.iqn for identity in identities}) == 4


def test_a_name_from_a_real_group_is_taken_apart() -> None:
    parts = parse_volume_iqn("iqn.2001-05.com.equallogic:0-8a0906-83bcb3401-16e0002fd0a46f3d-rhel5-test")
    assert parts is not None
    assert (parts.high, parts.low, parts.volume) == ("83bcb3401", "16e0002fd0a46f3d", "rhel5-test")


def test_other_names_are_not_taken_for_volumes() -> None:
    assert parse_volume_iqn("iqn.1991-05.com.microsoft:w2k3") is None


@pytest.mark.parametrize("name", ["", "Upper", "two words", "-a", "a-", "a_b", "naïve", "x" * 200])
def test_volume_names_an_iqn_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="volume name"):
        volume_identity("g", name)
