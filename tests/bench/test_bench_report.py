"""Figures, ratios and what is made of them."""

import json
import xml.etree.ElementTree as ET

import pytest

from bench import plot, table
from bench.report import Goal, Lonely, Report
from bench.settings import Settings


@pytest.fixture
def report():
    report = Report("grpc-unary", Settings(rounds=3))
    for ours, theirs in ((100.0, 50.0), (300.0, 100.0), (80.0, 80.0)):
        report.add("ours", "ours", "requests", rate=ours, cpu_us=10.0, errors=0.0)
        report.add("theirs <x>", "peer", "requests", rate=theirs, cpu_us=40.0)
    return report


def test_a_ratio_is_taken_round_by_round(report):
    report.ratio("ours ÷ theirs", "ours", "theirs <x>")
    (ratio,) = report.ratios
    assert (ratio["median"], ratio["min"], ratio["max"]) == (2.0, 1.0, 3.0)


def test_costs_are_divided_the_other_way(report):
    report.ratio("cost", "ours", "theirs <x>", figure="cpu_us", inverse=True)
    assert report.ratios[0]["median"] == 4.0


@pytest.mark.parametrize(("must", "aim", "verdict"), [(1.5, 2.0, "aim"), (1.5, 2.5, "must"), (2.1, 3.0, "missed")])
def test_a_goal_is_judged_by_the_median(report, must, aim, verdict):
    report.ratio("ours ÷ theirs", "ours", "theirs <x>", goal=Goal(must, aim))
    assert report.ratios[0]["verdict"] == verdict


def test_a_ratio_with_a_row_that_was_not_measured_is_left_out(report):
    report.ratio("ours ÷ absent", "ours", "absent")
    assert report.ratios == []


def test_a_report_without_peer_or_limit_is_refused():
    report = Report("lonely", Settings())
    report.add("ours", "ours", "requests", rate=1.0)
    with pytest.raises(Lonely, match="no peer and no limit"):
        report.to_json()


def test_an_unknown_kind_is_refused(report):
    with pytest.raises(ValueError, match="no kind of row"):
        report.add("other", "friend", "requests", rate=1.0)


def test_the_result_says_where_it_was_measured(report, tmp_path):
    result = json.loads(report.write(tmp_path).read_text())
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["libraries"]["protobuf"][0].isdigit()
    assert result["settings"]["rounds"] == 3
    assert len(result["rows"][0]["samples"]) == 3
    assert result["rows"][0]["figures"]["rate"] == {"median": 100.0, "min": 80.0, "max": 300.0}


def test_the_table_shows_every_row_and_ratio(report, tmp_path):
    report.ratio("ours ÷ theirs", "ours", "theirs <x>", goal=Goal(1.0, 9.0))
    result = report.to_json()
    assert "| ours ÷ theirs | 1 × | 9 × | **2 ×** [1–3] | must reached |" in table.goals([result])
    report.note("redis is not installed\n")
    shown = table.to_markdown(json.loads(report.write(tmp_path).read_text()))
    assert "| ours | ours | requests | **100** [80–300] |" in shown
    assert "| ours ÷ theirs | 2 | 1–3 | 1 | 9 | must |" in shown
    assert shown.endswith("* redis is not installed\n")


def test_the_plot_is_well_formed_and_has_a_bar_for_each_row(report, tmp_path):
    report.add("ours, open loop 50%", "ours", "requests", rate=1_000_000.0)
    report.write(tmp_path)
    (path,) = plot.draw_all(tmp_path)
    root = ET.parse(path).getroot()
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("fill") != "#ffffff"]
    assert [bar.get("fill") for bar in bars] == [plot.COLOURS["ours"], plot.COLOURS["peer"]]
    assert float(bars[0].get("width")) == pytest.approx(1.25 * float(bars[1].get("width")), abs=0.2)
