"""Find pictures, videos and sounds in rows, which are not learned yet: columns and placeholders.

They are recognized by: a column of the entry's or of a usual name that is not empty; a column
whose name speaks of media and whose value is a file name, an address or the bytes of one; the
bytes of a picture or sound under any name; a placeholder in a user's turn.

Placeholders are those of LLaMA-Factory (`<image>`) and of model families' templates: Qwen-VL's
`<img>a.jpg</img>` and `<|image_pad|>`, Phi-3-vision's `<|image_1|>`, Llama 3.2's `<|image|>`,
`<image_1>` of sets with several pictures.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from backend.contract.registry.dataset_info import Entry

Placeholder = Literal["place", "tag", ""]

COLUMNS = ("images", "videos", "audios", "image", "video", "audio")
# First bytes of PNG, JPEG, GIF, RIFF (WebP, WAV, AVI), Ogg, FLAC, MP3; and of them in base64.
BYTES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"OggS", b"fLaC", b"ID3")
BASE64 = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "T2dnUw", "ZkxhQw", "SUQz")

speaking_name = re.compile(
    r"image|img|picture|photo|screenshot|video|audio|sound|speech|图片|图像|照片|视频|音频|语音"
    r"|(?<![a-z])(?:pic|clip|frame|wav)s?(?![a-z])",
    re.IGNORECASE,
)
file_name = re.compile(
    r"(?:data:(?:image|video|audio)/|https?://|file:/).*"
    r"|.*\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|avif|mp4|m4v|avi|mov|mkv|webm|wav|mp3|flac|ogg"
    r"|opus|m4a|aac)(?:[?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
mark = (
    r"(?:<(?:image|video|audio)>|<image_\d+>"
    r"|(?i:<\|(?:vision_start|vision_end|audio_bos|audio_eos)\|>)"
    r"|(?i:<\|(?:image|video|audio)(?:_pad|_\d+)?\|>))"
)
placeholder = re.compile(mark)
marks = rf"(?:(?:Picture|Image|Video|Audio) \d+: *)?{mark}"  # Qwen's add_vision_id numbers them
standing = re.compile(rf"\A{marks}|^[ \t]*(?:{marks}[ \t]*)+\r?$", re.MULTILINE)
named_file = re.compile(r"<(img|image|video|audio)>([^<>\n]+)</\1>")
code = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
# Words around a tag that is spoken of.
spoken_of = r"tags?|elements?|attributes?|tokens?|placeholders?|标签|元素|标记|占位符"
mention = re.compile(
    rf"(?:\b(?:{spoken_of})\s*[\"'“‘(]?<\|?\w+\|?>)|<\|?\w+\|?>[\"'”’)]?\s*(?:{spoken_of})",
    re.IGNORECASE,
)
closed = re.compile("</(?:image|video|audio)>")
web = re.compile(r"</[a-z]\w*>|<\w+ [^>]*>|\b(?:html5?|svg|xml|jsx|dom|css)\b|网页", re.IGNORECASE)


def columns(entry: Entry, read: Iterable[str]) -> tuple[str, ...]:
    """The columns that hold media by their names, or by the entry.

    One that is among those that are `read` as something else holds none.
    """
    named = [entry.columns[key] for key in COLUMNS if entry.columns and entry.columns.get(key)]
    return tuple(name for name in dict.fromkeys([*named, *COLUMNS]) if name not in set(read))


def has_media(row: Mapping[str, Any], names: Iterable[str], read: Collection[str]) -> bool:
    """Whether a row (or a message) has media in a column of these names, or in another one that
    is not `read` as something else."""
    if any(name in row and holds(row[name]) for name in names):
        return True
    return any(is_media(name, value) for name, value in row.items() if name not in read)


def holds(value: Any) -> bool:
    """Whether a value of a column of media is more than a place for a picture that is not there."""
    if isinstance(value, dict):
        return any(map(holds, value.values()))
    if isinstance(value, list):
        return any(map(holds, value))
    return isinstance(value, str | bytes) and bool(value.strip())


def is_media(name: str, value: Any) -> bool:
    """Whether a value is a picture, a video or a sound (or where one lies, if the name of its
    column speaks of such)."""
    if isinstance(value, dict):
        return any(is_media(name, each) for each in value.values())
    if isinstance(value, list):
        return any(is_media(name, each) for each in value[:1])
    if isinstance(value, bytes):
        return value.startswith(BYTES) or (bool(value) and _names_media(name))
    if not isinstance(value, str) or not value or not _names_media(name):
        return False
    text = value.strip()
    return text.startswith(BASE64) or ("\n" not in text and bool(file_name.fullmatch(text)))


def find_placeholder(text: str, *, beside_media: bool) -> Placeholder:
    """What a user's turn has of placeholders for pictures, videos and sounds: the "place" of one, a
    "tag" that is text, or "".

    `<video>` is a tag of HTML as well, and `docker run <image>` names what to fill in. In code,
    with its closing tag, and where the tag itself is spoken of (the <video> tag) it stands for
    nothing; else it is a place at the begin of the turn or alone on a line. beside_media: the set
    has columns of pictures, so that it is a place anywhere, but in a turn about web pages only at
    the begin or the end.
    """
    if "<" not in text:
        return ""
    rest = mention.sub("`", code.sub("`", text)).strip()
    if any(file_name.fullmatch(path.strip()) for _, path in named_file.findall(rest)):
        return "place"
    places = [place.span() for place in placeholder.finditer(rest)]
    if not places or closed.search(rest):
        return ""
    if standing.search(rest):
        return "place"
    ends = any(end == len(rest) for _, end in places)
    return "place" if beside_media and (ends or not web.search(rest)) else "tag"


@lru_cache(4096)
def _names_media(name: str) -> bool:
    return bool(speaking_name.search(name))
