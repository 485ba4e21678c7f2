"""The vendors' APIs as clouds serve them, for tests: other paths, credentials, framing and errors.

A `connection()` is a new client of the vendor's SDK, which is the test's to close.
"""

import re
import struct
from abc import abstractmethod
from base64 import b64encode
from dataclasses import replace
from typing import Any
from zlib import crc32

from aiohttp import web
from bruno_llm_base import Json

from bruno_llm_testing.fakes.claude import FakeClaude
from bruno_llm_testing.fakes.gemini import FakeGemini
from bruno_llm_testing.fakes.openai import FakeOpenAI
from bruno_llm_testing.script import FakeAnswer, FakeError, Received
from bruno_llm_testing.server import FakeServer, Operation

__all__ = ["FakeAzure", "FakeBedrock", "FakeBedrockOpenAI", "FakeVertex", "FakeVertexClaude"]

REGION, PROJECT, SECRET_KEY = "us-east-1", "a-project", "a-secret-key-for-tests"
_AWS_KEY = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([\w-]+)/([\w-]+)/aws4_request")
_INVOKE = re.compile(r"/model/([^/]+)/(invoke(?:-with-response-stream)?)")
_PREDICT = re.compile(
    r"/v1/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/([^/:]+):(\w+)"
)
_GOOGLES = re.compile(r"/(v1|v1beta1)/(?:projects/[^/]+/locations/[^/]+/)?publishers/google/models")
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)/(.+)")

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html, "Errors"
_AWS_ERRORS: dict[str, tuple[int, str, str]] = {
    "authentication": (
        403,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    ),
    "permission": (403, "AccessDeniedException", "You don't have access to the model."),
    "quota": (400, "ServiceQuotaExceededException", "Your request exceeds the service quota."),
    "rate_limit": (429, "ThrottlingException", "Too many requests, please wait."),
    "overloaded": (503, "ServiceUnavailableException", "The service is unavailable."),
    "server_error": (500, "InternalServerException", "An internal server error occurred."),
    "model_not_found": (
        404,
        "ResourceNotFoundException",
        "Could not resolve the foundation model.",
    ),
    "context_length": (400, "ValidationException", "Input is too long for requested model."),
    "invalid_request": (400, "ValidationException", "{param}: Extra inputs are not permitted"),
}


class _CloudServer(FakeServer):
    """A vendor's fake, behind a cloud's door."""

    @abstractmethod
    def plain(self, request: Received) -> Received:
        """Return *request* as the vendor itself would have got it."""

    def operation(self, request: Received) -> Operation:
        return super().operation(self.plain(request))  # type: ignore[safe-super]

    async def _answer(self, request: web.BaseRequest, received: Received) -> web.StreamResponse:
        return await super()._answer(request, self.plain(received))


class FakeBedrock(_CloudServer, FakeClaude):
    """Claude behind Amazon Bedrock's InvokeModel, which streams in AWS' binary event stream.

    A signature's key has to be `api_key`; that it fits the request is not checked.
    """

    models = ("anthropic.claude-sonnet-5-5", "us.anthropic.claude-opus-5-5-v1:0")  # type: ignore[assignment]
    content_type = "application/vnd.amazon.eventstream"
    ping = b""

    def connection(self) -> dict[str, Any]:
        import anthropic

        client = anthropic.AsyncAnthropicBedrock(
            base_url=self.address,
            aws_region=REGION,
            aws_access_key=self.api_key,
            aws_secret_key=SECRET_KEY,
            max_retries=5,
        )
        return {"client": client, "model": self.models[0]}

    def plain(self, request: Received) -> Received:
        if not (found := _INVOKE.fullmatch(request.path)):
            return request
        body = {"model": found[1], **request.body}
        if found[2] != "invoke":
            body["stream"] = True
        headers = {
            **request.headers,
            "anthropic-version": body.pop("anthropic_version", ""),
            "x-api-key": _amazons_key(request, "bedrock"),
        }
        return replace(request, path="/v1/messages", headers=headers, body=body)

    def render_stream(self, answer: FakeAnswer, request: Received) -> list[bytes]:
        events = super().render_stream(answer, request)
        found = [re.search(rb"^data: (.+)$", event, re.MULTILINE) for event in events]
        data = [one[1] for one in found if one and one[1] != b'{"type": "ping"}']
        return [_event(_CHUNK, b'{"bytes":"%b"}' % b64encode(each)) for each in data]

    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        status, _, message = _AWS_ERRORS[error.kind]
        return status, {"message": message.format(param=error.param)}

    def render_stream_error(self, error: FakeError, request: Received) -> bytes:
        _, name, message = _AWS_ERRORS[error.kind]
        kind = {":message-type": "exception", ":exception-type": name[0].lower() + name[1:]}
        return _event(kind, b'{"message":"%b"}' % message.format(param=error.param).encode())

    def headers(self, step: FakeAnswer | FakeError) -> dict[str, str]:
        more = {"x-amzn-requestid": "b1f3e2d4-0000-4000-8000-0123456789ab"}
        if isinstance(step, FakeError):
            more["x-amzn-errortype"] = f"{_AWS_ERRORS[step.kind][1]}:http://internal.amazon.com/"
        return {**FakeServer.headers(self, step), **more}


class FakeVertexClaude(_CloudServer, FakeClaude):
    """Claude behind Google's Vertex AI."""

    models = ("claude-sonnet-5-5@20260801", "claude-opus-5-5@20260801")  # type: ignore[assignment]

    def connection(self) -> dict[str, Any]:
        import anthropic

        client = anthropic.AsyncAnthropicVertex(
            base_url=f"{self.address}/v1",
            region=REGION,
            project_id=PROJECT,
            access_token=self.api_key,
            max_retries=5,
        )
        return {"client": client, "model": self.models[0]}

    def plain(self, request: Received) -> Received:
        if not (found := _PREDICT.fullmatch(request.path)):
            return request
        counts = found[1] == "count-tokens"
        body = request.body if counts else {"model": found[1], **request.body}
        version = body.pop("anthropic_version", "")
        path = "/v1/messages/count_tokens" if counts else "/v1/messages"
        headers = {**request.headers, "anthropic-version": version}
        return replace(request, path=path, headers=headers, body=body)


class FakeVertex(_CloudServer, FakeGemini):
    """Gemini behind Google's Vertex AI."""

    def connection(self) -> dict[str, Any]:
        from google import genai
        from google.oauth2.credentials import Credentials

        client = genai.Client(
            vertexai=True,
            project=PROJECT,
            location=REGION,
            credentials=Credentials(self.api_key),  # type: ignore[no-untyped-call]
            http_options=genai.types.HttpOptions(base_url=self.address),
        )
        return {"client": client}

    def plain(self, request: Received) -> Received:
        path = _GOOGLES.sub("/v1beta/models", request.path)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        return replace(request, path=path, headers={**request.headers, "x-goog-api-key": key})


class FakeAzure(_CloudServer, FakeOpenAI):
    """OpenAI's models behind Azure, by the names of deployments."""

    def connection(self) -> dict[str, Any]:
        import openai

        client = openai.AsyncAzureOpenAI(
            azure_endpoint=self.address,
            api_version="2026-10-01",
            api_key=self.api_key,
            max_retries=5,
        )
        return {"client": client}

    def plain(self, request: Received) -> Received:
        key = request.headers.get("api-key", "")
        headers = {**request.headers, "authorization": f"Bearer {key}"}
        path = _DEPLOYMENT.sub(r"/v1/\2", request.path).replace("/openai/", "/v1/")
        return replace(request, path=path, headers=headers)


class FakeBedrockOpenAI(_CloudServer, FakeOpenAI):
    """OpenAI's models, and others of its protocol, behind Amazon Bedrock."""

    models = ("openai.gpt-oss-120b", "openai.gpt-6-luna")

    def connection(self) -> dict[str, Any]:
        import openai
        from openai.providers import bedrock

        provider = bedrock(
            base_url=f"{self.address}/openai/v1",
            region=REGION,
            access_key_id=self.api_key,
            secret_access_key=SECRET_KEY,
        )
        client = openai.AsyncOpenAI(provider=provider, max_retries=5)
        return {"client": client, "model": self.models[0]}

    def plain(self, request: Received) -> Received:
        headers = request.headers
        if key := _amazons_key(request, "bedrock-mantle"):
            headers = {**headers, "authorization": f"Bearer {key}"}
        return replace(request, path=request.path.removeprefix("/openai"), headers=headers)


def _amazons_key(request: Received, service: str) -> str:
    """Return the key that *request* is signed with for *service*, or that it bears."""
    authorization = request.headers.get("authorization", "")
    if found := _AWS_KEY.match(authorization):
        return found[1] if found.group(2, 3) == (REGION, service) else ""
    return authorization.removeprefix("Bearer ")


_CHUNK: dict[str, str] = {":event-type": "chunk", ":message-type": "event"}
_TEXT = 7  # the type of a header's value


def _event(headers: dict[str, str], payload: bytes) -> bytes:
    """Return a message of https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html."""
    packed = b"".join(
        struct.pack("!B", len(name)) + name.encode()
        + struct.pack("!BH", _TEXT, len(value)) + value.encode()
        for name, value in ({":content-type": "application/json"} | headers).items()
    )  # fmt: skip
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack("!I", crc32(prelude)) + packed + payload
    return message + struct.pack("!I", crc32(message))
