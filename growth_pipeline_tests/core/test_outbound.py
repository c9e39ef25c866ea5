"""Which addresses are public, and what the text of a URL tells; R33 tries them through the door."""

import ipaddress
import random

import pytest

from growth_pipeline.core.outbound import ForbiddenTargetError, Target, is_public, read_target

# IANA's special-purpose registries, written down by hand.
SPECIAL_4 = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
224.0.0.0/4 240.0.0.0/4
""".split()
SPECIAL_6 = """
::1/128 ::/128 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 fc00::/7
fe80::/10 fec0::/10 ff00::/8 3fff::/20 5f00::/16
""".split()


@pytest.mark.parametrize("network", [*SPECIAL_4, *SPECIAL_6])
def test_no_address_of_a_special_range_is_public(network, seed):
    net, chance = ipaddress.ip_network(network), random.Random(seed)
    places = {0, net.num_addresses - 1, *(chance.randrange(net.num_addresses) for _ in range(50))}
    assert not [net[place] for place in places if is_public(str(net[place]))]


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "169.253.255.255", "2606:4700::1111"],
)
def test_an_address_of_the_internet_at_large_is_public(address):
    assert is_public(address)


def test_a_translated_address_is_as_public_as_the_one_it_stands_for():
    assert is_public("64:ff9b::101:101")
    assert not is_public("64:ff9b::7f00:1")


def test_text_that_is_no_address_is_not_public():
    assert not is_public("hooks.slack.com")
    assert not is_public("fe80::1%eth0")


def test_a_target_is_scheme_host_and_port():
    assert read_target("https://Hooks.Slack.com/services/x") == Target(
        "https", "hooks.slack.com", 443
    )
    assert read_target("https://ghe.example:8443").port == 8443


def test_the_reason_never_holds_the_url():
    with pytest.raises(ForbiddenTargetError) as caught:
        read_target("https://127.0.0.1/services/secret")
    assert str(caught.value) == "the URL's host is not a public address"


@pytest.mark.parametrize("url", ["http://localhost:9/x", "http://127.0.0.1:9", "https://[::1]:9"])
def test_this_machine_is_allowed_by_the_setting_for_tests_alone(url):
    assert read_target(url, allow_loopback=True).port == 9
    with pytest.raises(ForbiddenTargetError):
        read_target(url)
