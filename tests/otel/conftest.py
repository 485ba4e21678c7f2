"""What OpenTelemetry is told, in memory: with providers of each test's own, never the global ones."""

import pytest
from bruno_llm_otel import Telemetry
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Told:
    """Spans and metrics that were told, and the tracer of an application."""

    def __init__(self):
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("application")

    def telemetry(self, **settings):
        return Telemetry(self.tracers, self.meters, **settings)

    @property
    def spans(self):
        """All spans, in the order in which they have ended."""
        return self._exporter.get_finished_spans()

    @property
    def span(self):
        """The one span of ours."""
        (span,) = [span for span in self.spans if span.instrumentation_scope.name == "bruno_llm"]
        return span

    def parent(self, span):
        """The name of a span's parent, or None."""
        by_id = {span.context.span_id: span.name for span in self.spans}
        return by_id[span.parent.span_id] if span.parent else None

    def points(self, name):
        """The data points of a metric."""
        data = self._reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        found = [metric for metric in metrics if metric.name == name]
        self.unit = found[0].unit if found else None
        return [point for metric in found for point in metric.data.data_points]


@pytest.fixture
def told():
    told = Told()
    yield told
    told.tracers.shutdown()
    told.meters.shutdown()
