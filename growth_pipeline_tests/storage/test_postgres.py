def test_x(database):
    with database.connection() as c:
        print(c.execute("select count(*), now() from billing.payments").fetchone())
        print(c.execute("select * from growth.migrations").fetchall())
        print(c.execute("select * from growth.schema_version").fetchall())
