"""What CPython makes of programs, by the sandbox's rule for a program's value.

Reads one JSON string (a program) a line, writes one JSON object a line: {"outcome", "value"}.
Each program runs in a forked child with ten seconds. The programs are not contained: give this
only recordings that you trust.
"""

import contextlib
import inspect
import io
import json
import os
import signal
import sys


def main():
    for line in sys.stdin:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            with os.fdopen(write, "w") as answer:
                json.dump(run(json.loads(line)), answer)
                answer.flush()
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            text = answer.read()
        os.waitpid(child, 0)
        print(text or '{"outcome": "killed", "value": null}', flush=True)


def run(program):
    signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    sys.stdin = io.StringIO()
    stdout = io.StringIO()
    outcome = None
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(io.StringIO()):
            names = {"__name__": "__main__"}
            try:
                exec(compile(program, "<program>", "exec"), names)
            except SystemExit as end:
                if end.code not in (None, 0):
                    raise
            computed = value(names, stdout)
    except BaseException as error:
        return {"outcome": type(error).__name__, "value": None}
    return {"outcome": "finished", "value": computed}


def value(names, stdout):
    """The last line printed, else what solution() returns, else `ans`, else `answer`."""
    if stdout.getvalue().strip():
        return last_line(stdout)
    result = None
    solution = names.get("solution")
    if inspect.isfunction(solution) and takes_nothing(solution):
        result = solution()
    for name in "ans", "answer":
        if result is None:
            result = names.get(name)
    return last_line(stdout) if result is None else str(result)


def takes_nothing(function):
    parameters = inspect.signature(function).parameters.values()
    return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def last_line(stdout):
    lines = [line.strip() for line in stdout.getvalue().splitlines() if line.strip()]
    return lines[-1] if lines else None


def late(signal_number, frame):
    raise TimeoutError


main()
