def test_a_new_database_gets_every_migration_once(empty_database_url):
    from growth_pipeline.storage.migrations import head, migrate, pending

    assert pending(empty_database_url) == [
        "0001_create_billing",
        "0002_create_audit",
        "0003_create_alerts",
    ]
    progress = []
    assert migrate(empty_database_url, on_progress=progress.append)[-1] == head()
    assert progress[0] == "0001_create_billing"
    assert migrate(empty_database_url) == pending(empty_database_url) == []
