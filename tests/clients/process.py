"""A process with a client: what its handlers see goes to standard output, as lines of JSON.

    python -m tests.clients.process COLOUR URL PATH STATE

It ends when its input does: it suspends the client, and prints its state.
"""

import asyncio
import dataclasses
import json
import sys
import time
from typing import Any

from tests.clients.drivers import Driver


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201 - that is what it is for


def say_packet(*args: Any) -> None:
    say(n=args)


async def main(colour: str, url: str, path: str, state: Any) -> None:
    driver = Driver(colour)

    async def hang_in_loop() -> None:
        say(hang=driver.client.export_state())
        await asyncio.sleep(3600)

    def hang_in_thread() -> None:
        say(hang=driver.client.export_state())
        time.sleep(3600)

    driver.client.on("connect", lambda: say(connect=dataclasses.asdict(driver.client.recovery())))
    driver.client.on("n", say_packet)
    driver.client.on("hang", hang_in_loop if driver.asynchronous else hang_in_thread)
    if state is not None:
        driver.client.import_state(state)
    await driver.connect(url, socketio_path=path)
    await asyncio.to_thread(sys.stdin.read)
    say(state=await driver.do("suspend"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
