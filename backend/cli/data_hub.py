"""`tuneboard data search` and `get`, data sets on a hub, and the look of `preview --hub`."""

from argparse import Namespace

from backend.cli.command_words import PLACES, say_json, say_rows
from backend.cli.models import start_reporting
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import HUBS, REGISTRY, Entry, folder_of
from backend.contract.texts.locales import t
from backend.contract.texts.terminal_text import decimal_size, one_line, say
from backend.data.hub_look import get, look
from backend.datafiles import values
from backend.hub.results import HubSet
from backend.hub.search import search_sets


def search_hub(options: Namespace) -> int:
    """`data search WORDS [--limit N] [--hub_name HUB] [--json]`. Raises ModelError."""
    sets = search_sets(options.words_searched, options.limit, options.hub_name)
    nothing = t("cli.no_sets_match", words=options.words_searched)
    return say_rows(sets, _describe, nothing, as_json=options.json)


def preview_hub(options: Namespace) -> int:
    """`data preview --hub ID [--subset S] [--split S] [--folder F]`. Raises DataError."""
    seen = look(entry_of(options))
    if options.json:
        say_json({"name": options.hub, **seen.to_json()})
        return 0
    for number, row in enumerate(seen.rows):
        say(f"{number:>8}  {values.dumps(row, default=str)}")
    for reason in seen.proposal.reasons:
        say(reason.text())
    say(t("data.look.size", size=decimal_size(seen.size), files=seen.files))
    return 0


def get_set(options: Namespace) -> int:
    """`data get ID [--name X] [...]`: fetch a set and register it; its name is the last line on
    stdout. Raises DataError, DiskFullError, ModelError."""
    places, folder = _places(options), options.dataset_dir
    known = "" if places else registry.find_hub(options.hub, options.hub_name, folder)
    name = options.name or known or registry.free_name(options.hub, folder)
    registry.check_entry(name, {"file_name": "x"}, folder)
    entry = entry_of(options)
    layout = {} if entry.hub == "modelscope" else look(entry).proposal.entry
    get(entry, start_reporting(as_numbers=options.progress))
    if name != known:
        content = {HUBS[entry.hub]: entry.hub_id, **layout, **places}
        registry.register(name, content, folder, overwrite=options.overwrite)
    say(name)
    return 0


def entry_of(options: Namespace) -> Entry:
    """The set that the options name."""
    content = {HUBS[options.hub_name]: options.hub, **_places(options)}
    return dataset_info.parse(options.hub, content, folder_of(options.dataset_dir) / REGISTRY)


def _places(options: Namespace) -> dict[str, str]:
    """The part of a set that the options name."""
    return {place: getattr(options, place) for place in PLACES if getattr(options, place)}


def _describe(each: HubSet) -> str:
    """A line: size, name, and what the hub says of it."""
    size = "" if each.size is None else decimal_size(each.size)
    marks = [each.rows, each.format, each.license, t("cli.gated") if each.gated else ""]
    return f"{size:>8}  {one_line(each.name)}  {', '.join(filter(None, marks))}".rstrip()
