"""Where log records go: those of the package, and those of its core in Rust.

`Config.logger` takes None (the standard logger `depinmesh`), a logger of the standard library, of structlog or of
loguru, an object that is called as Go's slog or LiveKit's logger, or one of the adapters here, for its options.
"""

from depinmesh.logs.adapters import Adapter, adapt
from depinmesh.logs.calls import LiveKitLogger, SlogLogger
from depinmesh.logs.formatters import JsonFormatter, TextFormatter
from depinmesh.logs.libraries import LoguruLogger, StructlogLogger
from depinmesh.logs.standard import StdlibLogger

__all__ = [
    "Adapter",
    "JsonFormatter",
    "LiveKitLogger",
    "LoguruLogger",
    "SlogLogger",
    "StdlibLogger",
    "StructlogLogger",
    "TextFormatter",
    "adapt",
]
