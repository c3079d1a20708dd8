"""Rows of uploaded files against the contents beside the store."""

from resolver.node.audit_files import audit_files
from resolver.v1 import stored_pb2 as stored
from storage.check import CheckReport
from storage.files import FileStore
from storage.tables import Table


def test_each_row_whose_content_is_missing_or_damaged_is_named(engine, tmp_path):
    files = FileStore(tmp_path / "files")
    digests = [files.put(b"%d" % number) for number in range(1_203)]
    with engine.write() as writer:
        for number, digest in enumerate(digests):
            writer.put(Table.FILES, b"file-%05d" % number, stored.StoredFile(digest=digest).SerializeToString())
    report = CheckReport()
    audit_files(engine, files, report)
    assert report.ok
    (tmp_path / "files" / files.place_of(digests[7])).unlink()
    (tmp_path / "files" / files.place_of(digests[1_100])).write_bytes(b"other")
    audit_files(engine, files, report)
    assert [(each.key, each.problem.rpartition(" ")[2]) for each in report.findings] == [
        (b"file-00007", "missing"),
        (b"file-01100", "damaged"),
    ]
