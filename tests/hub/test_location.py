"""Names of repositories as the command line has them."""

from __future__ import annotations

import pytest

from forensics.hub.location import HubLocation


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("org/name", "org/name", ""),
        ("org/name@main", "org/name", "main"),
        ("Qwen/Qwen2.5-0.5B@refs/pr/1", "Qwen/Qwen2.5-0.5B", "refs/pr/1"),
        ("a/b@" + "0" * 40, "a/b", "0" * 40),
    ],
)
def test_names_and_revisions_are_understood(text: str, name: str, revision: str) -> None:
    """An owner, a name and any revision are a location, which prints as it was given."""
    found = HubLocation.parse(text)
    assert found == HubLocation(name=name, revision=revision)
    assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "name", "/a/b", "./a/b", "../a", "a/..", "a/b/c", "a/b@", "a//b", "a b/c", "a/b\0", "a\\b/c", "a/b?x=1",
        "http://a/b", "file:///etc", "a/b@../x", "a/b@x//y", "a/b@-x", "a/b@x\n", "a/b\n", "a--b/c", "-a/b", "a/b.",
        "~/b", "a/b#x", "a/" + "b" * 97, "ä/b", "a/b@x y", "a/b@x@y", "a/b@x%2e",
    ],
)  # fmt: skip
def test_everything_else_is_no_location(text: str) -> None:
    """Paths, URLs and names that the hub does not allow are not taken for a repository."""
    assert HubLocation.parse(text) is None
