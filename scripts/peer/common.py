"""What the measurements beside llama.cpp share: running both sides, their circumstances, competing processes, cells of tables."""
import contextlib
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = ("repacked", "plain")  # of llama.cpp's weights
EACH = ("ours",) + SETTINGS


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command):
    """The JSON a command leaves on stdout; what it says on stderr is shown only if it fails."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def busy_share(seconds=1.0):
    """Of all cores' time, what others use just now: 0 to 1."""
    def read():
        with open("/proc/stat") as f:
            ticks = [int(v) for v in f.readline().split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]
    total, idle = read()
    time.sleep(seconds)
    total_then, idle_then = read()
    return 1 - (idle_then - idle) / max(1, total_then - total)


def circumstances(python, threads):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    version = subprocess.run([python, "-c", "import importlib.metadata as m; print(m.version('llama-cpp-python'))"], stdout=subprocess.PIPE, text=True)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    share = busy_share()
    if share > 0.05:
        say(f"others use {100 * share:.0f} % of this machine just now: these will be figures of a busy machine")
    return {"date": str(datetime.date.today()), "cpu": cpu, "cores": os.cpu_count(), "threads": threads, "busy_share_before": round(share, 3),
            "commit": commit.stdout.strip(), "llama_cpp_python": version.stdout.strip()}


@contextlib.contextmanager
def competitors():
    """One process per core that only computes, at this process's priority."""
    loop = f"import os\nwhile os.getppid() == {os.getpid()}:\n  for _ in range(10**6): pass"
    all_of_them = [subprocess.Popen([sys.executable, "-c", loop]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for one in all_of_them:
            one.kill()
            one.wait()


def cell(values, digits=1):
    """median (least to largest)"""
    text = f"{statistics.median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def count(n, noun):
    return f"{n} {noun}" + "s" * (n != 1)


def table(head, rows):
    """Columns as wide as they must be; the first is left-aligned."""
    widths = [max(len(row[c]) for row in [head, *rows]) for c in range(len(head))]
    for row in [head, *rows]:
        print("  ".join([row[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(row[1:], widths[1:])]).rstrip())
