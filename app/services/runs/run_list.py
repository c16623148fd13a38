"""The list of all runs, renewed look by look: a look costs about the same whatever it holds.

What goes on is read at each look, an ended run when its folder has changed. Where folders appear,
vanish or get other names, the folder above them changes. A launch of ours, of a new run or in an
old folder, writes its number into a file of saves/; after it every folder is looked at. What else
happens to an ended run shows when its turn comes: LOOKS folders a look.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from app.services.runs import listed_run, run_index
from app.services.runs.listed_run import ListedRun
from app.services.runs.run_index import Entry, Stamp, stamp_of
from backend.contract.launching.launch import LOCK
from backend.contract.runs import run_files
from backend.contract.runs.run_folder import RUN

LOOKS = 1000  # folders of ended runs that a look compares with their stamps
READS = 5  # ended runs that a look reads anew: no stamp tells what changes inside their files
LAUNCH_S = 60.0  # the checkpoint of a resumed run may be verified for long, before it begins

Changes = Mapping[str, tuple[ListedRun | None, ListedRun | None]]  # (before, now) by folder


@dataclass(frozen=True)
class Snapshot:
    """All runs at one moment, the newest first. The list is shared: do not change it.

    states   a number that rises when runs come, go or get another state
    changes  a number that rises with any change
    """

    runs: list[ListedRun]
    states: int = 0
    changes: int = 0


class RunList:
    """The runs in the folder `saves`, and those of its register of places."""

    def __init__(self, saves: Path) -> None:
        self._saves = saves
        self._places = _Places(saves)
        # Folders that changed before they were read, without a run that goes on; next turn first.
        self._settled = OrderedDict(run_index.load(saves))
        self._open: set[str] = set()  # all other folders
        self._launch: Stamp | None = None
        self._is_all_due = True
        self._runs: dict[str, ListedRun] = {}
        self._positions: dict[Path, int] = {}  # in the snapshot
        self._snapshot = Snapshot([])

    def look(self) -> Snapshot:
        """The runs as they are now."""
        folders, due = self._places.find()
        turns = list(islice(self._settled, LOOKS))
        distrusted = turns[:READS]
        is_all_due, self._is_all_due = self._is_all_due, False
        if self._is_launch_near() or is_all_due:
            due = folders | self._settled.keys()
        fresh: dict[str, Entry] = {}
        changes = {}
        for folder in due.union(turns, self._open):
            before = self._runs.get(folder)
            now = self._renew(folder, folders, fresh, is_trusted=folder not in distrusted)
            if now != before:
                changes[folder] = before, now
        for folder in (*turns[READS:], *distrusted):  # the next turn begins with others
            if folder in self._settled:
                self._settled.move_to_end(folder)
        if fresh:
            run_index.append(self._saves, fresh)
        self._publish(changes)
        return self._snapshot

    def expect_changes(self) -> None:
        """Look at every folder the next time, since a run was started, stopped or resumed."""
        self._is_all_due = True

    def _is_launch_near(self) -> bool:
        """Whether a run was started or resumed since the last look, or not long before it."""
        launch, before = stamp_of(str(self._saves / LOCK)), self._launch
        self._launch = launch
        return launch != before or (launch is not None and launch.age < LAUNCH_S)

    def _renew(
        self, folder: str, folders: set[str], fresh: dict[str, Entry], *, is_trusted: bool
    ) -> ListedRun | None:
        """Look at one folder; it is read if that is needed, or its entry is not trusted. What the
        index should hold of it goes into `fresh`."""
        stamp, known = stamp_of(folder), self._settled.get(folder)
        if stamp is not None and folder in folders and known and known.stamp == stamp:
            run = known.run if is_trusted else _read(folder)
            if run == known.run:
                self._remember(folder, run)
                return run
        self._settled.pop(folder, None)
        is_settled = stamp is not None and stamp.is_settled
        run = _read(folder) if stamp is not None and folder in folders else None
        self._remember(folder, run)
        self._open.discard(folder)
        if stamp is not None and is_settled and (run is None or run.ended):
            self._settled[folder] = Entry(stamp, run)
            if run is not None and listed_run.is_final(run):
                fresh[folder] = self._settled[folder]
        elif folder in folders:
            self._open.add(folder)
        return run

    def _remember(self, folder: str, run: ListedRun | None) -> None:
        if run is None:
            self._runs.pop(folder, None)
        else:
            self._runs[folder] = run

    def _publish(self, changes: Changes) -> None:
        """Make the snapshot that holds these changes."""
        if not changes:
            return
        old = self._snapshot
        if any(_order(before) != _order(now) for before, now in changes.values()):
            runs = sorted(self._runs.values(), key=lambda run: run.order, reverse=True)
            self._positions = {run.path: place for place, run in enumerate(runs)}
        else:
            runs = [*old.runs]
            for _, run in changes.values():
                if run is not None:
                    runs[self._positions[run.path]] = run
        is_other = any(_state(before) != _state(now) for before, now in changes.values())
        self._snapshot = Snapshot(runs, old.states + is_other, old.changes + 1)


def _read(folder: str) -> ListedRun | None:
    return listed_run.read(folder) if os.path.isfile(os.path.join(folder, RUN)) else None


def _order(run: ListedRun | None) -> object:
    return run and run.order


def _state(run: ListedRun | None) -> object:
    return run and run.state


class _Places:
    """The folders in which runs may lie: saves/<model>/<method>/<name>, and those of the register.

    What lies in a folder is listed again where the folder has changed.
    """

    def __init__(self, saves: Path) -> None:
        self._saves = saves
        self._known: dict[str, tuple[Stamp, tuple[str, ...]]] = {}
        self._inside: dict[str, tuple[str, ...]] = {}
        self._folders: set[str] = set()

    def find(self) -> tuple[set[str], set[str]]:
        """All folders; and those, there or gone, beside which something has changed."""
        register = str(self._saves / run_files.FILE)
        inside = {register: self._list(register)}
        for model in self._list(str(self._saves)):
            if os.path.basename(model) != run_files.NOT_RUNS:
                inside |= {method: self._list(method) for method in self._list(model)}
        due: set[str] = set()
        for place in inside.keys() | self._inside.keys():
            now, before = inside.get(place, ()), self._inside.get(place, ())
            if now is not before:
                due.update(now, before)
        if due:
            self._folders = set().union(*inside.values())
        self._inside = inside
        return self._folders, due

    def _list(self, place: str) -> tuple[str, ...]:
        """The folders in a folder, or in the register; the same object while nothing changes."""
        stamp, known = stamp_of(place), self._known.pop(place, None)
        if stamp is None:
            return ()
        if known is None or known[0] != stamp:
            is_settled = stamp.is_settled
            known = stamp, tuple(self._read(place))
            if not is_settled:
                return known[1]
        self._known[place] = known
        return known[1]

    def _read(self, place: str) -> list[str]:
        if os.path.basename(place) == run_files.FILE:
            return [str(folder) for folder in run_files.list_places(self._saves)]
        try:
            names = os.listdir(place)
        except OSError:  # it is no folder, or may not be read
            return []
        return [f"{place}/{name}" for name in names if not name.startswith(".")]
