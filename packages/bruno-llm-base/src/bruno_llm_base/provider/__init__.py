"""What every provider is: `BaseProvider`, in layers of one concern each."""

from bruno_llm_base.provider.llm import BaseProvider
from bruno_llm_base.vendor import Diagnosis, Vendor

__all__ = ["BaseProvider", "Diagnosis", "Vendor"]
