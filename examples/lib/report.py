"""The table of what a verification saw, a line at a time, and its last line."""
import contextlib, sys, time

from machine import wait_for


class Report:
    def __init__(self, name):
        self.name, self.begin, self.held, self.failed, self.doing = name, time.monotonic(), [], None, "starting"
        print(f"{'':6}{'what':<52} {'after':>7}   seen", flush=True)

    def step(self, what):
        """Says what is being done, for whoever watches."""
        print(f"{'':6}{what} ...", flush=True)

    def check(self, what, look, seconds=30):
        """`look` answers (whether it holds, what was seen); it is asked again until it holds, or `seconds` have passed."""
        self.doing, start, seen = what, time.monotonic(), "nothing yet"

        def holds():
            nonlocal seen
            good, seen = look()
            return good
        try:
            wait_for(what, holds, seconds)
        except TimeoutError:
            print(f"FAIL  {what:<52} {seconds:>5.1f} s   {seen}", flush=True)
            raise
        print(f"ok    {what:<52} {time.monotonic() - start:>5.1f} s   {seen}", flush=True)
        self.held.append(what)

    @contextlib.contextmanager
    def explaining(self, worker):
        """An error ends the verification, with what the worker had to say."""
        # A check that does not come true says so itself; its error stands here once more, behind the log.
        try:
            yield
        except Exception as error:
            print(f"---- the end of the worker's log\n{worker.tail()}----\n{type(error).__name__}: {error}")
            self.failed = self.doing

    def finish(self, held):
        """The last line, and the exit status. `held`: in one line, what holds when every check did."""
        took = f"{time.monotonic() - self.begin:.0f} s"
        if self.failed is None:
            print(f"{self.name}: all {len(self.held)} checks held in {took}: {held}")
        else:
            print(f"{self.name}: {len(self.held)} checks held, then this one did not: {self.failed} ({took})")
        sys.stdout.flush()
        return 0 if self.failed is None else 1
