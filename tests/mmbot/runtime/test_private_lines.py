"""The log of what the venue said about the account: all of it, and no key."""

from pathlib import Path

from mmbot.model.notes import rest_answer, rest_failure
from mmbot.runtime.private_lines import PrivateLines
from mmbot.units import Ns


def test_lines_stand_as_received_and_never_name_the_key(tmp_path: Path) -> None:
    lines = PrivateLines(tmp_path, "myKey")
    lines.add(Ns(1), b'{"topic":"order",\n"data":[]}')
    lines.add(Ns(2), rest_answer("GET /v5/user/query-api", 200, b'{"apiKey":"myKey","userID":7}'))
    lines.add(Ns(3), rest_answer("POST /v5/order/create a-1", 502, b'<html>"\xff</html>'))
    lines.add(Ns(4), rest_failure("POST /v5/order/create a-2", 'no answer: "time is up"'))
    lines.write(lines.take())
    lines.write(lines.take())
    assert (tmp_path / "private.log").read_text().splitlines() == [
        '1 {"topic":"order", "data":[]}',
        '2 {"_rest":"GET /v5/user/query-api","status":200,"body":{"apiKey":"***","userID":7}}',
        '3 {"_rest":"POST /v5/order/create a-1","status":502,"body":"<html>\\"\ufffd</html>"}',
        '4 {"_rest":"POST /v5/order/create a-2","failed":"no answer: \\"time is up\\""}',
    ]
