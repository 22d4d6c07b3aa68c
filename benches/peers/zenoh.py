"""zenoh with a signature: a pair of zenoh-python peers over mutual TLS or QUIC, each event signed with Ed25519.

Without the signature zenoh does not do what depinmesh does: nobody could tell who wrote an event. libsodium signs and
verifies, as it is the fastest that Python has.
"""

from __future__ import annotations

import json
import threading
from importlib.metadata import version
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import zenoh

from benches.peers.signed import AUTHOR, Signer, credentials
from benches.support.peer import LOOK, Credit, Events, Received, Usage, Window, free_port, on_schedule, options, say

if TYPE_CHECKING:
    from argparse import Namespace

KEY = "bench/events"


def session(given: Namespace, *, listen: str = "", to: str = "") -> zenoh.Session:
    """Open a session that finds nobody by itself."""
    authority, certificate, key = (str(path) for path in credentials(Path(given.credit).parent))
    tls = {
        "root_ca_certificate": authority,
        "enable_mtls": True,
        "verify_name_on_connect": False,
        **{f"{side}_certificate": certificate for side in ("listen", "connect")},
        **{f"{side}_private_key": key for side in ("listen", "connect")},
    }
    config = zenoh.Config()
    for path, value in {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "listen/endpoints": [listen] if listen else [],
        "connect/endpoints": [to] if to else [],
        "transport/link/tls": tls,
    }.items():
        config.insert_json5(path, json.dumps(value))
    return zenoh.open(config)


def receive(given: Namespace) -> None:
    """Verify and decode each event in the callback, and tell how far it is."""
    received = Received(Credit(given.credit), given.count, given.warmup, latency=given.latency)
    signer, ended = Signer(), threading.Event()

    def take(sample: zenoh.Sample) -> None:
        event = json.loads(signer.verified(bytes(sample.payload)))
        if received.add(event["message"]["t"]):
            ended.set()

    address = f"{'quic' if given.transport == 'quic' else 'tls'}/127.0.0.1:{free_port()}"
    with session(given, listen=address) as opened:
        subscriber = opened.declare_subscriber(KEY, take)
        say("listening", address=address, versions={name: version(name) for name in ("eclipse-zenoh", "pynacl")})
        ended.wait()
        received.say()
        sleep(given.linger)
        subscriber.undeclare()


def send(given: Namespace) -> None:
    """Sign and put each event, as fast as the window allows or on a schedule."""
    began = monotonic()
    with session(given, to=given.address) as opened:
        block = zenoh.CongestionControl.BLOCK
        publisher = opened.declare_publisher(KEY, congestion_control=block, express=bool(given.rate))
        while not publisher.matching_status.matching:
            sleep(LOOK)
        say("connected", ms=(monotonic() - began) * 1e3)
        signer, events = Signer(), Events(AUTHOR, given.size)
        window = Window(Credit(given.credit), given.window)

        def put(due: int) -> None:
            publisher.put(signer.signed(events.event(window.sent, due)))
            window.sent += 1

        def fast(total: int) -> None:
            while (room := window.room(total)) is not None:
                for _ in range(room):
                    put(0)
                if room == 0:
                    sleep(LOOK)

        fast(given.warmup)
        usage = Usage()
        if given.rate:
            on_schedule(given.rate, given.seconds, put)
            fast(window.sent)
        else:
            fast(given.warmup + given.count)
        say("sent", **usage.until_now(window.sent - given.warmup))
        sleep(given.linger)


if __name__ == "__main__":
    arguments = options()
    {"recv": receive, "send": send}[arguments.role](arguments)
