"""Membership tokens and dTelecom entries on the local chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from solders.keypair import Keypair
    from solders.pubkey import Pubkey
    from solders.system_program import CreateAccountParams, create_account
    from spl.token import instructions as spl
    from spl.token import models
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "depinmesh.testing.tokens needs more packages: pip install 'depinmesh[solana]'", name=error.name
    ) from error

from depinmesh.registry._solana_rules import (
    DTELECOM_PROGRAM,
    TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM,
    discriminator,
)

if TYPE_CHECKING:
    from depinmesh.identity import Wallet
    from depinmesh.testing.chain import LocalChain

_MINT_SIZE = 82
_NODE_SIZE = 334


class Token:
    """A token without decimals whose mint and freeze authority is the payer of the chain; all of it by transactions."""

    def __init__(self, chain: LocalChain, mint: Pubkey, program: Pubkey) -> None:
        self._chain = chain
        self._program = program
        self.mint = mint

    @classmethod
    async def create(cls, chain: LocalChain, *, token_2022: bool = False) -> Token:
        """Make a mint of SPL Token, or of Token-2022."""
        mint, program = Keypair(), TOKEN_2022_PROGRAM if token_2022 else TOKEN_PROGRAM
        payer = chain.payer.pubkey()
        lamports = chain.svm.minimum_balance_for_rent_exemption(_MINT_SIZE)
        account = CreateAccountParams(
            from_pubkey=payer, to_pubkey=mint.pubkey(), lamports=lamports, space=_MINT_SIZE, owner=program
        )
        params = models.InitializeMint2Params(
            decimals=0, program_id=program, mint=mint.pubkey(), mint_authority=payer, freeze_authority=payer
        )
        await chain.send([create_account(account), spl.initialize_mint2(params)], mint)
        return cls(chain, mint.pubkey(), program)

    async def give(self, wallet: Wallet, amount: int = 1) -> None:
        """Mint so many to a wallet."""
        owner, payer = _pubkey(wallet), self._chain.payer.pubkey()
        place = spl.create_idempotent_associated_token_account(payer, owner, self.mint, self._program)
        params = models.MintToParams(
            program_id=self._program, mint=self.mint, dest=self.account(wallet), mint_authority=payer, amount=amount
        )
        await self._chain.send([place, spl.mint_to(params)])

    async def move(self, source: Keypair, target: Wallet, amount: int = 1) -> None:
        """Transfer so many from the holder of a key to a wallet."""
        owner, payer = source.pubkey(), self._chain.payer.pubkey()
        place = spl.create_idempotent_associated_token_account(payer, _pubkey(target), self.mint, self._program)
        params = models.TransferCheckedParams(
            program_id=self._program,
            source=spl.get_associated_token_address(owner, self.mint, self._program),
            mint=self.mint,
            dest=self.account(target),
            owner=owner,
            amount=amount,
            decimals=0,
        )
        await self._chain.send([place, spl.transfer_checked(params)], source)

    async def freeze(self, wallet: Wallet) -> None:
        """Freeze what a wallet has."""
        params = models.FreezeAccountParams(
            program_id=self._program, account=self.account(wallet), mint=self.mint, authority=self._chain.payer.pubkey()
        )
        await self._chain.send([spl.freeze_account(params)])

    async def thaw(self, wallet: Wallet) -> None:
        """Let a wallet have it again."""
        params = models.ThawAccountParams(
            program_id=self._program, account=self.account(wallet), mint=self.mint, authority=self._chain.payer.pubkey()
        )
        await self._chain.send([spl.thaw_account(params)])

    def account(self, wallet: Wallet) -> Pubkey:
        """Return the token account of a wallet."""
        return spl.get_associated_token_address(_pubkey(wallet), self.mint, self._program)


class DTelecom:
    """A registry of dTelecom's program, whose entries are written as the program writes them."""

    def __init__(self, chain: LocalChain, registry: Pubkey | None = None) -> None:
        self._chain = chain
        self.registry = Pubkey.new_unique() if registry is None else registry

    async def set_node(
        self, wallet: Wallet, domain: str = "node.example", *, active: bool = True, owner: Pubkey = DTELECOM_PROGRAM
    ) -> None:
        """Write the entry of a node."""
        await self._chain.set_account(self.address(wallet), owner, self.node(wallet, domain, active=active))

    async def set_client(self, wallet: Wallet, until: int) -> None:
        """Write the entry of a client, listed until this Unix time."""
        data = discriminator("ClientEntry") + bytes(self.registry) + bytes(wallet)
        data += until.to_bytes(8, "little", signed=True) + (0).to_bytes(4, "little")
        await self._chain.set_account(self.address(wallet), DTELECOM_PROGRAM, data)

    async def remove(self, wallet: Wallet) -> None:
        """Close the entry of a node or client."""
        await self._chain.close_account(self.address(wallet))

    def node(self, wallet: Wallet, domain: str = "node.example", *, active: bool = True) -> bytes:
        """Return the data of a node's entry."""
        data = discriminator("NodeEntry") + bytes(self.registry) + bytes(wallet)
        data += len(domain).to_bytes(4, "little") + domain.encode() + (1).to_bytes(4, "little") + bytes([active])
        return data.ljust(_NODE_SIZE, b"\0")

    def address(self, wallet: Wallet) -> Pubkey:
        """Return the account of a wallet's entry."""
        return Pubkey.find_program_address([bytes(wallet), bytes(self.registry)], DTELECOM_PROGRAM)[0]


def _pubkey(wallet: Wallet) -> Pubkey:
    return Pubkey.from_bytes(bytes(wallet))
