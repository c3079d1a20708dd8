"""Workers of one node reach each other wherever its data lies."""

from resolver.wire import requests
from tests.resolver.transport.hdl_node import ClientSession, handle_node, value


def test_a_data_directory_may_have_a_longer_name_than_sockets(tmp_path):
    """The worker did not start: 90 octets of a directory are 30 Chinese characters."""
    deep = tmp_path / ("工业互联网标识解析" * 4) / ("二级节点数据" * 4)
    deep.mkdir(parents=True)
    with handle_node(deep, workers=2) as node:
        session = ClientSession(node.client(0))
        session.client.port = node.ports[1]
        body = requests.WithValues("88.300.1/DEEP", (value(1, "URL", "http://example.org/"),))
        assert session.ask(100, body).header.response_code == 1
        frame = session.request(101, requests.OfHandle("88.300.1/DEEP"))
        assert session.read(session.client.frames(frame.to_wire())[0]).header.response_code == 1
