"""What a store's line may have between the PC and HQ, as one program within a booted system: `line.py HUB_PORT CERTIFICATE KEY`.

A name server that knows hq.store.test, by IPv6 alone; TLS in front of the hub, at [::1]:8443; a proxy that wants a password, at
127.0.0.1:3128. Each prints a line when it is used.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

NAME = b"\x02hq\x05store\x04test\x00"
AAAA = 28
LOOPBACK = bytes(15) + b"\x01"
PASSWORD = "Proxy-Authorization: Basic bGFuZTE3OnMzY3IzdA=="
"""lane17:s3cr3t"""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class NameServer(asyncio.DatagramProtocol):
    """Answers with ::1, or that there is no address of that family."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\x00", 12) + 1
        question, kind = data[12 : end + 4], int.from_bytes(data[end : end + 2], "big")
        known = data[12:end].lower() == NAME
        answer = b"\xc0\x0c" + question[-4:] + (60).to_bytes(4, "big") + b"\x00\x10" + LOOPBACK if known and kind == AAAA else b""
        flags = b"\x81\x80" if known else b"\x81\x83"
        self._transport.sendto(data[:2] + flags + b"\x00\x01" + bytes([0, bool(answer), 0, 0, 0, 0]) + question + answer, addr)
        if answer:
            say("the name was asked for")


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Hand everything on, both ways, until one side ends."""
    try:
        there, back = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(hand_on(reader, back), hand_on(there, writer))


async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()


async def main(hub_port: int, certificate: str, key: str) -> None:
    async def encrypted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say("TLS over IPv6")
        await join(reader, writer, "127.0.0.1", hub_port)

    async def proxied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        say(f"by the proxy: {head.partition(chr(13))[0]}")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n" if PASSWORD in head else b"HTTP/1.1 407 Password\r\n\r\n")
        await join(reader, writer, "::1", 8443)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 53))
    await asyncio.start_server(encrypted, "::1", 8443, ssl=context)
    await asyncio.start_server(proxied, "127.0.0.1", 3128)
    say("ready")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
