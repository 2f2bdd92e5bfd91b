"""Build the sandbox's system call filter, a classic BPF program (seccomp(2), linux/bpf_common.h).

Namespaces do not isolate everything: kernel keyrings, vsock, io_uring (whose operations no filter
sees) and new user namespaces could be used to escape. A program with the set-user-ID bit would run
as the user of the sandbox for every user that starts it, also outside (the calls are those of systemd's
RestrictSUIDSGID). A filtered call fails with an error; the process is not killed.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator

import msgspec

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data; low halves of the arguments
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_X32 = 0x40000000
_NEW_USER_NAMESPACE = 0x10000000
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; not AF_VSOCK, which no namespace isolates
_SET_ID = 0o6000  # S_ISUID, S_ISGID
_CREATE = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE: without them, open(2) ignores the mode
_PUSH_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: insert input into the terminal


class _Machine(msgspec.Struct, frozen=True):
    """System call numbers of one architecture.

    Attributes:
        audit: its AUDIT_ARCH_ constant (linux/audit.h).
        denied: add_key request_key keyctl, mount umount2 pivot_root, unshare setns, bpf
            perf_event_open userfaultfd, open_by_handle_at kexec_load.
        clone: clone(2).
        socket: socket(2).
        ioctl: ioctl(2).
        modes: calls that set a mode, and the position of the mode: chmod fchmod fchmodat mknod
            mknodat creat.
        opens: open(2) and openat(2), and the position of the flags; the mode follows.
    """

    audit: int
    denied: tuple[int, ...]
    clone: int
    socket: int
    ioctl: int
    modes: tuple[tuple[int, int], ...]
    opens: tuple[tuple[int, int], ...]


_MACHINES = {
    "x86_64": _Machine(
        0xC000003E, (248, 249, 250, 165, 166, 155, 272, 308, 321, 298, 323, 304, 246), clone=56, socket=41, ioctl=16,
        modes=((90, 1), (91, 1), (268, 2), (133, 1), (259, 2), (85, 1)), opens=((2, 1), (257, 2)),
    ),
    "aarch64": _Machine(
        0xC00000B7, (217, 218, 219, 40, 39, 41, 97, 268, 280, 241, 282, 265, 104), clone=220, socket=198, ioctl=29,
        modes=((52, 1), (53, 2), (33, 2)), opens=((56, 2),),
    ),
}  # fmt: skip
_DENIED_EVERYWHERE = (
    428,
    429,
    430,
    431,
    432,
    433,
    442,
)  # open_tree .. fspick, mount_setattr: the same number on every architecture since 5.1
_ABSENT = (425, 426, 427, 435, 437, 452)  # io_uring_*, clone3, openat2, fchmodat2: programs fall back to older calls


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
    for number, position in machine.modes:
        yield from _argument(number, _offset(position), [*_when(_ANY_BIT, _SET_ID, errno.EPERM)])
    for number, position in machine.opens:
        mode = [_step(_LOAD, _offset(position + 1)), *_when(_ANY_BIT, _SET_ID, errno.EPERM)]
        yield from _argument(number, _offset(position), [_step(_ANY_BIT, _CREATE, 0, len(mode)), *mode])
    yield _step(_RETURN, _ALLOW)


def _offset(position: int) -> int:
    """Return the offset of an argument of a call, from 0."""
    return _FIRST + (_SECOND - _FIRST) * position


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
