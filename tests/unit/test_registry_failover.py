"""Several URLs of one registry: whatever the first one answers, the next has its turn."""

from __future__ import annotations

import pytest

from depinmesh import Keypair, RegistryError
from depinmesh.registry import HttpRegistry
from tests.webserver import status, web_server


@pytest.mark.parametrize(
    "location",
    ["https://c:PORT/", "https://c:99999/", "http://[bad", "http://cdn.example:99999/", "http://cdn.example:PORT/"],
)
async def test_a_redirect_to_no_url_is_a_failure_of_that_endpoint(location: str) -> None:
    listed = [str(Keypair.generate().wallet)]
    async with web_server([]) as first, web_server(listed) as second:
        first.fault = status(302, location=location)
        async with HttpRegistry([first.url, second.url], redirect_hosts="cdn.example") as registry:
            assert list((await registry.wallets()).wallets) == listed
        async with HttpRegistry(first.url, redirect_hosts="cdn.example") as registry:
            with pytest.raises(RegistryError, match=r"a redirect to no usable URL$"):
                await registry.wallets()


@pytest.mark.parametrize(
    "when",
    [
        "Wed, 21 Oct 2026 07:28:00 +9999",
        "Wed, 21 Oct 2026 07:28:00 +999999999999999999",
        "Wed, 21 Oct 99999999999999999999 07:28:00 GMT",
        "later",
    ],
)
async def test_a_time_to_come_back_that_is_none_is_ignored(when: str) -> None:
    listed = [str(Keypair.generate().wallet)]
    async with web_server([]) as first, web_server(listed) as second:
        first.fault = status(503, retry_after=when)
        async with HttpRegistry([first.url, second.url]) as registry:
            assert list((await registry.wallets()).wallets) == listed
            second.fault = status(500)
            with pytest.raises(RegistryError, match=r"HTTP 500; .* asked too often, rests for (1\.0|0\.\d) s"):
                await registry.wallets()
