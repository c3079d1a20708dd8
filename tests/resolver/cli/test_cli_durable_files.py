"""Files that a command says it has written are on disk with their names when it says so."""

import os

from resolver.cli import exporting, key, key_files


def test_an_export_is_durable_before_it_is_told(tmp_path, flushed, capsys):
    with exporting.opened(tmp_path / "out.jsonl") as stream:
        stream.write(b"{}\n")
        assert not (tmp_path / "out.jsonl").exists()
    assert [path.name for path in flushed] == [".out.jsonl.unfinished", tmp_path.name]
    assert capsys.readouterr().err == f"written: {tmp_path / 'out.jsonl'}\n"


def test_a_key_file_is_durable_before_it_is_told(tmp_path, flushed):
    key_files._write(tmp_path / "key.pem", b"key", 0o600)
    assert flushed == [tmp_path / "key.pem", tmp_path]


def test_the_file_of_a_token_has_its_name_before_the_token_is_made(tmp_path, flushed):
    """The node shows a token once: a name that is lost afterwards takes the token with it."""
    os.close(key._new_file(tmp_path / "token"))
    assert flushed == [tmp_path]
