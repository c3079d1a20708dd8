"""A client that registers handles as fast as it may and writes down each one that was acknowledged, with its serial.

    python -m tests.support.registering HOST:PORT TOKEN_FILE ACKNOWLEDGED_FILE START

It runs until it is killed. While the file ACKNOWLEDGED_FILE.pause is there it sends nothing. A failure is tried again
under the same request id, and counted as acknowledged only when an answer comes.
"""

import sys
import time
from pathlib import Path

import grpc

from resolver.v1 import handle_pb2, registration_pb2, registration_pb2_grpc

ROWS = 20


def main():
    target, token_file, acknowledged, start = sys.argv[1:]
    metadata = [("authorization", f"Bearer {Path(token_file).read_text().strip()}")]
    pause = Path(f"{acknowledged}.pause")
    value = handle_pb2.HandleValue(index=1, type="URL", data=b"https://example.com/")
    number = int(start)
    with grpc.insecure_channel(target) as channel, Path(acknowledged).open("a") as log:
        stub = registration_pb2_grpc.RegistrationServiceStub(channel)
        while True:
            while pause.exists():
                time.sleep(0.01)
            names = [f"88.300.1/{number}-{row}" for row in range(ROWS)]
            request = registration_pb2.BatchCreateHandlesRequest(
                handles=[registration_pb2.NewHandle(name=name, values=[value]) for name in names],
                request_id=f"batch-{number}",
            )
            try:
                answer = stub.BatchCreateHandles(request, metadata=metadata, timeout=20)
            except grpc.RpcError:
                time.sleep(0.1)
                continue
            log.writelines(f"{result.serial} {name}\n" for name, result in zip(names, answer.results, strict=True))
            log.flush()
            number += 1


if __name__ == "__main__":
    main()
