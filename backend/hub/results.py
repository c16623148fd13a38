"""What a search of a hub finds: models and data sets as their hub describes them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HubModel:
    """A model as its hub describes it.

    parameters    the numbers in its safetensors; None where the hub does not say
    size          the bytes of its weights; None where the hub does not say
    gated         whether its terms must be accepted before it can be downloaded
    obstacle      why it cannot be trained here: "no_safetensors" (pickles or GGUF only),
                  "architecture" (transformers has no class that writes text for it), "" for no
                  reason that can be seen from outside
    """

    name: str
    parameters: int | None = None
    license: str = ""
    gated: bool = False
    downloads: int = 0
    architecture: str = ""
    obstacle: str = ""
    size: int | None = None


@dataclass(frozen=True)
class HubSet:
    """A data set as its hub describes it.

    rows    how many it has, in the hub's words ("10K<n<100K"); "" where the hub does not say
    size    the bytes of its files; None where the hub does not say
    format  of its files, as json or parquet; "" where the hub does not say
    """

    name: str
    rows: str = ""
    size: int | None = None
    license: str = ""
    gated: bool = False
    downloads: int = 0
    format: str = ""
