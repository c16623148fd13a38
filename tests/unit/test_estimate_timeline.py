"""The fullest moment of a training step, put together from the segments of its parts."""

from backend.estimate.timeline import HEAD, START, Moment, Passes, Segment, fullest, unfold

# Each layer keeps 10 of the 14 that it needs, and frees them in the backward pass, in which it
# leaves gradients of 4; the head keeps 5 of 9.
LAYER = Passes(Segment(14, 10), Segment(6, -6, gradients=4))
PARTS = {
    START: Passes(Segment(2, 2), Segment(3, 1, gradients=3)),
    "layer": LAYER,
    HEAD: Passes(Segment(9, 5), Segment(8, -5)),
}


def test_a_kind_of_layer_counts_as_often_as_there_are_such_layers() -> None:
    # 2 + 3 x 10 before the head, and 9 in it
    assert fullest(unfold(PARTS, ["layer"] * 3)) == Moment(activations=32, logits=13)
    deep = fullest(unfold(PARTS, ["layer"] * 30))
    assert (deep.activations, deep.logits) == (302, 13)


def test_gradients_can_make_the_end_the_fullest_moment() -> None:
    heavy = Passes(Segment(1, 1), Segment(20, 19, gradients=20))
    parts = {**PARTS, "layer": heavy, HEAD: Passes(Segment(1, 0), None)}
    moment = fullest(unfold(parts, ["layer"] * 2))
    # 2 and 2 kept activations, of which the backward pass of each layer frees one, and its last
    # part adds gradients of 3 to the 40 of the layers
    assert moment == Moment(activations=2, gradients=43, logits=0)


def test_layers_that_no_gradient_reaches_have_no_backward_pass() -> None:
    frozen = Passes(Segment(4, 0), None)
    parts = {**PARTS, "frozen": frozen, START: Passes(Segment(2, 2), None)}
    segments = unfold(parts, ["frozen", "frozen", "layer"])
    names = [name for name, _ in segments]
    assert names == [START, "frozen", "frozen", "layer", HEAD, HEAD, "layer"]
    assert fullest(segments).total == 2 + 10 + 5 + 8


def test_what_the_head_frees_of_before_is_no_negative_logits() -> None:
    parts = {**PARTS, HEAD: Passes(Segment(1, -3), Segment(40, 0))}
    moment = fullest(unfold(parts, ["layer"]))
    assert moment.logits >= 0
    assert moment.total == 2 + 10 - 3 + 40
