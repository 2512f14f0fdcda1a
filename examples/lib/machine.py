"""What an example needs of the machine: free ports, programs, a directory to throw away, waiting for something."""
import os, shutil, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent
ROOT = EXAMPLES.parent


_given = set()


def free_port(wanted=0, count=1):
    """The first of `count` neighbouring free ports: `wanted` if it may be, else any that was not given before."""
    # Below those that the kernel gives to outgoing connections; neighbours that start at the same moment look elsewhere.
    for first in (wanted, *range(20000 + 16 * os.getpid() % 10000, 32000)):
        ports = range(first, first + count)
        if first and not _given & set(ports) and all(map(_free, ports)):
            _given.update(ports)
            return first
    sys.exit("no free ports")


def _free(port):
    with socket.socket() as s:
        # As servers do: a port whose last connections are still closing is free.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def directory(name):
    return Path(tempfile.mkdtemp(prefix=f"walspring-{name}-"))


def remove(path):
    # A server that was told to end may still be writing.
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.1)


def walspring():
    """The program: $WALSPRING, or a build of this checkout."""
    given = os.environ.get("WALSPRING")
    if given:
        if not os.access(given, os.X_OK):
            sys.exit(f"WALSPRING: there is no program {given}")
        return str(Path(given).resolve())
    print("building walspring ...", flush=True)
    subprocess.run(["cargo", "build", "--quiet", "--locked", "-p", "walspring"], cwd=ROOT, check=True)
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "debug" / "walspring")


def wait_for(what, check, seconds=30):
    """Calls `check` until it answers something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def end_on_signals():
    """SIGTERM and SIGHUP end the program as Ctrl-C does: what was started is taken down."""
    def interrupt(*_):
        raise KeyboardInterrupt
    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, interrupt)
