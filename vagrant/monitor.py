#!/usr/bin/env python3
"""One command to QEMU's monitor, and its answer.

    monitor.py SOCKET COMMAND
"""

import socket
import sys

PROMPT = b"(qemu)"


def answer(monitor: socket.socket) -> bytes:
    text = b""
    while not text.rstrip().endswith(PROMPT):
        part = monitor.recv(65536)
        if not part:
            break
        text += part
    return text


def main() -> None:
    path, command = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(300)
        monitor.connect(path)
        answer(monitor)
        monitor.sendall(command.encode() + b"\n")
        lines = answer(monitor).decode(errors="replace").splitlines()[1:-1]
    print("\n".join(lines), end="\n" if lines else "")
    if any("Error" in line for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    main()
