"""The figures of docs/comparison.md: sizes of installs, and CPU time until the first answer.

`python3 run.py hatch run demo:python docs/comparison.py` prints them; it installs some 900 MB in a
folder that it removes.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bruno_llm_testing import FakeOpenAI

PACKAGES = Path(__file__).resolve().parent.parent / "packages"
OURS = [PACKAGES / "bruno-llm-base", PACKAGES / "bruno-llm-openai"]
ALL_OURS = [
    PACKAGES / f"bruno-llm-{name}" for name in ("claude", "cli", "gemini", "ollama", "prompts")
]
ROUNDS = 5
MODEL = "gpt-4.1"
# what is installed; what is imported for one question to OpenAI; the question
LIBRARIES = {
    "bruno-llm-openai": (
        OURS,
        "from bruno_llm_openai import OpenAIProvider",
        f"print(OpenAIProvider('{MODEL}').sync.generate('hi'))",
    ),
    "bruno-llm": (
        [*OURS, *ALL_OURS, PACKAGES / "bruno-llm"],
        "from bruno_llm import OpenAIProvider",
        f"print(OpenAIProvider('{MODEL}').sync.generate('hi'))",
    ),
    "pydantic-ai-slim[openai]": (
        ["pydantic-ai-slim[openai]"],
        "from pydantic_ai import Agent\nfrom pydantic_ai.models.openai import OpenAIChatModel",
        f"print(Agent(OpenAIChatModel('{MODEL}')).run_sync('hi').output)",
    ),
    "pydantic-ai": (["pydantic-ai"], None, None),
    "langchain langchain-openai": (
        ["langchain", "langchain-openai"],
        "from langchain_openai import ChatOpenAI",
        f"print(ChatOpenAI(model='{MODEL}').invoke('hi').content)",
    ),
    "langchain langchain-openai -anthropic -google-genai -ollama": (
        [
            *("langchain", "langchain-openai", "langchain-anthropic"),
            *("langchain-google-genai", "langchain-ollama"),
        ],
        None,
        None,
    ),
    "litellm": (
        ["litellm"],
        "from litellm import completion",
        f"print(completion('openai/{MODEL}', [dict(role='user', content='hi')]))",
    ),
    "llm": (
        ["llm"],
        "import llm",
        f"print(llm.get_model('{MODEL}').prompt('hi', stream=False).text())",
    ),
}


def cpu_time(python: Path, program: str, server: FakeOpenAI, home: Path) -> float:
    """Return how many milliseconds of CPU time a program takes."""
    address = server.connection()["base_url"]
    environment = {
        "HOME": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a list of prices when imported
        "OPENAI_API_KEY": server.api_key,
        "OPENAI_BASE_URL": address,
        "PATH": os.environ["PATH"],
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-c", program], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Install each, and print a line of a table about it."""
    with tempfile.TemporaryDirectory() as name, FakeOpenAI() as server:
        for number, (title, (wanted, imports, asks)) in enumerate(LIBRARIES.items()):
            folder = Path(name, str(number))
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
            python = folder / "bin" / "python"
            pip = (sys.executable, "-m", "pip", "--python", python)
            subprocess.run([*pip, "install", "--quiet", "--no-compile", *wanted], check=True)
            (packages,) = folder.glob("lib/*/site-packages")
            size = subprocess.run(
                ["/usr/bin/du", "-sm", packages], check=True, capture_output=True, text=True
            )
            cells = [title, size.stdout.split()[0], len(list(packages.glob("*.dist-info")))]
            if imports and asks:
                for program in (imports, f"{imports}\n{asks}"):
                    cpu_time(python, program, server, folder)  # compiles
                    took = [
                        cpu_time(python, program, server, folder)
                        - cpu_time(python, "pass", server, folder)
                        for _ in range(ROUNDS)
                    ]
                    cells.append(f"{median(took):,.0f}")
            print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
