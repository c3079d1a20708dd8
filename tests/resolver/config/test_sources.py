"""Where the configuration comes from, which source wins, and what is said of what cannot be used."""

from pathlib import Path

import pytest

from resolver.config import listing
from resolver.config.changes import WHEN_APPLIED, Applied, changes, take_over
from resolver.config.settings import Config
from resolver.config.sources import ConfigInvalid, keys, load, to_environment_name, value_of

SAMPLE = Path(listing.__file__).with_name("sample.toml")


def write(tmp_path, text):
    file = tmp_path / "node.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_sample_equals_the_defaults_and_the_listing():
    assert SAMPLE.read_text(encoding="utf-8") == listing.to_toml(Config())
    assert load(SAMPLE) == Config()


def test_every_key_has_a_sentence_and_a_need():
    assert set(WHEN_APPLIED) == set(keys())
    for key in keys():
        assert listing.sentence_of(key).endswith("."), key


def test_later_sources_win(tmp_path):
    file = write(tmp_path, '[grpc]\nlisten = "127.0.0.1:1"\n[workers]\ncount = 1\n[log]\nlevel = "debug"\n')
    config = load(file, {"IDIS_WORKERS__COUNT": "2", "IDIS_GRPC__LISTEN": "127.0.0.1:2"}, {"grpc.listen": "[::1]:3"})
    assert (config.grpc.listen, config.workers.count, config.log.level) == ("[::1]:3", 2, "debug")


def test_flags_not_given_do_not_win():
    assert load(flags={"grpc.listen": None}) == Config()


def test_environment_text_is_converted():
    config = load(environment={"IDIS_DRAIN__GRACE_S": "2.5", "IDIS_GRPC__REFLECTION": "false"})
    assert config.drain.grace_s == 2.5
    assert config.grpc.reflection is False


def test_other_variables_are_not_ours():
    assert load(environment={"IDIS_TARGET": "x", "IDIS_TOKEN_FILE": "y", "PATH": "z"}) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[grpc]\nlisen = "127.0.0.1:1"', "did you mean grpc.listen?"),
        ("[drain]\nflush_s = 1.0", "did you mean statistics.flush_s?"),
        ("[grcp]\n", "did you mean grpc?"),
        ("[workers]\nzzzz = 1", "idis config show lists every key"),
        ('[federation]\nallow_networks = "10.0.0.0/8, 10.20"', "federation.allow_networks: '10.20' does not appear"),
        ('[hdl]\naddress = "192.0.2.1, 192.0.2.2"', "hdl.address: '192.0.2.1, 192.0.2.2' does not appear to be"),
        ('[federation]\nallow_networks = "10.0.0.1/8"', "10.0.0.1/8 has host bits set"),
        ('[federation]\nallow_ports = "2641,99999"', "'99999' is no port"),
        ('[federation]\nallow_ports = "2645-2640"', "'2645-2640' is no port"),
        ('[http]\ntrusted_proxies = "proxy.example"', "http.trusted_proxies: 'proxy.example' does not appear"),
        ('[hdl]\nadministrators = "0.NA/88.300"', "'0.NA/88.300' is not INDEX:HANDLE"),
        ('[hdl]\nreplication_admins = "300:"', "hdl.replication_admins: '300:' is not INDEX:HANDLE"),
        ('[hdl]\naddress = "node.example"', "hdl.address: 'node.example' does not appear"),
        ("grpc = 3", "grpc is a section"),
        ("[workers]\ncount = 1.5", "workers.count = 1.5 is not accepted"),
        ('[workers]\ncount = "2"', "workers.count = '2' is not accepted"),
        ("[storage]\nrecord_octets_max = 1048577", "<= 1048576"),
        ('[grpc]\nbackend = "fast"', "grpc.backend = 'fast' is not accepted"),
        ('[grpc]\nlisten = "2640"', "is not HOST:PORT"),
        ('[grpc]\nlisten = ""', "grpc.listen is empty"),
        ('[grpc]\nlisten = "127.0.0.1:99999"', "no port from 0 to 65535"),
        ('[tls]\ncertificate_file = "a"', "belong together"),
        ('[tls]\nclient_ca_file = "a"', "needs tls.certificate_file"),
        ("[workers]\nback_off_max_s = 0.01", "below workers.back_off_first_s"),
        ("[log", "is not TOML"),
    ],
)
def test_faults_are_named(tmp_path, text, said):
    with pytest.raises(ConfigInvalid) as raised:
        load(write(tmp_path, text))
    assert said in str(raised.value)


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(ConfigInvalid) as raised:
        load(write(tmp_path, '[grpc]\nlisen = "x"\n[log]\nlevel = "loud"\n'), {"IDIS_LOG__LEVL": "info"})
    assert len(raised.value.faults) == 3
    assert "did you mean IDIS_LOG__LEVEL?" in str(raised.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_listing_reads_back_to_the_same_object(tmp_path):
    config = load(
        flags={
            "node.data_dir": 'a "b" \\ \x7f\té标',
            "workers.count": "7",
            "drain.delay_s": "0",
            "grpc.reflection": "false",
        }
    )
    assert config.node.data_dir == 'a "b" \\ \x7f\té标'
    assert load(write(tmp_path, listing.to_toml(config))) == config


def test_reload_keeps_what_needs_a_restart():
    before = Config()
    after = load(flags={"grpc.listen": "127.0.0.1:9", "log.level": "debug", "grpc.reflection": "false"})
    found = {change.key: change.applied for change in changes(before, after)}
    assert found == {
        "grpc.listen": Applied.RESTART,
        "grpc.reflection": Applied.ROLLING,
        "log.level": Applied.RELOAD,
    }
    taken = take_over(before, after)
    assert taken.grpc.listen == before.grpc.listen
    assert (taken.log.level, taken.grpc.reflection) == ("debug", False)


def test_every_key_can_be_set_by_its_variable():
    for key in keys():
        value = value_of(Config(), key)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert load(environment={to_environment_name(key): text}) == Config(), key


def test_lists_that_workers_take_are_taken(tmp_path):
    file = write(
        tmp_path,
        '[federation]\nallow_networks = "10.0.0.0/8, fd00::/8"\nallow_ports = "2641, 8000-8010"\n'
        '[http]\ntrusted_proxies = "10.0.0.1/8,::1"\n'
        '[hdl]\nadministrators = "300:0.NA/88.300, 301:88.300.1/管理"\naddress = "2001:db8::1"\n',
    )
    assert load(file).federation.allow_ports == "2641, 8000-8010"
