"""What a kernel did wrong."""


class Fault(Exception):
    """`kind` is "out of bounds", "misaligned", "race", "barrier" or "lanes"."""

    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind = kind
