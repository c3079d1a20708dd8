"""Nodes of one site where clients need a certificate: a mirror shows the one that it serves with."""

from tests.resolver.cli.cli_node import idis, serving, wait_for
from tests.resolver.transport.test_grpc_h2_clients import issue


def configure(directory, files, more=""):
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / "idis.toml").write_text(
        f'[tls]\ncertificate_file = "{files / "node.crt"}"\nkey_file = "{files / "node.key"}"\n'
        f'client_ca_file = "{files / "ca.crt"}"\n[http]\nlisten = ""\n{more}'
    )


def test_a_mirror_follows_a_primary_that_wants_certificates(tmp_path):
    authority, _, _ = issue(tmp_path, "ca")
    for name in ("node", "client"):
        issue(tmp_path, name, authority=authority)
    trusted = ("--tls-ca", tmp_path / "ca.crt")
    shown = ("--tls-cert", tmp_path / "client.crt", "--tls-key", tmp_path / "client.key")
    configure(tmp_path / "primary", tmp_path)
    with serving(tmp_path / "primary", workers=1) as primary:

        def ask(*words):
            ran = primary(*trusted, *shown, *words)
            assert ran.code == 0, ran.err
            return ran

        ask("principal", "create", "--id", "mirror-1", "--role", "mirror")
        ask("key", "create", "mirror-1", "--out", tmp_path / "mirror.token")
        init = ("mirror", "init", "--of", primary.target, "--mirror-token", tmp_path / "mirror.token")
        init += ("--id", "mirror-1", "--data-dir", tmp_path / "mirror")
        without = idis(*trusted, *init)
        assert (without.code, "--tls-cert" in without.err) == (3, True)
        made = idis(*trusted, *shown, *init)
        assert made.code == 0, made.err
        configure(tmp_path / "mirror", tmp_path, f'[mirror]\nca_file = "{tmp_path / "ca.crt"}"\n')
        with serving(tmp_path / "mirror", workers=1) as mirror:
            ask("register", "88.300.1/跟随", "--value", "1:URL:x")
            of_mirror = (*trusted, *shown, "--target", mirror.target, "--token-file", primary.token_file)
            wait_for(lambda: idis(*of_mirror, "resolve", "88.300.1/跟随").code == 0)
            state = idis(*of_mirror, "mirror", "status", "--json").json()
            assert (state["role"], state["trouble"]) == ("mirror", "")
