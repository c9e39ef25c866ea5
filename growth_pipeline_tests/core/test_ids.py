"""Fingerprints: stable, and distinct for parts that only look alike when joined."""

import hashlib

from growth_pipeline.core.ids import Scope, fingerprint


def test_a_fingerprint_is_the_hash_of_length_prefixed_parts():
    assert fingerprint("a", "bc") == hashlib.sha256(b"1:a2:bc").hexdigest()[:16]
    assert fingerprint("a", "bc") != fingerprint("ab", "c")


def test_a_scope_names_its_mode_as_stripe_does():
    assert Scope("self", True).mode == "live"
    assert Scope("self", False).mode == "test"
