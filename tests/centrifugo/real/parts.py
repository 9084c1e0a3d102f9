# python3 parts.py ws://127.0.0.1:8000/connection/websocket; with wss:// any certificate is good.
# On one thread: the client of websockets.sync reads and writes on two, which Python's TLS does not bear before 3.12.8; one handshake in a thousand hangs.
import asyncio, json, ssl, sys
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

url = sys.argv[1]
anyone = ssl._create_unverified_context() if url.startswith("wss:") else None


def command(method, **params):
    return json.dumps({"uid": method, "method": method, "params": params})


async def publish_in_parts(name, **options):
    async with connect(url, ssl=anyone, **options) as page:
        print(f"{name}: {[extension.name for extension in page.protocol.extensions]}")
        await page.send(command("connect", user=name))
        await page.send(command("subscribe", channel=name))
        text = "the same words again, " * 2000
        message = command("publish", channel=name, data=text)
        await page.send(message[at : at + 7000] for at in range(0, len(message), 7000))
        while (said := json.loads(await page.recv())) and not (type(said) is dict and said["method"] == "message"):
            pass
        print(f"{name}: {'the same' if said['body']['data'] == text else 'something else'} came back")


async def main():
    await publish_in_parts("as it offers by itself")
    await publish_in_parts("with a small window", extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=12)])


asyncio.run(main())
