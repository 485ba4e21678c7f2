"""The seam between the base and a vendor: what all of its endpoints have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bruno_llm_base.error_kinds import read_error_document
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.failures import ErrorFacts
from bruno_llm_base.limits import LimitState
from bruno_llm_base.policies import Timeouts
from bruno_llm_base.transport import Transport
from bruno_llm_base.types import Json

if TYPE_CHECKING:
    from bruno_llm_base.access import Access

__all__ = ["Diagnosis", "Vendor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a provider can be used, and if not, why.

    Attributes:
        ok: Whether it answers, takes the key and, where that can be told, has the model.
        reason: What is wrong, for people; None if nothing is.
        error: The error behind it.
        models: The models on offer.
    """

    ok: bool
    reason: str | None = None
    error: LLMError | None = None
    models: tuple[str, ...] = ()


class Vendor(ABC):
    """What a vendor's chat and its embeddings have in common: where it is, and how it speaks.

    A provider of one kind declares all this itself. A vendor that offers both writes it once, in a
    class of its own, and derives each from that and from `BaseProvider` or `BaseEmbeddings`.

    The functions never touch the network, never call back and need no `try`: a document that does
    not fit is reported by the base. `open_transport` alone reaches outside.

    Attributes:
        name: What the provider is called in configuration, errors and logs.
        default_model: The model where none is named.
        default_base_url: The vendor's own address.
        api_key_env: Environment variables that may hold the key, the first set one wins.
        needs_key: Whether the vendor's own address wants a key.
        base_url_env: The environment variable for an address of one's own.
        endpoints: What requests add to an address, the API's version too: left off the end of one
            that was copied with it.
        client_type: What makes a client that users may give; None if any object will do.
        client_call: One of such a client's methods, which is asynchronous.
        sdk: The module that `open_transport` imports; loaded at the first request. "" for none.
        models_path: The endpoint that lists the models.
        price_name: What lists of prices call the vendor; None if none does.
        free: Why its answers cost nothing; None if they do.
        firm_windows: Whether a model's window stays as large as the server has once said.
        capabilities: What it can do, for the factories' `providers()`.
    """

    name: ClassVar[str]
    default_model: ClassVar[str]
    default_base_url: ClassVar[str]
    api_key_env: ClassVar[tuple[str, ...]] = ()
    needs_key: ClassVar[bool] = True
    base_url_env: ClassVar[str | None] = None
    endpoints: ClassVar[tuple[str, ...]] = ()
    client_type: ClassVar[str | None] = None
    client_call: ClassVar[str] = ""
    sdk: ClassVar[str] = "httpx"
    models_path: ClassVar[str]
    price_name: ClassVar[str | None] = None
    free: str | None = None
    firm_windows: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[str]] = frozenset()

    if TYPE_CHECKING:
        # a vendor's own constructor takes its keywords out, and passes the others on to the base

        def __init__(self, model: str | None = None, **keywords: Any) -> None: ...

        def __reduce__(self) -> tuple[Any, ...]: ...

    @property
    @abstractmethod
    def model(self) -> str:
        """The model that is asked."""

    @property
    @abstractmethod
    def access(self) -> "Access":
        """Where the API is, and the key: what `open_transport` needs."""

    @property
    @abstractmethod
    def timeouts(self) -> Timeouts:
        """How long each step of an attempt may take."""

    @abstractmethod
    def open_transport(self) -> Transport:
        """Return a transport for the running event loop; the SDK is imported here."""

    def plain_name(self, model: str) -> str:
        """Return the one name of *model*, where users may write it in several ways."""
        return model

    def read_address(self, value: str) -> str:
        """Return the URL that a value of the variable `base_url_env` stands for."""
        return value

    @abstractmethod
    def parse_models(self, data: Json) -> list[str]:
        """Read the names of the models on offer."""

    def judge(self, models: list[str]) -> Diagnosis:
        """Say whether a server that offers *models* will do."""
        return Diagnosis(ok=True, models=tuple(models))

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        """Read an error; what it leaves open, the HTTP status decides.

        `read_error_document` knows most spellings. An API with codes of its own tells it, in
        addition, what they stand for.

        Args:
            status: The HTTP status.
            headers: The headers of the answer.
            data: The document. Of a list or a text it is the field `error`.
        """
        del headers
        return read_error_document(status, data)

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        """Read what the server says of its own rate limits; None if nothing."""
        del headers
        return None

    def most_output(self, body: Json) -> int | None:
        """Return how many tokens *body* lets the model generate, reasoning included; None: any."""
        del body
        return 0  # of endpoints that only read

    def unlisted(self, body: Json) -> str | None:
        """Return the field of *body* for which the vendor charges what no list of prices tells."""
        del body
        return None

    def window_requests(self, model: str) -> tuple[tuple[str, str, Json | None], ...]:
        """Return what else tells the windows of models: method, path and body of requests."""
        del model
        return ()

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        """Read the context windows of models, in tokens.

        Args:
            data: The list of models, or what one of `window_requests` was answered with.
            model: The model that they were asked for.
        """
        del data, model
        return {}

    def advise(self, error: LLMError) -> str:
        """Return what the user may do about *error*, to be added to its message; "" for nothing."""
        del error
        return ""
