"""Third-party gRPC clients that hold one scripted dialogue with a node; see README.md."""
