"""Resume a training: find the checkpoint, compare the arguments, and state what each change does.

The arguments of then are read from the checkpoint, else from the run that it lies in. Of a
checkpoint that was written elsewhere only its adapter_config.json is known.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import (
    active_fields,
    alpha_follows,
    fields_of,
    format_value,
    parse,
    resolve,
)
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import describe_places, output, relative
from backend.contract.models import devices
from backend.contract.models.model_folder import adapter_config, is_hub_id, local
from backend.contract.registry.dataset_info import names
from backend.contract.runs import position
from backend.contract.runs.checkpoints import FOLDER, MANIFEST, is_resumable, newest_whole, verify
from backend.contract.runs.position import Cut, Position
from backend.contract.runs.resume_kinds import DEVICES, LAUNCH, Kind, begins_again, on_resume
from backend.contract.runs.run_files import RUN
from backend.contract.runs.run_names import NAMING
from backend.contract.runs.run_view import read
from backend.contract.runs.states import State
from backend.contract.system.files import read_json
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Params, Problem, RunFolderError, UsageError

FIELD: Final = "resume_from_checkpoint"
NEWEST = ("true", "auto")
SHOWN = 60  # characters of a value in a table


@dataclass(frozen=True, kw_only=True)
class Change:
    """An argument (or "devices") whose value differs from that of the checkpoint.

    kind     what happens to it: taken, kept or refused (see resume_kinds)
    effect   the last part of the key of its text
    params   the parameters of that text
    """

    name: str
    then: str
    now: str
    kind: Kind
    effect: str
    params: Params = field(default_factory=dict)

    def text(self, lang: str = "en") -> str:
        """What happens to it, in words."""
        if self.kind == "refused":
            return self.problem().text(lang)
        return t(f"resume.{self.effect}", lang, **self.params)

    def problem(self) -> Problem:
        """The problem that says why it is refused."""
        field = self.name if self.name in FIELDS else FIELD
        params: Params = {"name": self.name, "then": self.then, "now": self.now}
        return Problem(code=self.effect, field=field, params=params)


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """How a run is resumed.

    values        the values, with those that are kept put back to the checkpoint's
    damage        the problems of newer checkpoints, which are skipped
    total         all steps of the run, with those already done; 0 where it is unknown
    nothing_left  all steps are done
    shortened     the checkpoint's run was to take more steps than `total`
    """

    checkpoint: Path
    step: int
    values: Values
    changes: tuple[Change, ...]
    damage: tuple[Problem, ...] = ()
    total: int = 0
    nothing_left: bool = False
    shortened: bool = False

    def problems(self) -> list[Problem]:
        """The problems that prevent the run from being resumed."""
        refused = [each.problem() for each in self.changes if each.kind == "refused"]
        if refused or not self.nothing_left:
            return refused
        longer = "max_steps" if resolve(self.values).max_steps else "num_train_epochs"
        params: Params = {
            "step": self.step,
            "path": relative(self.checkpoint),
            "longer": longer,
        }
        return [Problem(code="resume_nothing_left", field=FIELD, params=params)]

    def place(self, path: str, lang: str = "en") -> str:
        """From which checkpoint (named `path`) and step the run is resumed, in words; or that it is
        finished, or has no step left."""
        if self.nothing_left:
            key = "passed" if self.shortened else "finished"
        elif 0 < self.total <= self.step:
            key = "only_saves"
        else:
            key = "from_steps" if self.total else "from"
        return t(f"resume.{key}", lang, path=path, step=self.step, total=self.total)

    def rows(self, lang: str = "en") -> list[list[str]]:
        """The changes as a table with titles: argument, then, now, kind, what happens."""
        titles = [
            t(f"resume.column.{name}", lang) for name in ("name", "then", "now", "kind", "text")
        ]
        return [titles] + [
            [each.name, each.then, each.now, t(f"resume.kind.{each.kind}", lang), each.text(lang)]
            for each in self.changes
        ]


def resumption(values: Values) -> Resumption | None:
    """How a training with these values is resumed; None where it starts anew or has no whole
    checkpoint. The checkpoint is read whole, once for each process (see `checkpoints.verify`)."""
    now = resolve(values)
    checkpoint, damage = checkpoint_of(now)
    if checkpoint is None:
        return None
    then = arguments_then(checkpoint, now)
    if alpha_follows(values) and then.lora_rank != now.lora_rank:
        now = now.replace(lora_alpha=then.lora_alpha)  # it follows the rank, which changed
    way = _Way.of(checkpoint, then, now)
    changes = way.changes()
    kept_names = {each.name for each in changes if each.kind == "kept"}
    kept_values = {name: then[name] for name in compare(then, now) if name in kept_names}
    return Resumption(
        checkpoint=checkpoint,
        step=way.step,
        values={**values, **kept_values},
        changes=changes,
        damage=tuple(damage),
        total=way.total,
        nothing_left=not way.steps_left and not _is_unfinished(checkpoint, now),
        shortened=way.before is not None and way.before.total > max(way.total, way.step),
    )


def require(values: Values) -> Values:
    """The values, with those that are kept put back. Raises UsageError where one is refused."""
    plan = resumption(values)
    if plan is None:
        return dict(values)
    problems = plan.problems()
    if problems:
        raise UsageError(*problems)
    return plan.values


def require_checkpoint(values: Values) -> Values:
    """As `require`. Raises RunFolderError where the requested checkpoint is missing or damaged, or
    none is whole."""
    checkpoint, problems = checkpoint_of(resolve(values))
    if checkpoint is None and problems:
        raise RunFolderError(*problems)
    return require(values)


def is_requested(values: Arguments) -> bool:
    """Whether a training is to be resumed."""
    return _get_requested(values).lower() not in {"", "false"}


def _get_requested(values: Arguments) -> str:
    """The requested checkpoint: a path, a keyword such as "true", or ""."""
    return (values.resume_from_checkpoint or "").strip()


def checkpoint_of(values: Arguments) -> tuple[Path | None, list[Problem]]:
    """The requested checkpoint, and the problems of newer ones.

    It is a folder, or the newest checkpoint of a run that is whole and holds the optimizer's state.
    None where none is requested, or where there is none: the problems say why.
    """
    if not is_requested(values):
        return None, []
    if _get_requested(values).lower() in NEWEST and not values.output_dir:
        return None, [Problem(code="resume_needs_folder", field="output_dir")]
    place, is_run = _place(values)
    if is_run:
        newest, damage = newest_whole(place, is_resumable)
        if newest is None:
            weights = newest_whole(place)[0]
            last = _missing("checkpoint_not_resumable", weights.path) if weights else None
            return None, [last or _missing("no_checkpoint", place), *damage]
        return newest.path, damage
    if not place.is_dir():
        return None, [_missing("checkpoint_missing", describe_places(_get_requested(values)))]
    try:
        if (place / MANIFEST).exists():
            verify(place)
    except RunFolderError as error:
        return None, list(error.problems)
    if not is_resumable(place):
        return None, [_missing("checkpoint_not_resumable", place)]
    return place, []


def _missing(code: str, place: Path | str) -> Problem:
    return Problem(code=code, field=FIELD, params={"path": str(place)})


def _place(values: Arguments) -> tuple[Path, bool]:
    """The requested folder, and whether it is that of a run; "true" means output_dir."""
    requested = _get_requested(values)
    if requested.lower() in NEWEST:
        return output(values.output_dir or ""), True
    path = local(requested)
    return path, (path / RUN).is_file()


def steps_in_all(before: Position, after: Position, then: Arguments, now: Arguments) -> int:
    """The steps in all of a run that was at `before` and is resumed at `after`."""
    if now.max_steps:
        return now.max_steps
    same = before.cut_as(after) and not then.max_steps
    if same and then.num_train_epochs == now.num_train_epochs:
        return before.total
    return after.steps_in_all(now.num_train_epochs)


def arguments_then(checkpoint: Path, now: Arguments) -> Arguments:
    """The arguments with which a checkpoint was written; unknown ones are taken from `now`."""
    then = _read_then(checkpoint)
    return resolve(then) if "model_name_or_path" in then else now.merge(then)


def _read_then(checkpoint: Path) -> Values:
    arguments = position.arguments(checkpoint)
    if not arguments:
        run = read_json(checkpoint.parent / RUN).get("arguments")
        arguments = run if isinstance(run, dict) else {}
    if arguments:
        known = {n: v for n, v in arguments.items() if n in FIELDS and "train" in FIELDS[n].tasks}
        return parse(known, "train")[0]
    config = adapter_config(checkpoint)
    raw: dict[ArgumentName, object] = {
        "finetuning_type": str(config.get("peft_type") or "").lower() or None,
        "lora_rank": config.get("r"),
        "use_dora": config.get("use_dora"),
        "use_rslora": config.get("use_rslora"),
    }
    return {name: value for name, value in raw.items() if isinstance(value, str | int)}


def compare(then: Arguments, now: Arguments) -> list[ArgumentName]:
    """The arguments that apply in both and differ; without secrets and those of the launch."""
    applying = [
        {row.name for row in active_fields(each.as_mapping(), "train")} for each in (then, now)
    ]
    return [
        row.name
        for row in fields_of("train")
        if row.name in applying[0] & applying[1]
        and row.name not in LAUNCH
        and not row.secret
        and not _same(row.name, then[row.name], now[row.name])
    ]


def device_count(values: Arguments) -> int:
    """The number of devices of a training."""
    return max(1, devices.group(values))


def cut_of(values: Arguments, processes: int) -> Cut:
    """The cut of a training with so many processes."""
    rows = values.per_device_train_batch_size * processes
    return Cut(rows, values.gradient_accumulation_steps)


@dataclass(frozen=True, kw_only=True)
class _Way:
    """The course of a run from a checkpoint on.

    `after` is None where the rows are different or the position in them is unknown; `total` is 0
    where it depends on these.
    """

    step: int
    then: Arguments
    now: Arguments
    before: Position | None
    after: Position | None
    total: int

    @classmethod
    def of(cls, checkpoint: Path, then: Arguments, now: Arguments) -> "_Way":
        match, before = FOLDER.fullmatch(checkpoint.name), Position.of(checkpoint)
        step = before.step if before else int(match[1]) if match else 0
        after, total = None, now.max_steps or 0
        if before and not begins_again(compare(then, now), then, now):
            after = before.going_on(cut_of(now, device_count(now)), before.size, before.order)
            total = steps_in_all(before, after, then, now)
        return cls(step=step, then=then, now=now, before=before, after=after, total=total)

    @property
    def steps_left(self) -> bool:
        """Whether a step is left, as far as that is known."""
        return not 0 < self.total <= self.step

    def changes(self) -> tuple[Change, ...]:
        """Every change, with what happens to it."""
        changes = [
            self._change(name, self.then[name], self.now[name])
            for name in compare(self.then, self.now)
        ]
        rows = self.then.per_device_train_batch_size
        if self.before and self.before.batch != rows * device_count(self.now):
            changes.append(self._change(DEVICES, self.before.batch // rows, device_count(self.now)))
        return tuple(changes)

    def _change(self, name: str, then: Value, now: Value) -> Change:
        kind, effect = on_resume(name, self.then, self.now)
        if effect in {"batch", DEVICES} and self.before is None:
            kind, effect = "refused", "resume_place_unknown"
        params = {"next": self.step + 1, "step": self.step, "total": self.total}
        if self.before:
            params["before"] = self.before.total
        if self.after:
            params |= {"row": self.after.rows + 1, "size": self.after.size}
            params["epoch"] = self.after.epoch + 1
        return Change(
            name=name,
            then=shorten(then),
            now=shorten(now),
            kind=kind,
            effect=self._text_of(name, effect) if kind == "taken" else effect,
            params=params,
        )

    def _text_of(self, name: str, effect: str) -> str:
        """The key of the text about a new value that is used, given the steps that are left."""
        same = self.before is not None and self.total == self.before.total
        if name == "num_train_epochs" and self.now.max_steps:
            return "length_by_steps"
        if not self.steps_left:
            return "length_done" if effect == "length" else "no_step_left"
        if effect == "batch" and self.after:
            return "batch_stream" if not self.after.size else "batch_same" if same else "batch"
        if effect in {"batch", "rate", "length"} and not (self.total and self.before):
            return f"{effect}_open"
        return "length_same" if effect == "length" and same else effect


def _is_unfinished(checkpoint: Path, values: Arguments) -> bool:
    """Whether a run that is resumed in its own folder has yet to save its result."""
    if not values.output_dir:
        return False
    own = output(values.output_dir).resolve() == checkpoint.parent.resolve()
    return own and read(checkpoint.parent).state is not State.SUCCEEDED


def _same(name: str, then: Value, now: Value) -> bool:
    """Whether two values mean the same, even where a path is spelt differently."""
    if then == now:
        return True
    if not (FIELDS[name].kind == "path" or name in NAMING) or then is None or now is None:
        return False
    places = [
        [
            part if name in NAMING and is_hub_id(part) else str(local(part).resolve())
            for part in names(each)
        ]
        for each in (then, now)
    ]
    return places[0] == places[1]


def shorten(value: Value) -> str:
    """A value for a cell of a table, at most SHOWN characters."""
    text = format_value(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
