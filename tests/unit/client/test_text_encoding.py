"""Text files of other systems: which encodings are passed over, and which are named."""

import codecs

import pytest

from relay.client.text_encoding import other_encoding, without_bom

TEXT = '{"event_type": "log"}\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "ascii"])
def test_utf_8_is_taken_with_and_without_its_mark(encoding: str) -> None:
    written = TEXT.encode(encoding)
    assert other_encoding(written) is None
    assert without_bom(written) == TEXT.encode()


@pytest.mark.parametrize(
    ("mark", "encoding", "named"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16 (it begins with the byte order mark FF FE)."),
        (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16 (it begins with the byte order mark FE FF)."),
        (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32 (it begins with the byte order mark FF FE 00"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32 (it begins with the byte order mark 00 00 FE"),
        (b"", "utf-16-le", "UTF-16 or UTF-32 (it has NUL bytes)."),
        (b"", "utf-16-be", "UTF-16 or UTF-32 (it has NUL bytes)."),
        (b"", "utf-32-be", "UTF-16 or UTF-32 (it has NUL bytes)."),
    ],
)
def test_another_encoding_is_named_with_what_to_do(mark: bytes, encoding: str, named: str) -> None:
    found = other_encoding(mark + TEXT.encode(encoding))
    assert found is not None
    assert found.startswith(named)
    assert "Save it as UTF-8" in found


@pytest.mark.parametrize("data", [b"", b"{", b"\xef", b"\xff", "é".encode("latin-1")])
def test_text_that_is_not_certainly_foreign_is_left_to_the_reader_of_the_text(data: bytes) -> None:
    assert other_encoding(data) is None
