"""The layer of the environment: `DEPINMESH_GATE__TIMEOUT=5s` is the option `gate.timeout`."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from depinmesh._loading.layers import Given, Layer

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "DEPINMESH_"
_NESTED = "__"

# Kubernetes sets these in every pod of a namespace that has a service whose name begins with ours.
_OF_A_SERVICE = re.compile(r"DEPINMESH_(?!\w*__)(\w+_)?(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)")


def environment_layer(environment: Mapping[str, str] | None = None) -> Layer:
    """Return what the environment says, as text. Names of options are in upper case."""
    return {
        tuple(name.removeprefix(PREFIX).lower().split(_NESTED)): Given(text, name)
        for name, text in (os.environ if environment is None else environment).items()
        if name.startswith(PREFIX) and not _OF_A_SERVICE.fullmatch(name)
    }


def variable_of(path: str) -> str:
    """Return the name of the variable for a dotted path."""
    return PREFIX + path.replace(".", _NESTED).upper()
