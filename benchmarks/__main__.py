"""`python -m benchmarks NAME [--quick]`: run one benchmark; the last line printed is its JSON result.

A benchmark is a module of this package with `run(quick: bool) -> {"ratios": {...}, "figures": {...}}`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil

import benchmarks
from benchmarks.harness import machine_info


def main() -> None:
    modules = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.ispkg)
    names = [name for name in modules if name not in ("__main__", "harness")]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=names)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, under 45 seconds")
    chosen = parser.parse_args()
    result = importlib.import_module(f"benchmarks.{chosen.name}").run(quick=chosen.quick)
    print(json.dumps({"name": chosen.name, **result, "machine": machine_info()}))


if __name__ == "__main__":
    main()
