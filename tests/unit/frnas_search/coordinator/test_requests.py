from __future__ import annotations

from frnas_search.coordinator.optimizer import Proposal, proposal_of
from frnas_search.coordinator.requests import RequestFactory
from tests.unit.frnas_search.conftest import proposal


def test_numbering_goes_on_after_an_earlier_session() -> None:
    first = RequestFactory(rungs=(1, 3, 9), seed=0)
    earlier = [first.next(proposal(1, 0)), first.next(proposal(2, 0))]
    later = RequestFactory(rungs=(1, 3, 9), seed=0)
    later.remember(earlier)
    new, promoted = later.next(proposal(3, 0)), later.next(proposal(2, 1))
    assert (new.trial_id, new.config_id) == ("t0003", "c0003")
    assert (promoted.trial_id, promoted.config_id) == ("t0004", "c0002")


def test_the_order_of_a_configurations_values_does_not_matter() -> None:
    factory = RequestFactory(rungs=(1,), seed=0)
    one = proposal(1, 0)
    reordered = type(one)(
        configuration=dict(reversed(list(one.configuration.items()))), rung=one.rung
    )
    assert factory.next(one).config_id == factory.next(reordered).config_id


def test_a_request_says_why_it_was_proposed_and_its_proposal_can_be_had_again() -> None:
    factory = RequestFactory(rungs=(1, 3), seed=0)
    proposed = Proposal(configuration={"head": "CosFace"}, rung=1, origin="model")
    request = factory.next(proposed)
    assert (request.origin, proposal_of(request).origin) == ("model", "model")
    assert proposal_of(request) == proposed
    assert factory.next(Proposal(configuration={"head": "ArcFace"}, rung=0)).origin == ""


def test_why_it_is_made_tells_no_proposal_from_another() -> None:
    one, other = (
        Proposal(configuration={"head": "CosFace"}, rung=0, origin=origin)
        for origin in ("initial", "random")
    )
    assert one == other
