"""A stand-in: what one model's tokens look like, learned from its answers."""

from bruno_llm_base.conversation import Conversation
from bruno_llm_base.tokens import TokenCount, estimate_conversation, estimate_tokens

__all__ = ["Calibration"]


class Calibration:
    """What is known of one model's tokens."""

    @property
    def due(self) -> bool:
        """Whether learning from the next answer is worth its time."""
        return False

    def count_text(self, text: str) -> TokenCount:
        """Return about how many tokens *text* takes."""
        return TokenCount(tokens=estimate_tokens(text), exact=False, source="estimate", error=0.5)

    def count_conversation(self, conversation: Conversation) -> TokenCount:
        """Return about how many tokens *conversation* takes."""
        tokens = estimate_conversation(conversation)
        return TokenCount(tokens=tokens, exact=False, source="estimate", error=0.5)

    def learn(self, conversation: Conversation, reported: int) -> None:
        """Learn from how many tokens the server found in *conversation*."""
