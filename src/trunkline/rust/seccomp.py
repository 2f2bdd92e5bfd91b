"""Build the sandbox's system call filter, a classic BPF program (seccomp(2), linux/bpf_common.h).

Namespaces do not isolate everything: kernel keyrings, vsock, io_uring (whose operations no filter
sees) and new user namespaces could be used to escape. A filtered call fails with an error; the
process is not killed.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data; low halves of the arguments
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_X32 = 0x40000000
_NEW_USER_NAMESPACE = 0x10000000
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; not AF_VSOCK, which no namespace isolates
_PUSH_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: insert input into the terminal


@dataclass(frozen=True)
class _Machine:
    """System call numbers of one architecture.

    Attributes:
        audit: its AUDIT_ARCH_ constant (linux/audit.h).
        denied: add_key request_key keyctl, mount umount2 pivot_root, unshare setns, bpf
            perf_event_open userfaultfd, open_by_handle_at kexec_load.
        clone: clone(2).
        socket: socket(2).
        ioctl: ioctl(2).
    """

    audit: int
    denied: tuple[int, ...]
    clone: int
    socket: int
    ioctl: int


_MACHINES = {
    "x86_64": _Machine(
        0xC000003E, (248, 249, 250, 165, 166, 155, 272, 308, 321, 298, 323, 304, 246), clone=56, socket=41, ioctl=16
    ),
    "aarch64": _Machine(
        0xC00000B7, (217, 218, 219, 40, 39, 41, 97, 268, 280, 241, 282, 265, 104), clone=220, socket=198, ioctl=29
    ),
}
_DENIED_EVERYWHERE = (
    428,
    429,
    430,
    431,
    432,
    433,
    442,
)  # open_tree .. fspick, mount_setattr: the same number on every architecture since 5.1
_ABSENT = (425, 426, 427, 435)  # io_uring_*, clone3: programs fall back to older calls


def program(machine: str = "") -> bytes:
    """Return the filter for an architecture; b"": its system call numbers are not known.

    Args:
        machine: as `platform.machine` names it; "": this machine.
    """
    numbers = _MACHINES.get(machine or platform.machine())
    return b"" if numbers is None else b"".join(_instructions(numbers))


def _instructions(machine: _Machine) -> Iterator[bytes]:
    yield _step(_LOAD, _ARCHITECTURE)
    yield from _unless(_EQUAL, machine.audit, errno.ENOSYS)  # another ABI has other numbers
    yield _step(_LOAD, _NUMBER)
    yield from _when(_AT_LEAST, _X32, errno.ENOSYS)
    for number in (*machine.denied, *_DENIED_EVERYWHERE):
        yield from _when(_EQUAL, number, errno.EPERM)
    for number in _ABSENT:
        yield from _when(_EQUAL, number, errno.ENOSYS)
    yield from _argument(machine.clone, _FIRST, [*_when(_ANY_BIT, _NEW_USER_NAMESPACE, errno.EPERM)])
    ours = [_step(_EQUAL, family, len(_FAMILIES) - at) for at, family in enumerate(_FAMILIES)]
    yield from _argument(machine.socket, _FIRST, [*ours, _step(_RETURN, _ERROR | errno.EAFNOSUPPORT)])
    yield from _argument(
        machine.ioctl, _SECOND, [part for request in _PUSH_INPUT for part in _when(_EQUAL, request, errno.EPERM)]
    )
    yield _step(_RETURN, _ALLOW)


def _argument(number: int, offset: int, test: list[bytes]) -> Iterator[bytes]:
    """Yield a test of one call's argument.

    Afterwards the accumulator holds the call's number again.
    """
    yield _step(_EQUAL, number, 0, len(test) + 2)
    yield _step(_LOAD, offset)
    yield from test
    yield _step(_LOAD, _NUMBER)


def _when(test: int, value: int, error: int) -> Iterator[bytes]:
    yield _step(test, value, 0, 1)
    yield _step(_RETURN, _ERROR | error)


def _unless(test: int, value: int, error: int) -> Iterator[bytes]:
    yield _step(test, value, 1, 0)
    yield _step(_RETURN, _ERROR | error)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
