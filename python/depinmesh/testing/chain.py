"""A Solana chain inside the test process: accounts, real transactions, JSON-RPC and WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

try:
    from solana.rpc.async_api import AsyncClient
    from solders.account import Account
    from solders.keypair import Keypair
    from solders.litesvm import LiteSVM
    from solders.message import MessageV0
    from solders.pubkey import Pubkey
    from solders.transaction import VersionedTransaction
    from solders.transaction_metadata import FailedTransactionMetadata
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "depinmesh.testing.chain needs more packages: pip install 'depinmesh[solana]'", name=error.name
    ) from error

from depinmesh.testing._rpc import METHODS, RpcError, account_json, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from solders.instruction import Instruction
    from websockets.asyncio.server import ServerConnection

_LAMPORTS = 10**12
_GOODBYE = 2.0
_SYSTEM_PROGRAM = Pubkey.default()


class LocalChain:
    """A chain of one validator (LiteSVM) behind JSON-RPC and WebSocket on loopback. Extra `solana`.

        async with LocalChain() as chain:
            registry = SolanaRegistry(chain.url, websocket=chain.websocket_url, mint=...)

    The programs of SPL Token, Token-2022 and associated accounts are there, and run what is sent. Each transaction, and
    each account that is set, is a slot of its own, which is final at once. It belongs to the event loop it was entered
    in.
    """

    def __init__(self) -> None:
        self.svm = LiteSVM()
        self.payer = Keypair()
        """Pays for all transactions of `send`."""
        self.fault: str | int | None = None
        """What requests get for an answer: an HTTP status, `hang`, `drip`, `reset`, or any other text as the body."""
        self.error: tuple[int, str] | None = None
        """What calls get in place of a result: code and message of a JSON-RPC error."""
        self.calls: list[str] = []
        """The method of each call so far."""
        self.deaf = False
        """Whether notifications are lost."""
        self._stack = AsyncExitStack()
        self._port = self._websocket_port = 0
        self._subscriptions: dict[int, tuple[ServerConnection, Pubkey, dict[str, Any]]] = {}
        self._next_subscription = 1
        self._closing = asyncio.Event()
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._client: AsyncClient | None = None

    @property
    def url(self) -> str:
        """URL of the JSON-RPC endpoint."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def websocket_url(self) -> str:
        """URL of the WebSocket endpoint."""
        return f"ws://127.0.0.1:{self._websocket_port}"

    @property
    def slot(self) -> int:
        """The last slot."""
        return self.svm.get_clock().slot

    @property
    def subscribers(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    async def __aenter__(self) -> Self:
        """Start both endpoints."""
        self.svm.airdrop(self.payer.pubkey(), _LAMPORTS)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._stack.callback(server.close)
        self._port = server.sockets[0].getsockname()[1]
        websockets = await self._stack.enter_async_context(serve(self._listen, "127.0.0.1", 0))
        self._websocket_port = next(iter(websockets.sockets)).getsockname()[1]
        self._client = await self._stack.enter_async_context(AsyncClient(self.url))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop them."""
        self._closing.set()
        for writer in self._connections.values():
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(self._connections, timeout=_GOODBYE)
        await self._stack.aclose()

    async def send(self, instructions: Iterable[Instruction], *signers: Keypair) -> None:
        """Send one transaction, paid by `payer`, through the client of the package `solana`, and see it confirmed."""
        assert self._client is not None
        blockhash = (await self._client.get_latest_blockhash()).value.blockhash
        message = MessageV0.try_compile(self.payer.pubkey(), list(instructions), [], blockhash)
        await self._client.send_transaction(VersionedTransaction(message, [self.payer, *signers]))

    async def set_account(self, address: Pubkey, owner: Pubkey, data: bytes, *, lamports: int = 10**9) -> None:
        """Make an account what it is from now on, as a program would."""
        before = self.svm.get_account(address)
        self.svm.set_account(address, Account(lamports, data, owner))
        await self._next_slot({address: before})

    async def close_account(self, address: Pubkey) -> None:
        """Remove an account. As on a real chain, who subscribed to its program hears nothing of it."""
        self.svm.set_account(address, Account(0, b"", _SYSTEM_PROGRAM))
        await self._next_slot({})

    def go_back(self, slots: int) -> None:
        """Make the slot lower, as that of an endpoint that is behind."""
        clock = self.svm.get_clock()
        clock.slot = clock.slot - slots
        self.svm.set_clock(clock)

    async def drop_websockets(self) -> None:
        """Break all WebSocket connections."""
        connections = {connection for connection, _, _ in self._subscriptions.values()}
        for connection in connections:
            connection.transport.abort()

    async def execute(self, transaction: VersionedTransaction) -> str:
        """Run a transaction and notify of what it changed; for the JSON-RPC methods."""
        addresses = transaction.message.account_keys
        before = {address: self.svm.get_account(address) for address in addresses}
        result = self.svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            raise RpcError(-32002, f"Transaction simulation failed: {result.err()}")
        await self._next_slot(before)
        return str(result.signature())

    async def _next_slot(self, before: dict[Pubkey, Account | None]) -> None:
        self.svm.warp_to_slot(self.slot + 1)
        self.svm.expire_blockhash()
        if self.deaf:
            return
        for address, old in before.items():
            account = self.svm.get_account(address)
            if account is not None and account != old:
                await self._notify(address, account)

    async def _notify(self, address: Pubkey, account: Account) -> None:
        for subscription, (connection, program, options) in list(self._subscriptions.items()):
            if account.owner != program or not matches(account, options):
                continue
            value = {"pubkey": str(address), "account": account_json(account, options)}
            result = {"context": {"slot": self.slot}, "value": value}
            params = {"result": result, "subscription": subscription}
            note = {"jsonrpc": "2.0", "method": "programNotification", "params": params}
            with contextlib.suppress(ConnectionClosed):
                await connection.send(json.dumps(note))

    async def _listen(self, connection: ServerConnection) -> None:
        try:
            async for text in connection:
                request = json.loads(text)
                self.calls.append(request["method"])
                answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
                if request["method"] == "programSubscribe":
                    program, options = [*request["params"], {}][:2]
                    answer["result"] = self._next_subscription
                    self._subscriptions[self._next_subscription] = (connection, Pubkey.from_string(program), options)
                    self._next_subscription += 1
                elif request["method"] == "programUnsubscribe":
                    answer["result"] = self._subscriptions.pop(request["params"][0], None) is not None
                else:
                    answer["error"] = {"code": -32601, "message": "Method not found"}
                await connection.send(json.dumps(answer))
        except ConnectionClosed:
            pass
        finally:
            mine = [number for number, one in self._subscriptions.items() if one[0] is connection]
            for number in mine:
                del self._subscriptions[number]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            await self._answer(json.loads(await reader.readexactly(length)), writer)
        writer.close()
        del self._connections[task]

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.calls.append(request["method"])
        if self.fault == "reset":
            writer.transport.abort()
        elif self.fault == "hang":
            await self._closing.wait()
        elif self.fault == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n{")
            while not self._closing.is_set():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
        elif isinstance(self.fault, int):
            _reply(writer, self.fault, b"")
        elif self.fault is not None:
            _reply(writer, 200, self.fault.encode())
        else:
            _reply(writer, 200, json.dumps(await self._called(request)).encode())
        await writer.drain()

    async def _called(self, request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
        method = METHODS.get(request["method"])
        if self.error is not None or method is None:
            code, message = self.error or (-32601, "Method not found")
            return {**answer, "error": {"code": code, "message": message}}
        try:
            return {**answer, "result": await method(self, *request.get("params", []))}
        except RpcError as error:
            return {**answer, "error": {"code": error.code, "message": str(error)}}


def _reply(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
