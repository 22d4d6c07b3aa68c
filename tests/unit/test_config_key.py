"""The key of a configuration: where it comes from, and that it is shown nowhere."""

import copy
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depinmesh import Config, ConfigError, Keypair
from tests.configs import KEY, SECRET, config, problems


@pytest.mark.parametrize("value", [KEY, SECRET, KEY.to_base58(), bytes(32)[:0] + bytes(range(32)) + bytes(KEY.wallet)])
def test_the_key_is_held_opaquely(value: object) -> None:
    """A private key of any form becomes a Keypair."""
    assert config(private_key=value).private_key == KEY
    assert type(config(private_key=value).private_key) is Keypair


def test_the_key_of_a_file(tmp_path: Path) -> None:
    """A key file is read once, when the configuration is made."""
    file = tmp_path / "key"
    file.write_text(SECRET)
    file.chmod(0o600)
    made = Config(key_file=file, authorized_wallets=[])
    file.unlink()
    assert made.private_key == KEY
    assert made.key_file == file


def test_a_bad_key_file_is_a_problem(tmp_path: Path) -> None:
    """What is wrong with a key file is told with the other problems."""
    file = tmp_path / "key"
    found = problems(private_key=None, key_file=str(file), database="")
    assert found.keys() == {"key_file", "database"}
    assert str(file) in found["key_file"].reason
    assert problems(private_key=None, key_file=5).keys() == {"key_file"}


@pytest.mark.parametrize(
    "fields", [{"private_key": None}, {"key_file": "/nowhere"}, {"private_key": None, "key_file": None}]
)
def test_one_source_of_the_key(fields: dict[str, Any]) -> None:
    """Exactly one of private_key and key_file is needed; None means not given."""
    found = problems(**fields)
    assert found.keys() == {"private_key"}
    assert found["private_key"].hint == "exactly one of private_key and key_file is needed"


SECRET_SPOTS: list[dict[str, Any]] = [
    {"private_key": SECRET[:-1]},
    {"private_key": [SECRET]},
    {"private_key": {"key": SECRET}},
    {"privatekey": SECRET},
    {"private-key": {"x": SECRET}},
    {"private_key": None, "key_file": SECRET},
    {"database": SECRET * 3},
    {"authorized_wallets": SECRET},
    {"bootstrap_nodes": [SECRET, f"{SECRET}@host", f"{KEY.wallet}@{SECRET}", f"/ip4/1.1.1.1/tcp/1/p2p/{SECRET}"]},
    {"listen": {"hosts": [SECRET], "announce": [SECRET], "quic_port": SECRET, SECRET[:20]: SECRET}},
    {"gate": {"revocation": SECRET, "timeout": SECRET}},
    {"gate": SECRET},
]


@pytest.mark.parametrize("fields", SECRET_SPOTS)
def test_secrets_are_never_shown(fields: dict[str, Any]) -> None:
    """A secret in a wrong place or of a wrong form is in no message, field, context or traceback."""
    with pytest.raises(ConfigError) as caught:
        config(**fields)
    error = caught.value
    text = "".join(traceback.format_exception(error)) + repr(error.errors) + repr(error.args)
    assert SECRET[20:60] not in text
    assert error.__context__ is None
    assert error.__cause__ is None


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["database", "authorized_wallets", "gate", "colour"]))
def test_no_secret_is_ever_shown(seed: bytes, field: str) -> None:
    """Whatever the secret, an error about the field that got it does not have it."""
    secret = Keypair.from_seed(seed).to_base58()
    assert secret not in repr(problems(**{field: secret + "!" * 128}))


def test_repr_and_dumps_have_no_secret() -> None:
    """Neither repr nor any dump of a configuration has the secret."""
    made = config()
    for text in (repr(made), str(made), repr(made.model_dump()), made.model_dump_json(), repr(vars(made))):
        assert SECRET not in text


@pytest.mark.parametrize("spread", [copy.deepcopy, pickle.dumps])
def test_a_configuration_with_a_key_is_not_pickled(spread: Any) -> None:
    """What would spread the secret is refused; a shallow copy shares the key."""
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        spread(config())
    assert copy.copy(config()).private_key == KEY
