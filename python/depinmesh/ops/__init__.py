"""A small HTTP server for those who operate a node: health, metrics and status. Needs the extra `[ops]`."""

try:
    import prometheus_client as _metrics
    import starlette as _starlette
    import uvicorn as _uvicorn
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        "depinmesh.ops needs more packages: pip install 'depinmesh[ops]'", name=_error.name
    ) from _error

from depinmesh.ops.report import report
from depinmesh.ops.server import OpsServer

__all__ = ["OpsServer", "report"]

del _metrics, _starlette, _uvicorn
