"""What a `SolanaRegistry` is told to read, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from solders.pubkey import Pubkey

from depinmesh.errors import ConfigError, ConfigProblem, shown
from depinmesh.registry._solana_rules import DTELECOM_PROGRAM, DTelecomRule, TokenRule

if TYPE_CHECKING:
    from depinmesh.registry._solana_rules import Rule

_KINDS = {"nodes": (True, False), "clients": (False, True), "both": (True, True)}
_OF_A_RULE = ("minimum", "data_slice", "queries", "decode", "addresses")


def rule_of(
    registry: str | None, entries: str, program: str | None, mint: str | None, minimum: int, rule: Rule | None
) -> Rule:
    """Return the rule that is given, or made of the other arguments.

    Raises:
        ConfigError: There is none, or more than one, or an argument that would have no effect, or that is no address.
        ValueError: The minimum is not above 0.
    """
    if problems := _problems(registry, entries, program, mint, minimum, rule):
        raise ConfigError.of(problems)
    if rule is not None:
        return rule
    if mint is not None:
        if minimum < 1:
            raise ValueError("minimum must be above 0")
        return TokenRule(_address("mint", mint), minimum)
    nodes, clients = _KINDS[entries]
    owner = DTELECOM_PROGRAM if program is None else _address("program", program)
    return DTelecomRule(_address("registry", str(registry)), owner, nodes, clients)


def _problems(
    registry: object, entries: str, program: object, mint: object, minimum: int, rule: object
) -> list[ConfigProblem]:
    found = []
    if sum(given is not None for given in (registry, mint, rule)) != 1:
        found.append(ConfigProblem("", None, "exactly one of registry, mint and rule is needed", None))
    else:
        if registry is None and entries != "nodes":
            found.append(ConfigProblem("entries", shown(entries), "belongs to registry, which is not given", None))
        if registry is None and program is not None:
            found.append(ConfigProblem("program", shown(program), "belongs to registry, which is not given", None))
        if mint is None and minimum != 1:
            found.append(ConfigProblem("minimum", shown(minimum), "belongs to mint, which is not given", None))
    if registry is not None and entries not in _KINDS:
        hint = f"known: {', '.join(_KINDS)}"
        found.append(ConfigProblem("entries", shown(entries), "is no kind of entries", hint))
    if rule is not None and (isinstance(rule, type) or not all(hasattr(rule, name) for name in _OF_A_RULE)):
        found.append(ConfigProblem("rule", shown(rule), "is no rule", f"an object with {', '.join(_OF_A_RULE)}"))
    return found


def _address(name: str, text: str) -> Any:
    try:
        return Pubkey.from_string(text)
    except (ValueError, TypeError):
        problem = ConfigProblem(name, shown(text), "is no address on Solana", "32 bytes as Base58")
        raise ConfigError.of([problem]) from None
