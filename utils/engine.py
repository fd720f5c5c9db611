"""The engine of `transformers serve` with one model, held to what a server needs: `serving_app` assembles it.

Generation stops when its request is over. Answers are greedy unless the request asks for sampling. A request can name
no other model. What a request may hold is in `utils.payloads`, what may reach the engine in `utils.gate`.

The engine has two ways to generate: request after request (`OneByOne`), and all together, a token each in every
forward pass (`Together`, continuous batching: Yu et al., Orca, 2022, with a paged cache: Kwon et al., 2023).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.completion import CompletionHandler
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.serving.response import ResponseHandler
from transformers.cli.serving.server import build_server
from transformers.cli.serving.systemone import SystemOneHandler
from transformers.cli.serving.transcription import TranscriptionHandler
from transformers.cli.serving.utils import CBGenerateManager, GenerateManager, GenerationState

from utils.gate import Refusal, when_over
from utils.payloads import Rules, fit

# Of continuous batching, in tokens: a page of the cache (prompts share their start page by page, so pages are small),
# the whole cache, and what one forward pass reads.
PAGE_TOKENS, CACHE_TOKENS, PASS_TOKENS = 32, 16_384, 1024
NO_LIMIT = 2**31  # the context of a model that does not say how much it reads

Stream = tuple[asyncio.Queue, Any]
"""Pieces of the answer as they come, and the streamer that puts them there."""
Answer = tuple[str, int, Any]
"""The text, the number of tokens of the prompt, and the new token ids."""

_seed: ContextVar[int | None] = ContextVar("seed", default=None)


def serving_app(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rules: Rules, *, together: int = 0
) -> tuple[Any, GenerationState]:
    """A FastAPI application that answers with the model, and its engine, whose `shutdown` ends it.

    `together` is how many requests are answered in one forward pass; 0: one request after another.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or NO_LIMIT
    manager = Together(model, context, together) if together else OneByOne(context)
    engine = Engine(manager)
    parts = (OneModel(rules.model, model, tokenizer), engine)
    app = build_server(
        parts[0],
        ChatHandler(*parts, rules),
        completion_handler=TextHandler(*parts, rules),
        response_handler=ResponseHandler(*parts),
        transcription_handler=TranscriptionHandler(*parts),
        systemone_handler=SystemOneHandler(*parts),
        generation_state=engine,
    )
    return app, engine


class OneModel(ModelManager):
    """The model that was loaded at the start, whatever a request asks for."""

    def __init__(self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer, self.started = model, tokenizer, int(time.time())
        super().__init__(force_model=name)

    def load_model_and_processor(self, *_: object, **__: object) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Nothing is loaded, and nothing unloaded."""
        return self.model, self.tokenizer

    @staticmethod
    def process_model_name(model_id: str) -> str:
        """The name as it is; the engine would add a revision of the Hub."""
        return model_id

    def get_gen_models(self) -> list[dict[str, object]]:
        """What /v1/models lists."""
        return [{"id": self.force_model, "object": "model", "created": self.started, "owned_by": "local"}]


class OneByOne(GenerateManager):
    """`model.generate` for one request after another; a request that is over is dropped at its next token."""

    def __init__(self, context: int) -> None:
        super().__init__()
        self.context = context

    def generate_streaming(self, *arguments: Any, **more: Any) -> Stream:
        """Start generating; tokens come through the queue."""
        _fit(arguments, self.context)
        queue, streamer = super().generate_streaming(*arguments, **more)
        when_over(streamer.cancel)
        return queue, streamer

    async def generate_non_streaming(self, *arguments: Any, **more: Any) -> Answer:
        """The whole answer."""
        _fit(arguments, self.context)
        return await super().generate_non_streaming(*arguments, **more)

    def submit(self, fn: Callable, *args: Any, **kwargs: Any) -> Any:
        """What a streamed request runs."""
        return super().submit(partial(_seeded, _seed.get(), fn), *args, **kwargs)

    def async_submit(self, fn: Callable, *args: Any, **kwargs: Any) -> asyncio.Future:
        """What a request that is not streamed runs. The engine has no way to stop it: a streamer that raises is one."""
        stopper = Stopper()
        when_over(stopper.stop)
        work = super().async_submit(partial(_seeded, _seed.get(), fn), *args, streamer=stopper, **kwargs)
        work.add_done_callback(lambda done: done.exception())  # or asyncio logs what nobody waits for any more
        return asyncio.shield(work)  # its thread still reports to it then


class Stopper:
    """A streamer that keeps nothing and ends `generate` once `stop` was called."""

    def __init__(self) -> None:
        self.stopped = False

    def stop(self) -> None:
        """End generation before its next token."""
        self.stopped = True

    def put(self, value: torch.Tensor) -> None:
        """Called by `generate` with the prompt, and then with each new token."""
        if self.stopped:
            raise RuntimeError("The request is over.")

    def end(self) -> None:
        """Called by `generate` at the end."""


class Together(CBGenerateManager):
    """Continuous batching with a cache of limited size; greedy, as all requests of a pass are sampled alike."""

    def __init__(self, model: PreTrainedModel, context: int, requests: int) -> None:
        super().__init__(
            ContinuousBatchingConfig(
                page_size=PAGE_TOKENS,
                num_blocks=CACHE_TOKENS // PAGE_TOKENS,  # by default the cache takes most of the memory
                max_batch_tokens=PASS_TOKENS,
                max_requests_per_batch=requests,
            )
        )
        self.context = min(context, CACHE_TOKENS // 2)  # one request leaves room for others
        self.init_cb(model, GenerationConfig.from_dict(model.generation_config.to_dict() | {"use_cache": False}))

    def generate_streaming(self, *arguments: Any, request_id: str, **more: Any) -> Stream:
        """Add the request to the batch; tokens come through the queue."""
        _fit(arguments, self.context)
        when_over(partial(self._forget, request_id))
        return super().generate_streaming(*arguments, request_id=request_id, **more)

    async def generate_non_streaming(self, *arguments: Any, request_id: str) -> Answer:
        """Add the request to the batch; the whole answer."""
        _fit(arguments, self.context)
        when_over(partial(self._forget, request_id))
        return await super().generate_non_streaming(*arguments, request_id=request_id)

    def _forget(self, request_id: str) -> None:
        """Take a request out of the batch, if it is still there."""
        self._cb.cancel_request(request_id)
        self._cb.output_router.result_handlers.pop(request_id, None)


class Engine(GenerationState):
    """The one way to generate, for every request."""

    def __init__(self, manager: OneByOne | Together) -> None:
        super().__init__(continuous_batching=isinstance(manager, Together))
        self.manager = manager

    def get_manager(self, model_id: str, use_cb: bool = False) -> OneByOne | Together:
        """The manager; there is only one model."""
        return self.manager

    def is_cb_alive(self) -> bool:
        """False once continuous batching has broken down: /health then says so."""
        return not isinstance(self.manager, Together) or self.manager.is_alive()

    def shutdown(self) -> None:
        """End the engine's threads."""
        self.manager.stop()


class _Ruled:
    """A handler of the engine whose requests are checked by the rules first, and greedy unless they ask otherwise."""

    def __init__(self, models: OneModel, engine: Engine, rules: Rules) -> None:
        super().__init__(models, engine)
        self.rules = rules

    def checked(self, body: dict) -> dict[str, object]:
        """The request as the engine gets it. Raises Refusal."""
        raise NotImplementedError

    async def handle_request(self, body: dict, request_id: str) -> Any:
        """Answer a request."""
        request = self.checked(body)
        _seed.set(request.pop("seed", None))
        try:
            return await super().handle_request(request, request_id)
        except TemplateError as error:
            message = f"The model's chat template does not take these messages: {error}"
            raise Refusal(400, message, "invalid_request") from None

    def _build_generation_config(self, body: dict, *rest: Any, **more: Any) -> GenerationConfig:
        config = super()._build_generation_config(body, *rest, **more)
        config.do_sample = "temperature" in body
        if config.do_sample:
            config.top_k = 0  # OpenAI's interface has none
        return config


class ChatHandler(_Ruled, ChatCompletionHandler):
    """/v1/chat/completions"""

    def checked(self, body: dict) -> dict[str, object]:
        """The request as the engine gets it. Raises Refusal."""
        return self.rules.chat(body)


class TextHandler(_Ruled, CompletionHandler):
    """/v1/completions"""

    def checked(self, body: dict) -> dict[str, object]:
        """The request as the engine gets it. Raises Refusal."""
        return self.rules.completion(body)


def _fit(arguments: tuple[Any, ...], context: int) -> None:
    """Shorten the answer to what the context leaves; raises Refusal if that is nothing."""
    _, _, inputs, config = arguments
    ids = inputs["input_ids"]
    length = len(ids) if isinstance(ids, list) else ids.shape[-1]
    config.max_new_tokens = fit(length, config.max_new_tokens, context)


def _seeded(seed: int | None, fn: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call a function on the inference thread. The seed is set there, lest requests in line overwrite each other's."""
    if seed is not None:
        torch.manual_seed(seed)
    return fn(*args, **kwargs)
