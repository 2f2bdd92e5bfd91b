"""Run the simulated GitHub on a unix socket: `python -m trunkline.sim serve --root DIR`."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from trunkline.domain.errors import TrunklineError, UsageError
from trunkline.sim import pushes
from trunkline.sim.graph import engine
from trunkline.sim.server import Server
from trunkline.sim.world import World

SOCKET_BYTES = 107
"""Longest path of a unix socket on Linux, without its NUL (unix(7)); macOS allows 103."""


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; print one line when ready."""
    parser = argparse.ArgumentParser(prog="python -m trunkline.sim", description=__doc__)
    serve = parser.add_subparsers(dest="command", required=True).add_parser("serve", help="serve a world")
    serve.add_argument("--root", type=Path, required=True, help="the world's directory; made if it is not there")
    serve.add_argument("--socket", type=Path, help="where to listen; default: ROOT/s")
    options = parser.parse_args(argv)
    try:
        _serve(options.root.resolve(), options.socket or options.root.resolve() / "s")
    except TrunklineError as error:
        print(f"trunkline.sim: {error}", file=sys.stderr)  # noqa: T201 -- this is the program's face
        return int(error.code)
    return 0


class _Announced(uvicorn.Server):
    """A server that prints a line once it responds to requests and signals."""

    ready = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the line."""
        await super().startup(sockets)
        print(self.ready, flush=True)  # noqa: T201 -- this is the program's face


def _serve(root: Path, path: Path) -> None:
    world = World.load(root) if (root / "world.json").exists() else World.create(root)
    pushes.sync(world)
    for repository in world.state.repositories.values():
        pushes.adopt(world, repository)
    world.save()
    engine.schema()
    listener = _listen(path)
    server = _Announced(
        uvicorn.Config(Server(world), log_level="warning", lifespan="off", access_log=False, server_header=False)
    )
    server.ready = f"simulated GitHub in {root} listens on {path}"
    # uvicorn raises the signal again after its shutdown: without a handler it would skip `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.run(sockets=[listener])
    finally:
        path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    if len(str(path).encode()) > SOCKET_BYTES:
        raise UsageError(
            f"the socket's path is longer than {SOCKET_BYTES} bytes: {path}", next_command="--socket PATH"
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


if __name__ == "__main__":
    sys.exit(main())
