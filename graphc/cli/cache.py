"""`graphc cache`: where compiled code is kept on disk, and how much of it; `--clear` removes it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from graphc import settings

_KIB = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--clear", action="store_true", help="remove all that is kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Look at the cache, or clear it; the exit code is 1 where it was to be cleared and is not."""
    report = _report(options.clear)
    if options.json:
        print(json.dumps(report))
    else:
        _print(report, options.clear)
    return 1 if options.clear and report["refusal"] else 0


def _report(clear: bool) -> dict[str, Any]:
    """Return what was found, or what was removed; `refusal` says why the cache is not in use."""
    from graphc.backends.llvm.object_cache import configured  # loads LLVM

    cache = configured()
    if cache is None:
        refusal = "GRAPHC_CACHE=0" if not settings.cache_enabled() else "no directory of the user's"
        return {"directory": "", "entries": 0, "bytes": 0, "limit": 0, "refusal": refusal}
    found = cache.clear() if clear else cache.summary()
    return {
        "directory": cache.path,
        "entries": found.entries,
        "bytes": found.bytes,
        "limit": cache.limit,
        "refusal": found.refusal,
    }


def _print(report: dict[str, Any], cleared: bool) -> None:
    if report["refusal"]:
        print(f"not in use: {report['refusal']}")
        return
    size = f"{report['entries']} entries, {_size(report['bytes'])}"
    if cleared:
        print(f"removed {size} from {report['directory']}")
    else:
        print(f"{report['directory']}: {size} of at most {_size(report['limit'])}")


def _size(count: int) -> str:
    return f"{count / _KIB:.1f} KiB" if count < _KIB**2 else f"{count / _KIB**2:.1f} MiB"
