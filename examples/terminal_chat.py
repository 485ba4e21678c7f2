"""Chat with one provider; answers appear as they are written.

    BRUNO_LLM_PROVIDER=claude python examples/terminal_chat.py

The conversation is kept; an empty line, or the end of the input, ends it.
"""

from bruno_core.models import Message
from bruno_llm import LLMError, LLMFactory, user


def ask() -> str:
    """Return the next line of the input; nothing at its end."""
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def main() -> None:
    """Take turns until there is nothing to say."""
    llm = LLMFactory.from_env(system_prompt="You are brief.").sync
    conversation: list[Message] = []
    while question := ask():
        stream = llm.stream([*conversation, user(question)])
        try:
            for piece in stream:
                print(piece, end="", flush=True)
        except LLMError as error:
            print(f"\n[{type(error).__name__}: {error}]")
            continue
        answer = stream.response
        conversation += [user(question), answer.to_message()]
        print(f"\n[{answer.usage.output_tokens} tokens; {answer.finish_reason}]")


if __name__ == "__main__":
    main()
