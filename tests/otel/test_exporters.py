"""What leaves the process: over OTLP as protobuf, and as Prometheus reads it."""

import gzip
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from bruno_llm_base import CostTracker, Price
from bruno_llm_otel import Telemetry
from bruno_llm_testing import MockLLM
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

KINDS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


@contextmanager
def collector():
    """Run a receiver of OTLP over HTTP; yield its address, and what it has received by path."""
    received = {path: [] for path in KINDS}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received[self.path].append(KINDS[self.path].FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def priced():
    return CostTracker(prices={"mock-model": Price(input=1, output=2)})


async def test_a_collector_gets_it_over_otlp(priced):
    with collector() as (url, received):
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{url}/v1/metrics"), export_interval_millis=3_600_000
        )
        meters = MeterProvider([reader], shutdown_on_exit=False)
        telemetry = Telemetry(tracers, meters, content=True)
        llm = MockLLM(["Good day."], cost=priced, observers=[telemetry])
        with tracers.get_tracer("application").start_as_current_span("caller"):
            await llm.generate("hi", stop=["END"])
        tracers.shutdown()
        meters.shutdown()
    scopes = {
        scope.scope.name: scope
        for request in received["/v1/traces"]
        for resource in request.resource_spans
        for scope in resource.scope_spans
    }
    ours, (caller,) = scopes["bruno_llm"], scopes["application"].spans
    assert ours.schema_url == "https://opentelemetry.io/schemas/gen-ai/0.1.0"
    (span,) = ours.spans
    assert (span.name, span.kind) == ("chat mock-model", Span.SPAN_KIND_CLIENT)
    assert (span.parent_span_id, span.trace_id) == (caller.span_id, caller.trace_id)
    values = {attribute.key: attribute.value for attribute in span.attributes}
    assert values["gen_ai.usage.output_tokens"].int_value == 2
    assert values["bruno_llm.cost.usd"].double_value == 5e-6
    assert [v.string_value for v in values["gen_ai.request.stop_sequences"].array_value.values] == [
        "END"
    ]
    assert "Good day." in values["gen_ai.output.messages"].string_value
    metrics = {
        metric.name: metric
        for request in received["/v1/metrics"]
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    (point,) = metrics["gen_ai.client.inference.duration"].histogram.data_points
    assert (point.count, len(point.explicit_bounds)) == (1, 14)
    (point,) = metrics["gen_ai.client.inference.usage.output_tokens"].sum.data_points
    assert point.as_int == 2
    assert metrics["gen_ai.client.inference.usage.output_tokens"].sum.is_monotonic


async def test_prometheus_reads_it(priced):
    reader = PrometheusMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    try:
        llm = MockLLM(["a b"] * 3, cost=priced, observers=[Telemetry(None, meters)])
        for _ in range(3):
            await llm.generate("hi")
        families = text_string_to_metric_families(generate_latest(REGISTRY).decode())
        samples = {sample.name: sample for family in families for sample in family.samples}
    finally:
        meters.shutdown()
    assert samples["gen_ai_client_inference_duration_seconds_count"].value == 3
    spent = samples["gen_ai_client_inference_usage_output_tokens_total"]
    assert spent.value == 6
    assert spent.labels["gen_ai_token_modality"] == "unknown"
    assert spent.labels["gen_ai_request_model"] == "mock-model"
    assert samples["bruno_llm_cost_total"].value == pytest.approx(15e-6)
