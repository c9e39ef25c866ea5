"""Connected accounts as Stripe is really asked about them."""

from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline_tests.fakes.stripe_list_server import status

START, END = 1_759_276_800, 1_761_955_200  # October 2025


def test_a_reader_of_a_connected_account_names_it_in_every_request(stripe, access):
    stripe.objects["charges"] = [{"id": "ch_1", "object": "charge", "created": START}]
    with StripeReader(access().of_account("acct_2")) as reader:
        (page,) = reader.list_window("charges", START, END)
        reader.retrieve("charges", "ch_1")
        reader.check("charges")
        assert reader.scope == ("acct_2", False)
    assert [found["id"] for found in page.objects] == ["ch_1"]
    assert len(stripe.requests) == 3
    for request in stripe.requests:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["stripe-account"] == "acct_2"
        assert headers["stripe-version"] == "2026-10-28.endive"


def test_a_reader_of_the_keys_own_account_names_none(stripe, reader):
    list(reader().list_window("charges", START, END))
    (request,) = stripe.requests
    assert "stripe-account" not in {name.lower() for name in request.headers}


def test_the_account_is_named_again_when_a_request_is_repeated(stripe, access):
    stripe.faults.append(status(500))
    with StripeReader(access().of_account("acct_2")) as reader:
        list(reader.list_window("charges", START, END))
    assert [
        {name.lower(): value for name, value in request.headers.items()}["stripe-account"]
        for request in stripe.requests
    ] == ["acct_2", "acct_2"]
