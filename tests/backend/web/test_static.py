"""Static files: named by their content, kept for ever, packed as the caller takes them."""

import gzip
import re
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from groundplan.app import App
from groundplan.backend.web.static import StaticFiles, best_coding
from groundplan.testing.app import running

UNPACK = {
    "br": brotli.decompress,
    "gzip": gzip.decompress,
    "zstd": lambda packed: zstandard.ZstdDecompressor().decompress(packed),
}


@pytest.mark.anyio
async def test_a_file_is_packed_as_the_caller_takes_it(tmp_path: Path) -> None:
    app = App("tiny", features=[], roles={}, package="groundplan.testing")
    async with running(app, tmp_path) as here:
        page = (await here.client.get("/sign-in")).text
        found = re.search(r"/static/style\.[0-9a-f]+\.css", page)
        assert found
        plain = await here.client.get(found[0], headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        for coding, unpack in UNPACK.items():
            async with here.client.stream("GET", found[0], headers={"accept-encoding": coding}) as packed:
                content = b"".join([part async for part in packed.aiter_raw()])
            assert (packed.headers["content-encoding"], unpack(content)) == (coding, plain.content)
            assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert packed.headers["vary"] == "Accept-Encoding"
            assert len(content) < len(plain.content) / 3


@pytest.mark.anyio
async def test_what_is_small_or_packed_already_is_sent_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "small.css").write_text("a {}")
    (tmp_path / "photo.png").write_bytes(bytes(50_000))
    files = StaticFiles(tmp_path)
    for name in ("small.css", "photo.png"):
        file = files.get(files.url(name).removeprefix("/static/"))
        assert file is not None
        assert await file.accepted("br, gzip, zstd") == (file.content, "")


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0, gzip", "gzip"),
        ("BR;q=0.1", "br"),
        ("*", "br"),
        ("*;q=0, zstd", "zstd"),
        ("br;q=x", ""),
    ],
)
def test_the_best_coding_of_those_accepted(accepts: str, coding: str) -> None:
    assert best_coding(accepts) == coding


@given(st.text(max_size=50))
def test_nonsense_is_no_failure(accepts: str) -> None:
    assert best_coding(accepts) in ("", "br", "zstd", "gzip")
