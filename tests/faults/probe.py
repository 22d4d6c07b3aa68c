"""A UDP socket that sends what it is told to, and tells what it hears: JSON lines, as tests/program.py drives them."""

import json
import socket
import sys
import threading


def listen(udp: socket.socket) -> None:
    """Tell of each packet, and where it came from."""
    while True:
        data, (host, port) = udp.recvfrom(1500)
        print(json.dumps({"event": "heard", "text": data.decode(), "host": host, "port": port}), flush=True)


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], int(sys.argv[2])))
threading.Thread(target=listen, args=(udp,), daemon=True).start()
print(json.dumps({"event": "started"}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    udp.sendto(command["text"].encode(), (command["host"], command["port"]))
    print(json.dumps({"event": "sent"}), flush=True)
