"""0.2.0's imports: what is still there warns and works, what is gone says what to use."""

import importlib.metadata
import subprocess
import sys
import warnings

import bruno_llm
import bruno_llm_base
import bruno_llm_ollama
import bruno_llm_openai
import pytest

MOVED = {
    "bruno_llm.exceptions": {
        "AuthenticationError": bruno_llm_base.AuthenticationError,
        "ConfigurationError": bruno_llm_base.ConfigurationError,
        "ContextLengthExceededError": bruno_llm_base.ContextLengthExceededError,
        "InvalidResponseError": bruno_llm_base.InvalidResponseError,
        "LLMError": bruno_llm_base.LLMError,
        "ModelNotFoundError": bruno_llm_base.ModelNotFoundError,
        "ProviderNotFoundError": bruno_llm_base.ProviderNotFoundError,
        "RateLimitError": bruno_llm_base.RateLimitError,
        "StreamError": bruno_llm_base.StreamError,
        "TimeoutError": bruno_llm_base.LLMTimeoutError,
    },
    "bruno_llm.base": {
        "BaseEmbeddingProvider": bruno_llm_base.BaseEmbeddings,
        "BaseProvider": bruno_llm_base.BaseProvider,
    },
    "bruno_llm.base.base_provider": {"BaseProvider": bruno_llm_base.BaseProvider},
    "bruno_llm.base.embedding_interface": {"BaseEmbeddingProvider": bruno_llm_base.BaseEmbeddings},
    "bruno_llm.factory": {"LLMFactory": bruno_llm.LLMFactory},
}
EXTENDED = {
    "bruno_llm.embedding_factory": {"EmbeddingFactory": bruno_llm_base.EmbeddingFactory},
    "bruno_llm.factory": {"UnifiedProviderFactory": object},
    "bruno_llm.providers.ollama": {
        "OllamaConfig": object,
        "OllamaEmbeddingConfig": object,
        "OllamaEmbeddingProvider": bruno_llm_ollama.OllamaEmbeddings,
        "OllamaProvider": bruno_llm_ollama.OllamaProvider,
    },
    "bruno_llm.providers.ollama.config": {"OllamaConfig": object},
    "bruno_llm.providers.ollama.provider": {"OllamaProvider": bruno_llm_ollama.OllamaProvider},
    "bruno_llm.providers.openai": {
        "OpenAIConfig": object,
        "OpenAIEmbeddingConfig": object,
        "OpenAIEmbeddingProvider": bruno_llm_openai.OpenAIEmbeddings,
        "OpenAIProvider": bruno_llm_openai.OpenAIProvider,
    },
    "bruno_llm.providers.openai.embedding_provider": {
        "OpenAIEmbeddingProvider": bruno_llm_openai.OpenAIEmbeddings
    },
}
GONE = {
    "CacheEntry": "no successor",
    "CachingMiddleware": "no successor",
    "ContextLimits": "ContextPolicy",
    "ContextWindowManager": "ContextPolicy",
    "CostTracker": "bruno_llm_base.CostTracker",
    "LoggingMiddleware": "'bruno_llm'",
    "MODEL_LIMITS": "context_window()",
    "Middleware": "observers=",
    "MiddlewareChain": "observers=",
    "PRICING_CLAUDE": "Price",
    "PRICING_OLLAMA": "Price",
    "PRICING_OPENAI": "Price",
    "RateLimiter": "bruno_llm_base.RateLimit",
    "ResponseCache": "no successor",
    "RetryConfig": "bruno_llm_base.Retry",
    "RetryDecorator": "bruno_llm_base.Retry",
    "RetryMiddleware": "bruno_llm_base.Retry",
    "SimpleTokenCounter": "count_tokens()",
    "StreamAggregator": ".sentences()",
    "StreamBuffer": ".sentences()",
    "StreamProcessor": ".sentences()",
    "StreamStats": ".response",
    "TikTokenCounter": "count_tokens()",
    "TokenCounter": "count_tokens()",
    "TruncationStrategy": "ContextPolicy",
    "UsageRecord": "CostTracker",
    "ValidationMiddleware": "every provider",
    "create_token_counter": "count_tokens()",
    "retry_async": "bruno_llm_base.Retry",
    "stream_with_timeout": "Timeouts",
}
OLD_SUBMODULES = (
    *("base_provider", "cache", "context", "cost_tracker", "embedding_interface"),
    *("middleware", "rate_limiter", "retry", "streaming", "token_counter"),
)


def pairs(table):
    return [(module, name, kind) for module, names in table.items() for name, kind in names.items()]


def taken(module, name):
    """Import *name* as a program does, and return it with the warnings that this gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        space = {}
        exec(f"from {module} import {name} as value", space)  # noqa: S102
    return space["value"], caught


def check_warning(caught, name):
    (warning,) = caught
    assert warning.category is DeprecationWarning
    assert warning.filename == "<string>"  # where it is imported
    text = str(warning.message)
    assert f".{name} is deprecated and leaves in bruno-llm 0.5: use " in text


@pytest.mark.parametrize(("module", "name", "successor"), pairs(MOVED))
def test_a_name_that_moved_is_its_successor_and_warns_once(module, name, successor):
    value, caught = taken(module, name)
    assert value is successor
    check_warning(caught, name)
    assert successor.__name__ in str(caught[0].message)


@pytest.mark.parametrize(("module", "name", "base"), pairs(EXTENDED))
def test_a_name_with_other_words_stands_in_and_warns_once(module, name, base):
    value, caught = taken(module, name)
    assert issubclass(value, base)
    assert value.__name__ == name
    check_warning(caught, name)


@pytest.mark.parametrize(("name", "cure"), GONE.items())
@pytest.mark.parametrize("module", ["bruno_llm.base", "bruno_llm.base.cost_tracker"])
def test_a_name_that_is_gone_says_what_to_use(module, name, cure):
    with pytest.raises(ImportError, match=rf"bruno_llm\.base\.{name} is gone: ") as caught:
        taken(module, name)
    assert cure in str(caught.value)


def test_nothing_of_the_old_base_is_forgotten():
    module = importlib.import_module("bruno_llm.base")
    assert set(module.__all__) == {"BaseEmbeddingProvider", "BaseProvider"}
    assert len(GONE) == 30


@pytest.mark.parametrize("submodule", OLD_SUBMODULES)
def test_the_old_submodules_can_be_imported(submodule):
    assert importlib.import_module(f"bruno_llm.base.{submodule}") is sys.modules["bruno_llm.base"]


@pytest.mark.parametrize("module", sorted({*MOVED, *EXTENDED}))
def test_a_name_that_never_was_is_no_import(module):
    with pytest.raises(ImportError, match="cannot import name 'Nobody'"):
        taken(module, "Nobody")


def test_a_star_takes_all_names():
    space = {}
    with pytest.warns(DeprecationWarning, match="leaves in bruno-llm"):
        exec("from bruno_llm.exceptions import *", space)  # noqa: S102
    assert set(MOVED["bruno_llm.exceptions"]) <= set(space)


def silent(program):
    """Run a program in which our warnings are errors, and return what it prints."""
    start = "import warnings\nwarnings.filterwarnings('error', message='.*leaves in bruno-llm')\n"
    done = subprocess.run(
        [sys.executable, "-c", start + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_old_modules_are_there_without_an_import_of_their_own():
    version = silent("""
import bruno_llm
for module in ("base", "embedding_factory", "exceptions", "factory", "providers"):
    assert getattr(bruno_llm, module).__name__ == f"bruno_llm.{module}"
print(bruno_llm.__version__)
""")
    assert version == importlib.metadata.version("bruno-llm") == bruno_llm.__version__


def test_new_names_are_silent():
    silent("""
import bruno_llm
for name in bruno_llm.__all__:
    getattr(bruno_llm, name)
for name in ("openai", "claude", "gemini", "ollama"):
    llm = bruno_llm.LLMFactory.create(name, {"model": "m"}, api_key="k", timeout=5, max_retries=2)
    assert llm.model == "m"
assert len(bruno_llm.LLMFactory.providers()) >= 4
""")
