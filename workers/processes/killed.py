"""Whether the kernel has killed for lack of memory: what tells a greedy training from a kill."""

from __future__ import annotations

from pathlib import Path

_COUNTERS = (("proc/vmstat", "oom_kill"), ("sys/fs/cgroup/memory.events", "oom_kill"))


def kills_for_memory(root: Path = Path("/")) -> int:
    """How often processes of this machine or container were killed for lack of memory so far.

    Only rises; 0 where the kernel does not say.

    Args:
        root: Where `proc` and `sys` are.
    """
    return sum(_counter(root / name, key) for name, key in _COUNTERS)


def _counter(path: Path, key: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    rows = (line.split() for line in lines)
    return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == key), 0)
