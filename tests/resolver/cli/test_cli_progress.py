import io

from resolver.cli.progress import Progress, lines_of


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Watch:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_line_tells_share_rows_rate_and_time_left():
    progress = Progress(1_000, "rows", stream=io.StringIO(), monotonic_s=Watch())
    assert progress.line(250, 500, 10.0) == " 25%  500 rows  50/s  0:30 left"


def test_what_an_earlier_run_did_counts_neither_for_rate_nor_time():
    watch = Watch()
    progress = Progress(1_000, "rows", stream=io.StringIO(), monotonic_s=watch)
    progress.begin(500, 500)
    assert progress.line(600, 600, 10.0) == " 60%  600 rows  10/s  0:40 left"


def test_a_terminal_sees_the_line_at_most_every_fifth_of_a_second_and_a_clean_end():
    watch, terminal = Watch(), Terminal()
    with Progress(100, "rows", stream=terminal, monotonic_s=watch) as progress:
        for tick in range(10):
            watch.now_s = tick * 0.1
            progress.update(tick, tick)
        assert 3 <= terminal.getvalue().count("\r") <= 5
    assert terminal.getvalue().endswith(" \r")


def test_what_is_no_terminal_sees_nothing():
    stream, watch = io.StringIO(), Watch()
    with Progress(100, "rows", stream=stream, monotonic_s=watch) as progress:
        watch.now_s = 5.0
        progress.update(10, 10)
    assert stream.getvalue() == ""


def test_lines_are_counted(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"a\n" * 3_000_000 + b"b")
    assert lines_of(file) == 3_000_000
    assert lines_of(tmp_path / "none") == 0
