"""Let Atheris look for bytes that break a promise: `python -m fuzz.python.run TARGET`, then options of libFuzzer."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["depinmesh", "yaml", "fuzz"]):
    from fuzz.python.targets import TARGETS

    name = sys.argv.pop(1)
    TARGETS[name](b"a: b")  # what is imported when it is needed is imported here

if __name__ == "__main__":
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
