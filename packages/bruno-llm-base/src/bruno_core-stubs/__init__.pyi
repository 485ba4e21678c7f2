# Types of bruno-core 0.1.0, which ships none (PEP 561): what bruno-llm and its users touch. The rest is
# Any. To be deleted once bruno-core has a py.typed.

from typing import Any

def __getattr__(name: str) -> Any: ...
