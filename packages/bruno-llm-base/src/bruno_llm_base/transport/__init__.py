"""Carrying requests to a server. An HTTP library or SDK is imported here, at the first request."""

from bruno_llm_base.transport.environment import proxy_for
from bruno_llm_base.transport.errors import DROPPED, UNREACHABLE, transport_error
from bruno_llm_base.transport.http import HttpTransport
from bruno_llm_base.transport.per_loop import PerLoop
from bruno_llm_base.transport.response import Connection, LargeBody, Reply, Transport, Upload
from bruno_llm_base.transport.sdk import SdkTransport

__all__ = [
    "DROPPED",
    "UNREACHABLE",
    "Connection",
    "HttpTransport",
    "LargeBody",
    "PerLoop",
    "Reply",
    "SdkTransport",
    "Transport",
    "Upload",
    "proxy_for",
    "transport_error",
]
