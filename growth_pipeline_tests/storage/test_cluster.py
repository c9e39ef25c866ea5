"""How queries are put into the cluster's dialect, and what is said when there is no cluster."""

import socket

import pytest

from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.storage.cluster import Cluster, find_cluster, in_spark, queries_on
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.sql import sql_dir

QUERIES = sorted(
    path
    for pattern in ("retention_*", "active_*", "refresh_*")
    for path in (sql_dir() / "cohorts").glob(f"{pattern}.sql")
)


def test_tables_get_their_name_there_and_keep_the_one_in_the_query():
    sql = "select users.n, a.day from users inner join activity as a on users.n = a.n"
    text, used = in_spark(sql, {"users": "users_1", "activity": "activity_2", "money": "money_3"})
    assert text == (
        "SELECT users.n, a.day FROM users_1 AS users INNER JOIN activity_2 AS a ON users.n = a.n"
    )
    assert used == {"users", "activity"}


def test_words_that_mean_something_else_there_are_put_into_its_own():
    sql = "select a // b as q, 1 << c as s, $name as n from t where d is not distinct from e"
    assert in_spark(sql, {})[0] == (
        "SELECT a DIV b AS q, SHIFTLEFT(1, c) AS s, :name AS n FROM t "
        "WHERE d IS NOT DISTINCT FROM e"
    )


def test_nulls_are_sorted_where_the_embedded_engine_sorts_them():
    assert in_spark("select a from t order by a", {})[0].endswith("ORDER BY a NULLS LAST")


def test_a_part_of_a_query_cannot_have_the_name_of_a_table():
    with pytest.raises(GrowthError, match="a table and a part of the query are both called users"):
        in_spark("with users as (select 1 as n) select n from users", {"users": "users_1"})


def test_a_query_without_translation_is_refused():
    with pytest.raises(GrowthError, match="has no translation for the cluster"):
        in_spark("select from where", {})


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_every_query_about_cohorts_has_a_translation_without_dates(path):
    text, _ = in_spark(path.read_text(), {})
    assert not {"DATE", "TIMESTAMP", "INTERVAL", "EXTRACT"} & set(text.upper().split())


def test_a_cluster_that_does_not_answer_is_named_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        port = taken.getsockname()[1]
        for url in (f"spark://127.0.0.1:{port}", f"sc://127.0.0.1:{port}/;token=hush"):
            with pytest.raises(ConfigurationError, match="no Spark cluster answers") as refused:
                Cluster(url).query("select 1", {})
            assert "hush" not in str(refused.value)


def test_a_cluster_that_answers_is_found_at_the_first_address_that_does():
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as there:
        closed.bind(("127.0.0.1", 0))
        away, here = (f"127.0.0.1:{one.getsockname()[1]}" for one in (closed, there))
        assert find_cluster(f"spark://{away},{here}") == here
        assert find_cluster(f"sc://{here}/;token=hush") == here
    assert find_cluster("local[2]") == "this machine"


def test_without_an_address_the_embedded_engine_computes(tmp_path):
    engine = Engine("64MiB", 1, tmp_path)
    with queries_on(None, engine) as queries:
        assert queries is engine
    with queries_on("local[1]", engine) as queries:
        assert isinstance(queries, Cluster)
