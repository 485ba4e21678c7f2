"""placeholder"""


class ModelContract: ...


class ProviderContract: ...
