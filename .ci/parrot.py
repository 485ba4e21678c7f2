"""Play a third party: build the wheel of `examples/bruno-llm-parrot`, and install it next to ours.

In an environment with nothing else it is found by its entry point, used, and put to its contract.
"""

# ruff: noqa: INP001, S101, T201 - a script that runs others, asserts and talks

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PARROT = Path(__file__).resolve().parent.parent / "examples" / "bruno-llm-parrot"


def main() -> int:
    """Build, install and use it; return 0 if all went well."""
    from wheels import DIST, PYTHON, built, new_environment, quietly

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(PARROT, folder / "parrot")
        pip = new_environment(folder / "env")
        python = str(folder / "env" / PYTHON)
        kit = f"bruno-llm-testing=={built()['bruno-llm-testing']}"
        try:
            quietly(*pip, "wheel", "--quiet", "--no-deps", "-w", name, str(folder / "parrot"))
            (wheel,) = folder.glob("bruno_llm_parrot-*.whl")
            shutil.rmtree(folder / "parrot" / "src")  # so that it is the wheel that is tested
            quietly(
                *pip,
                "install",
                "--quiet",
                "--no-compile",
                "--find-links",
                str(DIST),
                kit,
                str(wheel),
            )
            quietly(python, "-I", str(Path(__file__)), "use", str(folder / "parrot" / "tests"))
            tests = str(folder / "parrot" / "tests")
            quietly(python, "-I", "-m", "pytest", "-q", "--rootdir", name, tests)
        except subprocess.CalledProcessError as error:
            print(f"bruno-llm-parrot: FAILED\n{error.stdout}")
            return 1
    print("bruno-llm-parrot: found by its entry point, used, and true to its contract")
    return 0


def use(tests: str) -> None:
    """Find it as applications do, by its name alone, and talk to its fake server in *tests*."""
    from bruno_core.registry.llm_registry import LLMProviderRegistry
    from bruno_llm_base import LLMFactory

    sys.path.insert(0, tests)
    from test_parrot import FakeParrot

    info, _mock = sorted(LLMFactory.providers(), key=lambda info: info.name != "parrot")
    assert (info.name, info.distribution, info.error) == ("parrot", "bruno-llm-parrot", None), info
    with FakeParrot() as server:
        os.environ["PARROT_BASE_URL"] = server.address
        os.environ["PARROT_API_KEY"] = server.api_key
        registry = LLMProviderRegistry()
        registry.discover_plugins()
        for llm in (LLMFactory.create("parrot"), registry.get_instance("parrot")):
            assert asyncio.run(llm.generate("Polly?")) == "Polly?", llm


if __name__ == "__main__":
    if sys.argv[1:2] == ["use"]:
        use(sys.argv[2])
    else:
        sys.exit(main())
