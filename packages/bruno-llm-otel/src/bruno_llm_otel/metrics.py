"""The metrics of requests."""

from collections.abc import Iterator, Mapping
from typing import Any

from bruno_llm_base.response import ModelResponse, Usage
from opentelemetry.metrics import Histogram, Meter
from opentelemetry.util.types import AttributeValue

from bruno_llm_otel import conventions as names

_BY_MODALITY = {
    "input_tokens": {"audio": "input_audio_tokens", "image": "input_image_tokens"},
    "output_tokens": {"audio": "output_audio_tokens", "image": "output_image_tokens"},
    "cache_read_tokens": {"audio": "cache_read_audio_tokens"},
}


class Metrics:
    """The instruments of one meter."""

    def __init__(self, meter: Meter) -> None:
        """Make the instruments."""

        def histogram(name: str, unit: str, buckets: tuple[float, ...], told: str) -> Histogram:
            return meter.create_histogram(
                name, unit, told, explicit_bucket_boundaries_advisory=buckets
            )

        self._durations = {
            operation: histogram(name, "s", names.SECONDS, "How long a request took.")
            for operation, name in names.DURATION.items()
        }
        self._first_chunk = histogram(
            names.TIME_TO_FIRST_CHUNK_METRIC,
            "s",
            names.SECONDS,
            "Until a stream had its first text.",
        )
        self._spent = {
            count: meter.create_counter(name, "{token}", f"Tokens spent: {count}.")
            for count, name in names.SPENT.items()
        }
        self._per_operation = {
            count: histogram(name, "{token}", names.TOKENS, f"Tokens of a request: {count}.")
            for count, name in names.PER_OPERATION.items()
        }
        self._embedded = histogram(
            names.EMBEDDED, "{token}", names.TOKENS, "Tokens of a request for vectors."
        )
        self._cost = meter.create_counter(names.COST_METRIC, "{USD}", "What requests have cost.")

    def record_duration(
        self, operation: str, attributes: Mapping[str, AttributeValue], duration: float
    ) -> None:
        """Count something that took *duration* seconds."""
        self._durations[operation].record(duration, attributes)

    def record(
        self,
        operation: str,
        attributes: Mapping[str, AttributeValue],
        duration: float,
        first_chunk: float | None,
        response: ModelResponse[Any],
    ) -> None:
        """Count a request that has ended, a failed one too, with what is known of its answer."""
        self.record_duration(operation, attributes, duration)
        if response.cost is not None:
            self._cost.add(float(response.cost.total), attributes)
        usage = response.usage
        if operation == "embeddings" and usage.input_tokens is not None:
            self._embedded.record(usage.input_tokens, attributes)
        if operation != "chat":
            return
        if first_chunk is not None:
            self._first_chunk.record(first_chunk, attributes)
        for count, counter in self._spent.items():
            for modality, tokens in _modalities(usage, count):
                counter.add(tokens, {**attributes, names.MODALITY: modality})
        for count, histogram in self._per_operation.items():
            if (tokens := getattr(usage, count)) is not None:
                histogram.record(tokens, attributes)


def _modalities(usage: Usage, count: str) -> Iterator[tuple[str, int]]:
    """Yield how many tokens of a *count* are of which modality, as far as the vendor says.

    Where it says nothing, as of a request that failed, that is an input and an output of none.
    """
    whole: int = getattr(usage, count) or 0
    for modality, part in _BY_MODALITY.get(count, {}).items():
        if tokens := getattr(usage, part):
            whole -= tokens
            yield modality, tokens
    if whole > 0 or count in names.PER_OPERATION:  # each recording takes an SDK some 20 us
        yield "unknown", max(whole, 0)
