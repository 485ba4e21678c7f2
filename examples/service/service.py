"""A service for many users: streamed answers, a budget for each user, several providers.

pip install bruno-llm fastapi uvicorn
export OPENAI_API_KEY=... ANTHROPIC_API_KEY=... SERVICE_TOKENS='{"a-long-secret": "ana"}'
uvicorn service:app
"""

import asyncio
import json
import logging
import math
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from bruno_llm import (
    BaseProvider,
    Breaker,
    Budget,
    CostTracker,
    FallbackLLM,
    LLMFactory,
    ModelResponse,
    TextStream,
)
from bruno_llm_base import exceptions as errors
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import BaseModel, Field

T = TypeVar("T")
log = logging.getLogger("uvicorn.error")
TOKENS: dict[str, str] = json.loads(os.environ.get("SERVICE_TOKENS", "{}"))  # and whose they are
STATUSES: dict[type, int] = {  # of the errors' kinds, and of those that are of these kinds
    errors.BudgetExceededError: 402,
    errors.RateLimitError: 429,
    errors.InvalidRequestError: 400,
    errors.ContextLengthExceededError: 413,
    errors.ContentBlockedError: 422,
    errors.ModelNotFoundError: 500,
    errors.ConfigurationError: 500,
    errors.ServiceUnavailableError: 503,
    errors.CircuitOpenError: 503,
    errors.LLMTimeoutError: 504,
    errors.LLMError: 502,  # a key that is refused, an answer that breaks off, ...
}


class Question(BaseModel):
    """What a user asks."""

    text: str = Field(min_length=1, max_length=20_000)


@dataclass(frozen=True)
class Service:
    """What all requests share."""

    llm: FallbackLLM | BaseProvider
    costs: CostTracker
    budget: Budget


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Service]]:
    """Set up the providers when the service starts, and close their connections when it ends."""
    costs = CostTracker(os.environ.get("SERVICE_COSTS", "costs.db"))
    budget = Budget(os.environ.get("SERVICE_BUDGET", "0.50"), per="day", by="user")  # USD
    models = os.environ.get("SERVICE_MODELS", "openai claude").split()
    members = [
        LLMFactory.from_env(model, cost=costs, budget=budget, max_tokens=1_000, timeout=120)
        for model in models
    ]
    await asyncio.gather(*(member.warm_up() for member in members))
    async with FallbackLLM(members, breaker=Breaker()) as llm:
        yield {"service": Service(llm, costs, budget)}
    costs.close()


app = FastAPI(title="Questions and answers", lifespan=lifespan)


def service_of(request: Request) -> Service:
    """Return what all requests share."""
    service: Service = request.state.service
    return service


def user_of(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    """Return the user whose token it is."""
    if token.credentials not in TOKENS:
        raise HTTPException(401, "this token is not known")
    return TOKENS[token.credentials]


Shared = Annotated[Service, Depends(service_of)]
User = Annotated[str, Depends(user_of)]


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what *work* returns; if the client leaves before, it is cancelled."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())  # after its body, a request's only message
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(499, "the client has left")
        return task.result()
    finally:
        leaving.cancel()
        task.cancel()
        await asyncio.wait({task})  # what it took is booked before it ends


@app.post("/stream")
async def stream(
    question: Question, user: User, service: Shared, request: Request
) -> EventSourceResponse:
    """Answer piece by piece; the last event is `done` or `failed`."""
    with service.costs.label(user=user):  # what fails before the first piece has its own status
        answer = await while_connected(request, service.llm.stream(question.text))
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the latter is for nginx
    return EventSourceResponse(events_of(answer), headers=headers)


async def events_of(answer: TextStream) -> AsyncIterator[bytes]:
    """Yield the events of a streamed answer; where the client leaves, this is cancelled."""
    try:
        async with answer:
            async for piece in answer:
                yield format_sse_event(data_str=json.dumps(piece))
    except errors.LLMError as error:
        yield format_sse_event(data_str=json.dumps(told(error)[1]), event="failed")
    else:
        yield format_sse_event(data_str=json.dumps(facts(answer.response)), event="done")


@app.post("/ask")
async def ask(question: Question, user: User, service: Shared, request: Request) -> dict[str, Any]:
    """Answer when the answer is complete."""
    with service.costs.label(user=user):
        answer = await while_connected(request, service.llm.request(question.text))
    return {"text": answer.text, **facts(answer)}


def facts(answer: ModelResponse) -> dict[str, Any]:
    """Return what is known about an answer beside its text."""
    usage, cost = answer.usage, answer.cost
    tokens = {"input": usage.input_tokens, "output": usage.output_tokens}
    ended, dollars = answer.finish_reason, None if cost is None else str(cost.total)
    return {"model": answer.model, "finish_reason": ended, "tokens": tokens, "cost": dollars}


def told(error: errors.LLMError) -> tuple[int, dict[str, Any]]:
    """Return the status for an error, and what the user is told of it."""
    if isinstance(error, errors.AllProvidersFailedError):
        told_of = [told(each) for each in error.errors]
        if len({status for status, _ in told_of}) == 1:
            return told_of[0]
        status = 503
    else:
        status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    log.warning("%s: %s", type(error).__name__, error)
    # what is wrong on our side is for the log
    message = error.description if status < 500 else "no model can answer now"
    return status, {"error": type(error).__name__, "message": message}


@app.exception_handler(errors.LLMError)
async def refuse(_: Request, error: errors.LLMError) -> JSONResponse:
    """Answer with an error's status, and when to try again."""
    status, body = told(error)
    wait = error.retry_after
    headers = {} if wait is None else {"Retry-After": str(math.ceil(wait))}
    return JSONResponse(body, status, headers)


@app.get("/budget")
def budget(user: User, service: Shared) -> dict[str, str]:
    """Tell what the user has spent today, and what is left, in USD."""
    return {"spent": str(service.budget.spent(user)), "left": str(service.budget.left(user))}


@app.get("/health")
def health() -> dict[str, bool]:
    """Tell that the service runs."""
    return {"ok": True}


@app.get("/ready")
async def ready(service: Shared, response: Response) -> dict[str, Any]:
    """Tell whether a provider can be used; it is asked, at no cost."""
    diagnosis = await service.llm.diagnose()
    response.status_code = 200 if diagnosis.ok else 503
    return {"ok": diagnosis.ok, "reason": diagnosis.reason}
