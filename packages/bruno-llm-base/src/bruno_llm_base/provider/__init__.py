"""What every provider is: `BaseProvider`, in layers of one concern each."""

from bruno_llm_base.access import Vendor
from bruno_llm_base.provider.catalogue import Diagnosis
from bruno_llm_base.provider.llm import BaseProvider

__all__ = ["BaseProvider", "Diagnosis", "Vendor"]
