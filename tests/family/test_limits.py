import pytest
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_claude import limits as claude
from bruno_llm_gemini import limits as gemini
from bruno_llm_openai import limits as openai


@pytest.mark.parametrize(
    ("vendor", "name", "text"),
    [
        (
            gemini,
            "free-2.5-flash",
            "requests_per_minute=10, tokens_per_minute=250000, requests_per_day=250",
        ),
        (openai, "tier-1-gpt-5", "requests_per_minute=500, tokens_per_minute=500000"),
        (claude, "tier-1-sonnet-4", "requests_per_minute=50, tokens_per_minute=38000"),
        (claude, "start-fable-5", "requests_per_minute=1000, tokens_per_minute=600000"),
    ],
)
def test_well_known_tiers_have_names(vendor, name, text):
    assert repr(vendor.rate_limit(name)) == f"RateLimit({text})"


@pytest.mark.parametrize("vendor", [claude, gemini, openai])
def test_every_preset_makes_limits_of_its_own(vendor):
    for name in vendor.PRESETS:
        assert vendor.rate_limit(name) is not vendor.rate_limit(name)


@pytest.mark.parametrize("vendor", [claude, gemini, openai])
def test_an_unknown_preset_names_those_that_there_are(vendor):
    with pytest.raises(ConfigurationError) as caught:
        vendor.rate_limit("gold")
    assert all(name in str(caught.value) for name in vendor.PRESETS)
    near = next(iter(vendor.PRESETS))
    with pytest.raises(ConfigurationError, match="did you mean"):
        vendor.rate_limit(near[:-1])
