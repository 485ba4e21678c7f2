"""What OpenAI's endpoints have in common (https://platform.openai.com/docs/api-reference)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast
from urllib.parse import urlsplit

from bruno_llm_base import Access, ErrorFacts, Json, LimitState, Timeouts, Vendor, exceptions
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.lenient import read_models
from bruno_llm_base.limits import read_limits
from bruno_llm_base.transport import SdkTransport, Transport

if TYPE_CHECKING:
    from bruno_llm_openai.row import VendorRow

# https://platform.openai.com/docs/guides/error-codes
_ERRORS: dict[str, type[exceptions.LLMError]] = {
    "billing_hard_limit_reached": exceptions.QuotaExceededError,
    "content_filter": exceptions.ContentBlockedError,
    "content_policy_violation": exceptions.ContentBlockedError,
    "context_length_exceeded": exceptions.ContextLengthExceededError,
    "credit_balance_exhausted": exceptions.QuotaExceededError,
    "DeploymentNotFound": exceptions.ModelNotFoundError,  # Azure
    "ENDPOINT_NOT_FOUND": exceptions.ModelNotFoundError,  # Databricks
    "exceed_context_size_error": exceptions.ContextLengthExceededError,  # llama.cpp
    "insufficient_permissions": exceptions.PermissionDeniedError,
    "insufficient_quota": exceptions.QuotaExceededError,
    "invalid_api_key": exceptions.AuthenticationError,
    "invalid_prompt": exceptions.ContentBlockedError,
    "model_not_found": exceptions.ModelNotFoundError,
    "model_not_supported": exceptions.ModelNotFoundError,  # Hugging Face
    "organization_spend_limit_exceeded": exceptions.QuotaExceededError,
    "project_spend_limit_exceeded": exceptions.QuotaExceededError,
    "bio_policy": exceptions.ContentBlockedError,
    "misalignment_policy_violation": exceptions.ContentBlockedError,
    "rate_limit_exceeded": exceptions.RateLimitError,
    "server_error": exceptions.ServiceUnavailableError,
    # of `ResponseError` in openai.types.responses, what all vendors' words for media do not tell
    "empty_image_file": exceptions.MediaTypeError,
    "image_file_not_found": exceptions.MediaUnavailableError,
    "image_too_small": exceptions.MediaTypeError,
    "invalid_base64_image": exceptions.MediaTypeError,
    "invalid_image_url": exceptions.MediaUnavailableError,
}
# What servers call a model's window in their lists: vLLM; OpenRouter and others; Groq; Mistral.
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length")
_LIMITS = "x-ratelimit-{what}-{unit}"


def is_openais(address: str) -> bool:
    """Whether *address* is OpenAI's own, that of a region such as "https://eu.api.openai.com/v1" included."""
    return f".{urlsplit(address).hostname}".endswith(".api.openai.com")


class OpenAIVendor(Vendor):
    """OpenAI, or with `base_url` any server that speaks its protocol.

    Attributes:
        row: What another vendor does in its own way, whose class this is; None for OpenAI's.
    """

    row: ClassVar["VendorRow | None"] = None
    name = "openai"
    default_base_url = "https://api.openai.com/v1"
    api_key_env: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    base_url_env = "OPENAI_BASE_URL"
    endpoints: ClassVar[tuple[str, ...]] = (
        *("/chat/completions", "/completions", "/embeddings", "/models", "/responses"),
    )
    client_type = "openai.AsyncOpenAI"
    client_call = "post"
    sdk = "openai"
    price_name: ClassVar[str | None] = "openai"

    def __init_subclass__(cls, *, row: "VendorRow | None" = None, **more: Any) -> None:
        """Make it the class of the vendor that *row* describes."""
        super().__init_subclass__(**more)
        if row is not None:
            cls.row, cls.name, cls.default_base_url = row, row.name, row.base_url
            cls.api_key_env, cls.needs_key = row.api_key_env, row.needs_key
            cls.base_url_env = row.base_url_env
            cls.price_name, cls.telemetry_name = row.price_name, row.telemetry_name
            cls.free = row.free

    @classmethod
    def at_vendor(cls, name: str, fields: Mapping[str, Any]) -> type[Self]:
        """Return the class of the vendor *name*, of which a user tells in the *fields* of a row.

            AcmeProvider = OpenAIProvider.at_vendor("acme", {"base_url": "https://llm.acme.com/v1"})

        Raises:
            ConfigurationError: A field is unknown or wrong; see `VendorRow.read`.
        """
        from types import new_class

        from bruno_llm_openai.row import VendorRow

        row = VendorRow.read(name, fields)
        title = f"{name.title()}{cls.__name__.removeprefix('OpenAI')}"
        # for pickle, as the class has no module from which it can be imported
        told = {"_told": (cls, name, fields)}
        return cast(
            type[Self], new_class(title, (cls,), {"row": row}, lambda own: own.update(told))
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what `at_vendor` was told, if it made the class."""
        build = cast(Any, super().__reduce__()[0])
        if "_told" not in vars(type(self)):
            return build, ()
        kind, name, fields = vars(type(self))["_told"]
        return partial(_at_vendor, kind, name, fields, build.keywords), ()

    @classmethod
    def own_address(cls) -> str:
        return cls.default_base_url if cls.row is None else cls.row.address()

    @classmethod
    def read_address(cls, value: str) -> str:
        # the vendors' own SDKs want no path there
        bare = cls.row is not None and not urlsplit(value).path.strip("/")
        return value.rstrip("/") + urlsplit(cls.default_base_url).path if bare else value

    @staticmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Return a transport over the SDK."""
        import openai

        return SdkTransport.open(openai, openai.AsyncOpenAI, access=access, timeouts=timeouts)


def _at_vendor(kind: type[OpenAIVendor], name: str, fields: Json, keywords: Json) -> OpenAIVendor:
    made: Any = kind.at_vendor(name, fields)
    return cast(OpenAIVendor, made(**keywords))


@dataclass(frozen=True, slots=True)
class OpenAIAdapter(Adapter):
    """How OpenAI's endpoints spell things.

    Attributes:
        api: Whose state is read and sent back: servers of this protocol refuse each other's fields.
        row: What the server does in its own way; None for OpenAI's, and behind a client of the user's.
    """

    api: str = "openai"
    row: "VendorRow | None" = None
    models_path: str | None = "/models"

    error_kinds = _ERRORS

    @classmethod
    def at(cls, access: Access, row: "VendorRow | None" = None) -> Self:
        """Return the adapter for the server at *access*, which is that of *row*, or of that address."""
        if row is None and access.base_url is not None and not is_openais(access.base_url):
            from bruno_llm_openai.vendors import row_at  # OpenAI itself needs none of them

            row = row_at(access.address)
        if row is not None:
            return cls(api=row.name, row=row, models_path=row.models_path)
        own = access.base_url or access.client_address
        return cls(api=urlsplit(own).hostname or "openai")

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        # OpenAI does not tell; most others do
        return {
            row["id"]: next(filter(None, map(row.get, _WINDOWS)), None) for row in read_models(data)
        }

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        facts = Adapter.read_error(self, status, headers, data)
        kind = None if self.row is None else self.row.error_kinds.get(facts.code or "")
        return facts if kind is None else replace(facts, kind=getattr(exceptions, kind))

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        return read_limits(headers, _LIMITS if self.row is None else self.row.limit_headers)
