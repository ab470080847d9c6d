"""No part of a password is shown, however the address is written; what is no address stays readable."""

from __future__ import annotations

from ansible.module_utils.containai.redaction import mask

ADDRESSES = [
    ("http://me:pw@proxy:3128", "http://***@proxy:3128"),
    ("me:pw@proxy:3128", "***@proxy:3128"),
    ("http://me:p@ss@proxy:3128", "http://***@proxy:3128"),
    ("http://me:p/w@proxy:3128", "http://***@proxy:3128"),
    ("me:p/w@x:y@proxy", "***@proxy"),
    ("http://me:p'w@proxy", "http://***@proxy"),
    ("http://token@proxy", "http://***@proxy"),
]


def test_no_part_of_a_password_is_shown() -> None:
    for address, shown in ADDRESSES:
        for line in [
            "{}",
            'HTTPS_PROXY="{}"\n',
            "export https_proxy={}\n",
            "proxy {} refused",
            "  HTTP_PROXY: '{}'\nmore: 1\n",
        ]:
            assert mask(line.format(address)) == line.format(shown)
            assert mask(line.format(shown)) == line.format(shown)


def test_a_proxy_of_another_form_is_hidden_too() -> None:
    assert mask('{"HTTPS_PROXY": "a b:c@proxy", "NO_PROXY": "localhost"}') == (
        '{"HTTPS_PROXY": "***@proxy", "NO_PROXY": "localhost"}'
    )


def test_every_line_is_masked() -> None:
    text = 'HTTP_PROXY="http://a:b@one"\nNO_PROXY="localhost"\nHTTPS_PROXY="http://c:d@two"\n'
    assert mask(text) == 'HTTP_PROXY="http://***@one"\nNO_PROXY="localhost"\nHTTPS_PROXY="http://***@two"\n'


def test_what_holds_no_password_stays() -> None:
    for text in ["", "http://proxy:3128", "user@1000.service", "getty@.service", "REVISION=@REVISION@", "a: b\nc@d"]:
        assert mask(text) == text


def test_a_long_text_takes_no_time() -> None:
    assert mask("a:" * 100_000) == "a:" * 100_000
    assert mask("_proxy=" * 20_000) == "_proxy=" * 20_000
