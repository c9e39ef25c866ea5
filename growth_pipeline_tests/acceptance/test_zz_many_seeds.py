import pytest
from growth_pipeline_tests.acceptance.test_r05_receiver_off import *  # noqa: F403
from growth_pipeline_tests.acceptance.test_r05_receiver_off import live_with_webhooks, divergence, pipeline
for name in list(globals()):
    if name.startswith("test_"): del globals()[name]
@pytest.mark.parametrize("number", range(200, 330))
def test_many(pipeline, number):
    try:
        live_with_webhooks(pipeline, number, objects=200)
    except AssertionError:
        key=divergence(pipeline)
        print("SEED", number, key)
        import re
        for k in key:
            kind,id_=re.findall(r"'(\w+)', '(\w+)'", k)[0]
            print("TRUTH", pipeline.account.objects[kind,id_])
            print("MIRROR", pipeline.rows(f"select payload, undecided, state_from, state_at, origin, event_id from stripe.objects where object='{kind}' and id='{id_}'"))
            for e in pipeline.account.events:
                if e["data"]["object"]["id"]==id_: print("EVENT", e["id"], e["created"], e["type"], e["data"].get("previous_attributes"), {n:v for n,v in e["data"]["object"].items() if n in ("amount_refunded","disputed","status")})
            print("FETCHED", pipeline.rows(f"select state_from, state_at, source, convert_from(body,'utf8') from billing.fetched_states where id='{id_}'"))
            print("REFETCH", pipeline.rows(f"select * from billing.refetches where id='{id_}'"))
        raise
