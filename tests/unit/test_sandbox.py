"""Attacks from inside the sandbox: each tries one way out, as root and as an ordinary user, and must fail."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import needs
from trunkline.rust import bubblewrap, seccomp

NOBODY = 65534
PYTHON = "/usr/bin/python3"
pytestmark = needs.sandbox


@dataclass
class Jail:
    """A tree and a target directory that the user of the test may use, and a way to run a script as that user.

    Attributes:
        root: everything that belongs to the test.
        user: the user that the script runs as.
        prefix: what changes to that user.
    """

    root: Path
    user: str
    prefix: tuple[str, ...]

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def target(self) -> Path:
        return self.root / "target"

    def run(self, script: str, *, network: bool = False, confined: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the tree, in the sandbox or, to prove that the attack works, outside."""
        argv: tuple[str, ...] = ("/bin/bash", "-c", script)
        if confined:
            with self.becoming_the_user():
                argv = bubblewrap.Sandbox(self.tree, (self.target,), network=network).wrap(argv, self.tree)
        return subprocess.run(
            [*self.prefix, *argv], cwd=self.tree, capture_output=True, text=True, check=False, timeout=60,
            stdin=subprocess.DEVNULL, env={**os.environ, "TARGET": str(self.target)},
        )  # fmt: skip

    @contextlib.contextmanager
    def becoming_the_user(self) -> Iterator[None]:
        """Prepare a command that runs with the owner's user id."""
        if not self.prefix:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    def succeeds(self, script: str, **how: bool) -> bool:
        """Return whether an attack works."""
        return self.run(script, **how).returncode == 0


@pytest.fixture(params=["as the user of the tests", "as another ordinary user"])
def jail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jail]:
    """Return a jail for the user of the tests (root, in a container), and one for an ordinary user."""
    prefix: tuple[str, ...] = ()
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    if request.param == "as another ordinary user":
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            pytest.skip("only root can become another user, by setpriv")
        prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        user = "nobody"
    root = Path(tempfile.mkdtemp(prefix="jail-"))
    root.chmod(0o755)
    made = Jail(root, user, prefix)
    for name in ("home", "tree", "target", "state"):
        (root / name).mkdir()
    monkeypatch.setenv("HOME", str(root / "home"))
    monkeypatch.setenv("CARGO_HOME", str(root / "home/.cargo"))
    monkeypatch.setenv("TRUNKLINE_STATE_DIR", str(root / "state"))
    for path in (root, *root.rglob("*")):
        if prefix:
            os.chown(path, NOBODY, NOBODY)
    yield made
    shutil.rmtree(root)


def attack(jail: Jail, script: str) -> None:
    """See that an attack works outside the sandbox, and fails inside."""
    outside = jail.run(script, confined=False)
    assert outside.returncode == 0, f"the attack itself does not work: {outside.stderr}"
    inside = jail.run(script)
    assert inside.returncode != 0, f"it worked as {jail.user}: {inside.stdout}"


def test_an_honest_command_works(jail: Jail) -> None:
    """The command reads the sources, writes its target directory, starts programs and threads."""
    (jail.tree / "source").write_text("source")
    ran = jail.run('cat source && echo made > "$TARGET/made" && ls /usr/bin | sort | head -1 && echo $(nproc)')
    assert ran.returncode == 0, ran.stderr
    assert (jail.target / "made").read_text() == "made\n"


def test_write_a_kernel_setting(jail: Jail) -> None:
    """Nothing below /proc/sys can be written: not as root, not after a look for what is writable."""
    own = "-path '/proc/[0-9]*' -o -path '/proc/self*' -o -path '/proc/thread-self*'"
    find = f"find /proc \\( {own} \\) -prune -o -type f -writable -print 2>/dev/null"
    assert jail.run(f'for f in $({find}); do (: >> "$f") 2>/dev/null && echo "$f"; done').stdout == ""
    assert not jail.succeeds("echo attacked > /proc/sys/kernel/hostname")
    assert not jail.succeeds("echo 10 > /proc/sys/vm/swappiness")
    assert not jail.succeeds("echo 1 > /proc/sysrq-trigger")


def test_keep_a_capability(jail: Jail) -> None:
    """No set of capabilities holds any."""
    ran = jail.run("grep ^Cap /proc/self/status")
    assert {line.split()[1] for line in ran.stdout.splitlines()} == {"0" * 16}


def test_remount_the_file_system(jail: Jail) -> None:
    """Nothing is mounted, remounted or unmounted, in a namespace of its own neither."""
    for script in (
        "mount -o remount,rw /usr", "mount -o remount,bind,rw /usr", "mount -t tmpfs none /mnt", "umount -l /usr",
        "unshare --user --map-root-user --mount mount -o remount,bind,rw /usr",
        "unshare --user --map-root-user true",
    ):  # fmt: skip
        assert not jail.succeeds(script), script


def test_read_the_environment_of_other_processes(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither init's nor the parent's nor anybody's environment can be read: there are only its own processes."""
    canary = "CANARY-in-an-environment"
    with subprocess.Popen(["sleep", "60"], env={"SECRET": canary, "PATH": os.environ["PATH"]}) as other:
        find = f"grep -l -a {canary} /proc/[0-9]*/environ 2>/dev/null"
        try:
            assert str(other.pid) in jail.run(find, confined=False).stdout or jail.prefix
            assert jail.run(find).stdout == ""
            assert not jail.succeeds(f"[ -e /proc/{other.pid} ]")
        finally:
            other.kill()
    monkeypatch.setenv("HTTPS_PROXY", "http://me:CANARY-of-a-proxy@proxy")
    assert "CANARY" not in jail.run("cat /proc/1/environ /proc/self/environ | tr '\\0' '\\n'; env").stdout


def test_signal_another_process(jail: Jail) -> None:
    """A process outside has no number inside."""
    with subprocess.Popen([*jail.prefix, "sleep", "60"]) as other:
        try:
            assert not jail.succeeds(f"kill -TERM {other.pid}")
            jail.run("kill -KILL -1")
            assert other.poll() is None
        finally:
            other.kill()


def test_connect_out(jail: Jail) -> None:
    """No address is reached: not this machine's, not by an abstract socket, not by vsock."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        attack(jail, f"exec 9<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}")
    if not Path(PYTHON).exists():
        pytest.skip(f"no {PYTHON} for the other kinds of sockets")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0trunkline-{jail.root.name}")
        server.listen()
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0trunkline-{jail.root.name}')"
        attack(jail, f'{PYTHON} -c "{connect}"')
    if seccomp.program():
        assert not jail.succeeds(f'{PYTHON} -c "import socket; socket.socket(40, socket.SOCK_STREAM)"')


def test_use_a_service_of_the_machine(jail: Jail) -> None:
    """A socket file of a daemon is not there to connect to."""
    assert jail.run("find / -xdev -type s 2>/dev/null; ls -A /run").stdout == ""


def test_read_the_home_directory(jail: Jail) -> None:
    """Your files, credentials and state are not there."""
    for name in (".ssh/id_ed25519", ".config/gh/hosts.yml", ".cargo/credentials.toml", ".netrc"):
        path = jail.root / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("CANARY")
        attack(jail, f"cat {path}")
    (jail.root / "state/journal").write_text("CANARY")
    attack(jail, f"cat {jail.root}/state/journal")


def test_read_a_token_in_the_configuration_of_cargo(jail: Jail) -> None:
    """Cargo finds its mirrors in the user's configuration; tokens and the proxy's password are taken out."""
    path = jail.root / "home/.cargo/config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        '[registries.own]\nindex = "https://own.invalid"\ntoken = "CANARY"\n[http]\nproxy = "me:CANARY@proxy"\n'
        '[registry]\nglobal-credential-providers = ["CANARY"]\n'
    )
    shown = jail.run(f"cat {path}").stdout
    assert "https://own.invalid" in shown
    assert "CANARY" not in shown
    assert "CANARY" in path.read_text()


def test_read_what_only_root_may(jail: Jail) -> None:
    """Files of /etc that are not for everybody are not there, also where root runs the gates."""
    for name in ("/etc/shadow", "/etc/gshadow", "/etc/sudoers"):
        assert not jail.succeeds(f"head -c1 {name}"), name


def test_read_the_passwords_in_a_remotes_address(jail: Jail) -> None:
    """The configuration of a repository that is gated in place is hidden."""
    (jail.tree / ".git").mkdir()
    (jail.tree / ".git/config").write_text("[remote]\nurl = https://CANARY@host\n")
    attack(jail, f"cat {jail.tree}/.git/config")


def test_write_outside_the_target_directory(jail: Jail) -> None:
    """Sources, home, state, /tmp, system and downloads stay as they are."""
    for path in (jail.tree, jail.root / "home", jail.root / "state", jail.root, Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        mark = path / f"made-{jail.root.name}"
        jail.run(f"echo attacked > {mark}")
        assert not mark.exists(), mark
    for name in ("/usr", "/etc", "/usr/local/bin", "/"):
        jail.run(f"touch {name}/made-{jail.root.name}")
        assert not (Path(name) / f"made-{jail.root.name}").exists(), name
    downloads = jail.root / "home/.cargo/registry"
    assert downloads.is_dir()
    assert not jail.succeeds(f"touch {downloads}/made")
    assert jail.succeeds(f"touch {downloads}/made", network=True)


def test_read_the_keyring_of_the_kernel(jail: Jail) -> None:
    """Keyrings belong to no namespace: their calls fail."""
    if not seccomp.program() or not Path(PYTHON).exists():
        pytest.skip("the numbers of system calls are not known here")
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    call = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall({number}, 0, -3, 0) == -1)"
    attack(jail, f'{PYTHON} -c "{call}"')


def test_type_into_the_terminal(jail: Jail) -> None:
    """The command has no controlling terminal."""
    assert not jail.succeeds("exec 9<>/dev/tty")


@pytest.mark.parametrize(
    "made",
    [
        "cp /bin/true $TARGET/x; chmod 4755 $TARGET/x",
        f"{PYTHON} -c 'import os; os.open(\"'$TARGET/x'\", os.O_CREAT, 0o4755)'",
        f"{PYTHON} -c 'import os; os.mknod(\"'$TARGET/x'\", 0o104755)'",
        f"{PYTHON} -c 'import os; os.fchmod(os.open(\"'$TARGET/x'\", os.O_CREAT), 0o4755)'",
    ],
)
def test_make_a_program_that_runs_as_its_owner(jail: Jail, made: str) -> None:
    """Another user of the machine would start it and be the user of the sandbox, root in a container."""
    script = f"{made}; test -u $TARGET/x && rm $TARGET/x"
    assert jail.succeeds(script, confined=False)
    assert not jail.succeeds(script)
    assert jail.succeeds("umask 0; touch $TARGET/y && chmod 755 $TARGET/y && cp -a $TARGET/y $TARGET/z")


def test_outlive_the_gate(jail: Jail) -> None:
    """Background processes of a gate end with it."""
    jail.run(f"setsid sh -c 'sleep 300 # {jail.root.name}' & disown; exit 0")
    left = subprocess.run(["pgrep", "-f", f"sleep 300 # {jail.root.name}"], capture_output=True, check=False)
    assert left.stdout == b""


def test_a_machine_without_user_namespaces_has_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bubblewrap that would keep root's own namespace counts as not working, and the fix is printed."""
    monkeypatch.setattr(bubblewrap, "_works", lambda: False)
    assert (
        "userns" in bubblewrap.missing_tool()
        or "unshare-user" in bubblewrap.missing_tool()
        or "user_namespaces" in bubblewrap.missing_tool()
    )


def test_the_filter_of_an_unknown_machine_is_none() -> None:
    """Numbers of another architecture would filter other calls."""
    assert seccomp.program("riscv64") == b""
    assert 0 < len(seccomp.program("aarch64")) < len(seccomp.program("x86_64"))  # which has more calls
