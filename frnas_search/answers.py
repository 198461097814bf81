"""The documents of runs as bytes, made once for all who ask. For the HTTP API; any thread may ask.

A document that was made is kept until its run has changed, in a bounded number of bytes. Events
of the past are folded one question at a time: each may be a whole log.
"""

from __future__ import annotations

import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from results.documents import TrialListing, trial_listing
from results.follow import Followers
from results.query import load_view
from results.streams import json_pieces

if TYPE_CHECKING:
    from results.documents import Document
    from results.run_directory import RunDirectory
    from results.view import RunState, RunView

MakeDocument: TypeAlias = "Callable[[RunView, RunState], Document]"

_MOST_BYTES = 64 << 20
_LONGEST = 8 << 20
"""Bytes of a document that is still kept."""


class Answer(NamedTuple):
    """A document as it is sent.

    Attributes:
        tag: Another one for another document, as HTTP's `ETag` writes it.
        following: The address of the next page; None where there is none.
    """

    body: bytes
    tag: str
    following: str | None


class Answers:
    """Makes documents of runs, and keeps those that were asked for last.

    Args:
        followers: Of the runs.
        clock: Seconds that only rise.
    """

    def __init__(
        self, followers: Followers, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._followers = followers
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[Hashable, Answer]] = OrderedDict()
        self._n_bytes = 0
        self._lock = Lock()
        self._past = Lock()

    def document(
        self, run: RunDirectory, key: tuple[Hashable, ...], make: MakeDocument, *, long: str
    ) -> Answer:
        """A document of a run as of now.

        Args:
            run: The run.
            key: What is asked for; another document has another one.
            make: Makes the document.
            long: The field whose list may be long; it comes last.

        Raises:
            ResultsError: The log cannot be read, or what is asked for is not in the run.
        """
        follower = self._followers.of(run)
        with follower.reading() as (view, state):
            # What runs is told as of now, so it is made anew each second.
            second = int(self._clock()) if state == "running" else None
            moment = (follower, follower.n_folds, view.last_sequence, state, second)
            return self._made((run.path, *key), moment, lambda: make(view, state), long)

    def past(
        self, run: RunDirectory, key: tuple[Hashable, ...], make: MakeDocument, *, at: int
    ) -> Answer:
        """A run's front as of an earlier event; the arguments are those of `document`.

        Raises:
            SelectionError: The log has no such event.
            ResultsError: As of `document`.
        """
        follower = self._followers.of(run)
        with follower.reading() as (view, state):
            is_past = at < view.last_sequence
            moment = (follower, follower.n_folds, None if is_past else state)
        with self._past:
            kept = self._kept_of((run.path, *key), moment)
            if kept is not None and is_past:
                return kept
            then, state_then = load_view(run, at=at)
            return self._made((run.path, *key), moment, lambda: make(then, state_then), "front")

    def trials(self, run: RunDirectory, *, failed_only: bool) -> TrialListing:
        """All trials as of now, to be sent one after another; their rows are kept until then."""
        with self._followers.of(run).reading() as (view, state):
            return trial_listing(view, run=run.name, state=state, failed_only=failed_only)

    def _made(
        self,
        key: tuple[Hashable, ...],
        moment: Hashable,
        make: Callable[[], Document],
        long: str,
    ) -> Answer:
        kept = self._kept_of(key, moment)
        if kept is not None:
            return kept
        document = make()
        items = document.pop(long)
        body = b"".join(piece.encode() for piece in json_pieces(document, long, items))
        tag = f'"{zlib.crc32(body):08x}-{len(body):x}"'
        answer = Answer(body, tag, document.get("next"))
        self._keep(key, moment, answer)
        return answer

    def _kept_of(self, key: Hashable, moment: Hashable) -> Answer | None:
        with self._lock:
            then, answer = self._kept.get(key, (None, None))
            if then != moment:
                return None
            self._kept.move_to_end(key)
            return answer

    def _keep(self, key: Hashable, moment: Hashable, answer: Answer) -> None:
        with self._lock:
            _, before = self._kept.pop(key, (None, None))
            self._n_bytes -= 0 if before is None else len(before.body)
            if len(answer.body) > _LONGEST:
                return
            self._kept[key] = (moment, answer)
            self._n_bytes += len(answer.body)
            while self._n_bytes > _MOST_BYTES:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._n_bytes -= len(oldest.body)
