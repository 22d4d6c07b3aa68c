"""The native module by itself: secrets stay inside, names are public, errors have classes."""

from __future__ import annotations

import copy
import pickle

import pytest

import depinmesh
from depinmesh import _core, errors


def test_a_secret_key_shows_only_its_wallet() -> None:
    key = _core.SecretKey.from_seed(bytes(range(32)))
    assert repr(key) == f"SecretKey(wallet='{key.wallet}')"
    assert str(key) == repr(key)
    assert key.to_base58() not in repr(key)


def test_a_secret_key_is_neither_copied_nor_pickled() -> None:
    key = _core.SecretKey.generate()
    for escape in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="secret key"):
            escape(key)


def test_a_secret_key_survives_its_base58_text() -> None:
    key = _core.SecretKey.generate()
    again = _core.SecretKey.from_base58(key.to_base58())
    assert (again.wallet, again.peer_id) == (key.wallet, key.peer_id)


def test_wallets_and_peer_ids_are_two_texts_of_one_key() -> None:
    key = _core.SecretKey.generate()
    assert _core.peer_id_of(key.wallet) == key.peer_id
    assert _core.wallet_of(key.peer_id) == key.wallet
    assert _core.check_wallet(_core.wallet_bytes(key.wallet)) == key.wallet


def test_every_kind_of_error_has_a_class_of_its_own() -> None:
    classes = [type(errors.from_core(kind, "a sentence", {})) for kind in _core.ERROR_KINDS]
    assert all(issubclass(cls, errors.MeshError) for cls in classes)
    assert len(set(classes)) == len(_core.ERROR_KINDS)


def test_the_event_class_says_where_users_find_it() -> None:
    assert _core.Event.__module__ == "depinmesh"
    assert depinmesh.Event is _core.Event
    with pytest.raises(TypeError):
        _core.Event()


def test_this_build_lacks_no_defence() -> None:
    """`make test-defences` makes builds that do, and sees that they say so."""
    assert "without" not in _core.versions()


def test_versions_name_what_a_bug_report_needs() -> None:
    versions = _core.versions()
    assert {"depinmesh", "libp2p", "profile", "target"} <= versions.keys()
    assert versions["rustc"].startswith("rustc ")
