"""The pictures of one training batch after another; where they come from a file, ahead of need.

A pack that does not fit into a GPU's memory is read while the GPU computes: one thread gathers the
next batch into pinned memory and sends it off on a stream of its own. Everywhere else gathering
takes less than handing it to a thread would.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from workers.data.pictures import Pictures

Gathered = TypeVar("Gathered")


def gathered_batches(pictures: Pictures, batches: Sequence[Tensor]) -> Generator[Tensor]:
    """Pictures of each batch, uint8 (b, c, s, s) on their device, in order.

    Whoever may stop before the last batch closes it (`contextlib.closing`), so that no thread
    outlives the epoch.

    Args:
        pictures: Resident, or gathered from the file.
        batches: Indices into the pictures, int64 (b,) on the CPU each.

    Yields:
        A tensor that the receiver owns.
    """
    if pictures.resident is not None or pictures.device.type != "cuda":
        yield from map(pictures.gather, batches)
        return
    stream = torch.cuda.Stream(pictures.device)  # type: ignore[no-untyped-call]
    present = torch.cuda.current_stream(pictures.device)
    ahead = gathered_ahead(lambda batch: _sent(pictures, batch, stream), batches)
    with contextlib.closing(ahead) as arriving:
        for sent, arrival in arriving:
            present.wait_event(arrival)
            # The side stream's memory: it must not be given out again while a step reads it.
            sent.record_stream(present)
            yield sent


def gathered_ahead(
    gather: Callable[[Tensor], Gathered], batches: Sequence[Tensor]
) -> Generator[Gathered]:
    """What `gather` returns for each batch, in order, each begun while the one before is in use.

    One thread, one batch ahead. It has ended when the generator is exhausted, closed, or raises.

    Args:
        gather: Called in the thread; what it raises is raised here, in its batch's place.
        batches: Its arguments.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        upcoming: Future[Gathered] | None = None
        for batch in batches:
            present, upcoming = upcoming, thread.submit(gather, batch)
            if present is not None:
                yield present.result()
        if upcoming is not None:
            yield upcoming.result()


def _sent(
    pictures: Pictures, batch: Tensor, stream: torch.cuda.Stream
) -> tuple[Tensor, torch.cuda.Event]:
    """Pictures on their way to the GPU, and the event of their arrival.

    The allocator keeps pinned memory from being given out again before the copy has read it.
    """
    shape = (len(batch), *pictures.images.shape[1:])
    pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    pictures.read_into(pinned, batch)
    with torch.cuda.stream(stream):
        return pinned.to(pictures.device, non_blocking=True), stream.record_event()
