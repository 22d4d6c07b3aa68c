"""Keywords over a configuration."""

import logging
from pathlib import Path

import pytest

from depinmesh import Config, ConfigError, Gate, Keypair, Listen
from depinmesh.config import ConfigFields, merged
from tests.configs import KEY, config


def test_keywords_are_the_fields() -> None:
    """What connect() and Node() take as keywords are the fields of Config."""
    assert ConfigFields.__annotations__.keys() == Config.model_fields.keys()


def test_merged_with_nothing() -> None:
    """A configuration without keywords is taken as it is, keywords without one make one."""
    made = config()
    assert merged(made, {}) is made
    assert merged(None, {"private_key": KEY, "authorized_wallets": []}) == made


def test_merged_field_by_field() -> None:
    """Keywords win over a configuration; a mapping changes fields of a group, an object replaces the group."""
    kept = logging.getLogger("kept")
    below = config(database="a", logger=kept, listen={"quic_port": 1}, gate={"timeout": 3})
    above: ConfigFields = {"database": "b", "listen": {"tcp_port": 2}, "gate": Gate(min_interval=5), "pubsub": {}}
    made = merged(below, above)
    assert (made.database, made.logger) == ("b", kept)
    assert made.listen == Listen(quic_port=1, tcp_port=2)
    assert made.gate == Gate(min_interval=5)
    assert below.database == "a"


@pytest.mark.parametrize("wrong", ["node.yaml", Path("node.yaml"), {"private_key": KEY}, Keypair.generate()])
@pytest.mark.parametrize("fields", [{}, {"database": "b"}])
def test_what_is_no_configuration_is_refused_without_being_shown(wrong: object, fields: ConfigFields) -> None:
    with pytest.raises(ConfigError, match=r"config: is no Config but of the class .*Config\.load") as caught:
        merged(wrong, fields)
    assert str(KEY) not in str(caught.value)


def test_merged_keys(tmp_path: Path) -> None:
    """The key of the keywords wins over the key of the configuration, in either form; None is not a key."""
    other = Keypair.generate()
    file = tmp_path / "key"
    file.write_text(other.to_base58())
    file.chmod(0o600)
    of_file = merged(config(), {"key_file": file})
    assert (of_file.private_key, of_file.key_file) == (other, file)
    file.unlink()  # it was read once
    more = merged(of_file, {"database": "b"})
    assert (more.private_key, more.key_file, more.database) == (other, file, "b")
    assert merged(more, {"database": "c"}).key_file == file
    of_key = merged(of_file, {"private_key": KEY})
    assert (of_key.private_key, of_key.key_file) == (KEY, None)
    assert merged(config(), {"key_file": None, "database": "b"}).private_key == KEY


def test_merged_problems() -> None:
    """Wrong keywords are reported like wrong fields."""
    with pytest.raises(ConfigError, match="did you mean database"):
        merged(config(), {"databse": "x"})  # type: ignore[typeddict-unknown-key]
