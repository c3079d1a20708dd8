"""The page of the benchmark is written from its results, and says nothing else."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import plot, readme
from bench.__main__ import OPERATIONS, README, RESULTS
from bench.report import Goal, Report
from bench.sampling import shares_of
from bench.settings import Settings


def result(operation, ours, theirs):
    report = Report(operation, Settings(rounds=1))
    report.add("ours", "ours", "requests", rate=ours)
    report.add("theirs", "peer", "requests", rate=theirs)
    report.ratio(f"{operation} <ours> ÷ theirs", "ours", "theirs", goal=Goal(1.0, 2.0))
    return json.loads(json.dumps(report.to_json()))


PAGE = "# Title\n\nwords\n<!-- begin {0} -->\nold\n<!-- end {0} -->\nmore words\n"


def test_parts_are_written_between_their_markers_and_words_stay():
    text = readme.rewritten(PAGE.format("goals"), {"goals": "| new \\1 |\n"})
    assert text == PAGE.format("goals").replace("old", "| new \\1 |")
    assert readme.rewritten(text, {"goals": "| new \\1 |\n"}) == text


@pytest.mark.parametrize("text", ["no markers\n", PAGE.format("goals") * 2])
def test_a_page_without_one_place_for_a_part_is_refused(text):
    with pytest.raises(readme.NoPlace, match="no place for goals"):
        readme.rewritten(text, {"goals": ""})


def test_both_pages_and_the_plot_are_written(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("".join(PAGE.format(name) for name in ("goals", "profile", "soak")))
    results = [result("grpc-unary", 300.0, 100.0), result("soak", 5.0, 10.0)]
    (tmp_path / "results").mkdir()
    readme.write(page, tmp_path / "results", results)
    text = page.read_text()
    assert "| grpc-unary <ours> ÷ theirs | 1 × | 2 × | **3 ×** [3–3] | aim reached |" in text
    assert "](results/goals.svg)" in text
    assert "| theirs | peer | requests | **10** [10–10] |" in text, "the soak's own table"
    assert "Not measured yet." in text, "there is no profile"
    assert "### grpc-unary" in (tmp_path / "results" / "README.md").read_text()
    root = ET.parse(tmp_path / "results" / plot.GOALS).getroot()
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("fill") != "#ffffff"]
    assert [bar.get("fill") for bar in bars] == [plot.VERDICTS["aim"], plot.VERDICTS["missed"]]
    assert float(bars[0].get("width")) > float(bars[1].get("width")) > 0


def test_the_committed_page_is_that_of_the_committed_results():
    """Run ``python -m bench readme`` when this fails."""
    results = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (RESULTS / f"{name}.json" for name in OPERATIONS)
        if path.exists()
    ]
    page = README.read_text(encoding="utf-8")
    assert readme.rewritten(page, readme.parts_of(results)) == page
    assert (RESULTS / readme.TABLES).read_text(encoding="utf-8") == readme.tables(results)
    assert (RESULTS / plot.GOALS).read_text(encoding="utf-8") == plot.goals_to_svg(results)
    assert Path(RESULTS / plot.GOALS).stat().st_size < 100_000


def test_samples_are_summed_by_library():
    listing = """# Overhead  Shared Object
    54.30%  libpython3.11.so.1.0
    14.58%  cpython.cpython-311-x86_64-linux-gnu.so
    13.94%  _core.cpython-311-x86_64-linux-gnu.so
     0.63%  events.cpython-311-x86_64-linux-gnu.so
     8.51%  libc.so.6
     6.97%  [kernel.kallsyms]
     0.53%  libcrc32c-7ebc40c5.so.1.1.0
     0.27%  something.so
"""
    shares = shares_of(listing)
    assert shares["http2"] == pytest.approx(0.1457)
    assert (shares["python"], shares["lmdb"], shares["kernel"]) == pytest.approx((0.543, 0.1458, 0.0697))
    assert shares["checksums"] == pytest.approx(0.0053)
    assert shares["other"] == pytest.approx(0.0027)
