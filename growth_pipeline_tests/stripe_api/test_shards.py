"""Windows of a list: what they have given, where they are cut. Expected values by hand or by loop."""

import random

import pytest

from growth_pipeline.stripe_api.shards import Given, Shard, are_whole


def objects(*pairs: tuple[str, int]) -> list[dict]:
    return [{"id": id, "created": created} for id, created in pairs]


def ids(found: list[dict]) -> list[str]:
    return [one["id"] for one in found]


# --- what was given ------------------------------------------------------------------------------


def test_an_object_that_comes_again_is_given_once():
    given = Given()
    assert ids(given.take(objects(("c", 9), ("b", 8)))) == ["c", "b"]
    assert ids(given.take(objects(("b", 8), ("a", 7)))) == ["a"]
    assert ids(given.take(objects(("x", 5), ("x", 5), ("y", 5)))) == ["x", "y"]


def test_a_page_that_was_given_already_is_told_apart_from_a_crowded_second():
    given = Given()
    first, second = objects(("d", 9), ("c", 9)), objects(("b", 9), ("a", 9))
    assert not given.were_listed(first)
    given.take(first)
    assert given.were_listed(first)
    assert not given.were_listed(second)
    given.take(second)
    assert given.were_listed(first)


def test_after_a_restart_by_time_known_objects_may_be_listed_again_but_are_not_given_again():
    given = Given()
    given.take(objects(("b", 8), ("a", 8)))
    given.restart()
    assert not given.were_listed(objects(("b", 8), ("a", 8)))
    assert given.take(objects(("b", 8), ("a", 8))) == []
    assert given.were_listed(objects(("b", 8), ("a", 8)))
    assert ids(given.take(objects(("a", 8), ("z", 7)))) == ["z"]


def test_a_list_in_no_order_still_gives_each_object_once():
    draw = random.Random(7)
    given, seen = Given(), set()
    for _ in range(200):
        page = objects(*((f"o{n}", n * 7 % 50) for n in draw.sample(range(300), 10)))
        expected = [one["id"] for one in page if one["id"] not in seen]
        assert ids(given.take(page)) == expected
        seen.update(expected)


# --- pages and cuts ------------------------------------------------------------------------------


def a_shard(**fields) -> Shard:
    return Shard(**({"number": 0, "gte": 0, "lt": 1_000} | fields))


def test_a_page_moves_the_cursor_and_counts():
    shard = a_shard()
    fresh = shard.take(objects(("b", 900), ("a", 800)), has_more=True)
    assert ids(fresh) == ["b", "a"]
    assert (shard.cursor, shard.pages, shard.objects, shard.done) == (("a", 800), 1, 2, False)
    assert shard.certificate() == {
        "window": [0, 1_000],
        "pages": 1,
        "objects": 2,
        "first_id": "b",
        "last_id": "a",
    }


def test_a_cut_keeps_the_cursor_and_gives_away_only_what_is_unread():
    shard = a_shard()
    shard.take(objects(("b", 999), ("a", 900)), has_more=True)  # 9 pages are left, as it seems
    parts = shard.cut(3, first_number=1)
    assert shard.cursor == ("a", 900)
    assert (shard.gte, shard.lt) == (600, 1_000)
    assert [(part.gte, part.lt) for part in parts] == [(300, 600), (0, 300)]
    assert [part.number for part in parts] == [1, 2]


def test_a_long_rest_is_cut_into_short_parts_and_one_that_keeps_the_remainder():
    shard = a_shard(lt=100_000)
    shard.take(objects(("b", 99_999), ("a", 99_900)), has_more=True)  # 999 pages
    parts = shard.cut(3, first_number=1)
    assert [(part.gte, part.lt) for part in parts] == [(97_500, 98_700), (0, 97_500)]
    assert shard.gte == 98_700


@pytest.mark.parametrize("cursor_at", [0, 700])
def test_a_short_rest_is_not_cut(cursor_at):
    shard = a_shard()
    shard.take(objects(("b", 999), ("a", cursor_at)), has_more=True)
    assert shard.cut(4, first_number=1) == []


def test_a_rest_that_proves_longer_than_it_seemed_is_cut_after_all():
    shard = a_shard()
    for n in range(10):  # ten pages of the last tenth of the time: 1.1 pages are left, as it seems
        shard.take(objects((f"{n}", 190 - n * 10)), has_more=True)
    assert shard.pages_left() == 4
    assert len(shard.cut(2, first_number=1)) == 1


def test_a_page_that_was_on_its_way_when_its_window_was_cut_ends_at_the_cut():
    shard = a_shard()
    shard.take(objects(("c", 999), ("b", 900)), has_more=True)
    shard.cut(2, first_number=1)
    edge = shard.gte
    fresh = shard.take(objects(("b2", edge), ("a", edge - 1)), has_more=True)
    assert ids(fresh) == ["b2"]
    assert shard.done


def test_without_an_order_such_a_page_is_asked_for_again():
    shard = a_shard()
    shard.take(objects(("c", 999), ("b", 900)), has_more=True)
    shard.cut(2, first_number=1)
    assert shard.take(objects(("a", shard.gte - 1), ("b2", shard.gte)), has_more=True) is None
    assert (shard.pages, shard.done) == (1, False)


def test_a_deleted_cursor_object_is_stepped_over_by_time():
    shard = a_shard()
    shard.take(objects(("b", 999), ("a", 900)), has_more=True)
    assert shard.step_over_cursor()
    assert (shard.window(), shard.cursor) == ((0, 901), None)
    assert (shard.gte, shard.lt) == (0, 1_000)
    assert not shard.step_over_cursor()


@pytest.mark.parametrize(
    ("bounds", "whole"),
    [
        ([(0, 10)], True),
        ([(5, 10), (0, 5)], True),
        ([(6, 10), (0, 5)], False),
        ([(4, 10), (0, 5)], False),
        ([(0, 9)], False),
        ([(1, 10)], False),
        ([], False),
    ],
)
def test_windows_cover_a_range_only_without_gap_and_overlap(bounds, whole):
    shards = [Shard(n, gte, lt, done=True) for n, (gte, lt) in enumerate(bounds)]
    assert are_whole(shards, 0, 10) is whole
    for shard in shards[:1]:
        shard.done = False
        assert not are_whole(shards, 0, 10)


def test_cut_in_any_way_a_list_is_read_once_and_whole():
    for seed in range(40):
        draw = random.Random(seed)
        listed = sorted(
            ({"id": f"o{n}", "created": int(1_000 * draw.random() ** 2)} for n in range(500)),
            key=lambda one: -one["created"],
        )
        shards, given = [a_shard()], []
        while not all(shard.done for shard in shards):
            shard = draw.choice([one for one in shards if not one.done])
            window = shard.window()
            inside = [one for one in listed if window.gte <= one["created"] < window.lt]
            behind = [one["id"] for one in inside]
            start = behind.index(shard.cursor.id) + 1 if shard.cursor else 0
            if draw.random() < 0.5:  # cut while the page is on its way
                shards += shard.cut(draw.randrange(2, 5), len(shards))
            page = inside[start : start + 10]
            given += shard.take(page, has_more=start + 10 < len(inside)) or []
        assert sorted(ids(given)) == sorted(ids(listed)), seed
        assert are_whole(shards, 0, 1_000)
