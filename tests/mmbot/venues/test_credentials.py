"""Credentials sign and never show themselves; the signatures are those of the venues' own rules."""

import copy
import pickle
import traceback

import msgspec
import pytest
from pybit._http_manager import generate_signature

from mmbot.errors import ConfigError
from mmbot.venues.binance.signing import key_header, signed_query
from mmbot.venues.bybit.signing import rest_headers, ws_auth
from mmbot.venues.credentials import Credentials, Secret

TEXT = "testsecret"
SECRET = Secret(TEXT)
CREDENTIALS = Credentials("testkey", SECRET)
NOW_MS = 1_700_000_000_000
BODY = (
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"50000",'
    '"timeInForce":"PostOnly"}'
)


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "%s".__mod__, "{0!r:>40}".format])
@pytest.mark.parametrize("holder", [SECRET, CREDENTIALS])
def test_a_secret_is_never_shown(shown, holder):
    assert TEXT not in shown(holder)
    assert "***" in shown(holder)


@pytest.mark.parametrize("holder", [SECRET, CREDENTIALS])
@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode])
def test_a_secret_cannot_be_copied_out(copied, holder):
    if holder is CREDENTIALS and copied is copy.copy:
        assert copied(holder).secret is SECRET
        return
    with pytest.raises(TypeError) as refused:
        copied(holder)
    assert TEXT not in "".join(traceback.format_exception(refused.value))


def test_no_attribute_of_a_secret_holds_its_text():
    held = [getattr(SECRET, name) for name in Secret.__slots__]
    assert held
    assert not any(TEXT in repr(value) for value in held)
    assert not hasattr(SECRET, "__dict__")


@pytest.mark.parametrize("text", ["", "with space", "line\n", 'quo"te', "back\\slash", "ünicode", "x" * 257])
def test_what_cannot_be_a_key_is_refused_without_showing_it(text):
    for make in (Secret, lambda key: Credentials(key, SECRET)):
        with pytest.raises(ConfigError, match=f"was {len(text)} characters") as refused:
            make(text)
        assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    ("payload", "signature"),
    [
        (
            "category=linear&symbol=BTCUSDT",
            "f2f79889fd1201752936b389c890e9d393e01e0311a6d8785fb80753aa26c69b",
        ),
        (BODY, "bc5641641f11745bbc83c9cd7507676147f57d2b171069a1e0f095c16f385cf4"),
    ],
)
def test_rest_headers_of_bybit(payload, signature):
    assert rest_headers(CREDENTIALS, NOW_MS, 5000, payload) == {
        "X-BAPI-API-KEY": "testkey",
        "X-BAPI-TIMESTAMP": "1700000000000",
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": signature,
    }


def test_bybits_own_sdk_signs_the_same():
    theirs = generate_signature(
        use_rsa_authentication=False, secret=TEXT, param_str=f"{NOW_MS}testkey5000{BODY}"
    )
    assert rest_headers(CREDENTIALS, NOW_MS, 5000, BODY)["X-BAPI-SIGN"] == theirs


def test_first_message_of_a_private_connection():
    sign = "6a806639d27b1c24c3808a191e9d0274d0c9d3a04a160233856d65840dfda2c8"
    assert msgspec.json.decode(ws_auth(CREDENTIALS, NOW_MS + 10_000)) == {
        "op": "auth",
        "args": ["testkey", NOW_MS + 10_000, sign],
    }


def test_signed_query_of_binance():
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.001&price=50000"
    sign = "7d90d70660879b91a12b02baeb7b709e5cf7905c56b22ab48b14bb47cb6b886e"
    assert signed_query(CREDENTIALS, query, NOW_MS, 5000) == (
        f"{query}&recvWindow=5000&timestamp={NOW_MS}&signature={sign}"
    )
    assert signed_query(CREDENTIALS, "", NOW_MS, 5000).startswith("recvWindow=5000&timestamp=")
    assert key_header(CREDENTIALS) == {"X-MBX-APIKEY": "testkey"}
