"""One way to say what happened, one way to count it: ``logs``, ``calls`` (in memory) and ``metrics`` (Prometheus)."""
