"""Spans and metrics of bruno-llm's requests, by OpenTelemetry's GenAI conventions."""

from bruno_llm_otel.telemetry import Telemetry

__all__ = ["Telemetry"]
