"""What a file of servers says is said in the same words when the site is shown."""

import pytest

from resolver.cli.output import Failed, to_json
from resolver.cli.site import wanted_in
from resolver.v1 import site_pb2

SERVERS = '[[servers]]\nid = 1\ngrpc = "192.0.2.1:2640"\n'


@pytest.mark.parametrize("word", ["prefix", "suffix", "all"])
def test_a_site_is_shown_in_the_words_of_its_file(tmp_path, word):
    path = tmp_path / "servers.toml"
    path.write_text(f'hash = "{word}"\n{SERVERS}')
    layout = site_pb2.SiteLayout(hash=wanted_in(path).hash)
    assert to_json(layout)["hash"] == word


def test_without_a_word_all_of_the_handle_is_hashed(tmp_path):
    path = tmp_path / "servers.toml"
    path.write_text(SERVERS)
    assert wanted_in(path).hash == site_pb2.SITE_HASH_ALL


def test_another_word_is_refused_with_those_there_are(tmp_path):
    path = tmp_path / "servers.toml"
    path.write_text(f'hash = "whole"\n{SERVERS}')
    with pytest.raises(Failed, match="give hash = one of prefix, suffix, all"):
        wanted_in(path)
