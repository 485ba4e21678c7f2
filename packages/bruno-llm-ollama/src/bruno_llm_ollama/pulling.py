"""What Ollama reports while it pulls a model (https://docs.ollama.com/api/pull)."""

from bruno_llm_base import Json
from bruno_llm_base.response import Progress
from bruno_llm_base.values import is_whole

__all__ = ["is_last", "read"]


def read(data: Json) -> Progress:
    """Read one report; a layer that has not begun has no `completed`."""
    step = data["status"]
    if not isinstance(step, str):
        raise TypeError("status")
    total, done, digest = (data.get(name) for name in ("total", "completed", "digest"))
    if not is_whole(total, least=1):
        return Progress(step=step)
    return Progress(
        step=step,
        part=digest if isinstance(digest, str) else None,
        done=done if is_whole(done, least=0) else 0,
        total=total,
    )


def is_last(progress: Progress) -> bool:
    """Say whether the model is there."""
    return progress.step == "success"
