"""Advice in the words of the shell: the library's errors tell programs what to do."""

import re

_IN_SHELL = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r" or pass (api_key|base_url)\b", ""),
        (
            r"(\S+) has no model of its own choice: give model=, one that list_models\(\) names",
            r"\1 has no model of its own choice: give -m \1/MODEL; `bruno-llm models \1` lists them",
        ),
        (r'create\("openai", base_url=\.\.\.\)', "set OPENAI_BASE_URL, and ask openai/MODEL"),
        (r"\bllm\.map\(\) asks", "`bruno-llm map` asks"),
        (
            r"so Budget\(([\d.]+).*\) cannot hold: .*Budget\(on_unknown_price=\"allow\"\)",
            (
                r"so --budget \1 cannot hold: leave it out, name the vendor whose prices hold in"
                r" BRUNO_LLM_PRICE_NAME, or set BRUNO_LLM_FREE=true if it costs nothing"
            ),
        ),
        (r"\braise the budget\b", "raise --budget"),
        (r"(?<![\w.'\"`-])max_tokens\b", "--max-tokens"),
        (r"\blower the reasoning effort\b", "lower --reasoning"),
        (
            r"give Media\(.*\), such as 'image/png'",
            "convert it to a kind that is known, such as .png, .pdf or .mp3",
        ),
        (r", or give the provider media=MediaPolicy\(.*?\)", ""),
        (
            r", or have less under way at once with RateLimit\(.*?\)",
            ", or lower --concurrency",
        ),
        (r"^output is (.*): give a JSON schema, or a type", r"--schema is \1: give a JSON schema"),
        (r"^into is ", "--output is "),
    )
)


def in_shell_words(text: str) -> str:
    """Return an error's text with what a program may do in the words of options and variables."""
    for pattern, words in _IN_SHELL:
        text = pattern.sub(words, text)
    return text
