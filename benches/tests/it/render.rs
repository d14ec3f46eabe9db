//! Files of a report with lines that were not measured.

use poai_benches::lines::{Axis, Mark, Plot, Scale, Section, Series, Share, Table};
use poai_benches::render::{self, Report, svg};
use serde_json::{Value, json};

fn plot(x: Axis, y: Axis) -> Plot {
    let series = |name: &str, mark, points: &[(f64, f64)]| Series {
        name: name.into(),
        points: points.to_vec(),
        mark,
    };
    Plot {
        name: "speed".into(),
        title: "Speed <by> size & kernel".into(),
        x,
        y,
        series: vec![
            series("peak", Mark::Line, &[(512.0, 900.0), (4096.0, 900.0)]),
            series("plain & fast", Mark::LineAndDots, &[(512.0, 400.0), (4096.0, 700.0)]),
            series("ticketed", Mark::Dots, &[(512.0, 200.0), (1024.0, 300.0), (4096.0, 600.0)]),
        ],
    }
}

fn report() -> Report {
    let mut section = Section { id: "speed", title: "Speed", ..Section::default() };
    section.figure("plain", "plain", 512.34, "GMAC/s", Share { kept: 8, taken: 9 });
    section.figure("ratio", "ticketed / plain", 0.8459, "", Share { kept: 9, taken: 9 });
    section.digest("product", "product", "00ff".into());
    section.skipped("neon", "on neon | dotprod", "it needs\naarch64");
    section.tables.push(Table {
        columns: vec!["shape".into(), "sum".into()],
        rows: vec![vec!["1×2×3".into(), "0.25".into()]],
    });
    section.plots.push(plot(Axis::log("size"), Axis::linear("GMAC/s")));
    Report {
        machine: vec![("threads".into(), json!(2))],
        sections: vec![section],
        summary: vec![("speed", "rat"), ("speed", "nothing"), ("elsewhere", "ratio")],
    }
}

fn file(name: &str) -> String {
    let files = render::files(&report()).expect("it renders");
    files.into_iter().find(|file| file.0 == name).expect("the file is there").1
}

#[test]
fn markdown_shows_figures_tables_plots_and_what_was_skipped() {
    let text = file("report.md");
    for expected in [
        "- threads: 2\n",
        "## Speed\n",
        "| plain | 512 GMAC/s | 8 of 9 |\n",
        "| ticketed / plain | 0.846 | 9 of 9 |\n",
        "| product | `00ff` | |\n",
        "| on neon \\| dotprod | SKIPPED: it needs aarch64 | |\n",
        "| shape | sum |\n| --- | --- |\n| 1×2×3 | 0.25 |\n",
        "![Speed <by> size & kernel](speed.svg)\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
}

#[test]
fn the_summary_repeats_the_lines_asked_for_and_no_others() {
    let report = report();
    assert_eq!(report.summary(), [&report.sections[0].lines[1]]);
    let text = file("report.md");
    let (_, summary) = text.split_once("## In short\n").expect("a summary");
    let (summary, _) = summary.split_once("## Speed\n").expect("the section comes after");
    assert!(summary.contains("| ticketed / plain | 0.846 | 9 of 9 |"), "{summary}");
    assert!(!summary.contains("product"), "{summary}");

    let without = render::markdown::render(&Report { summary: Vec::new(), ..report });
    assert!(!without.contains("In short"));
}

#[test]
fn json_has_a_section_and_an_id_for_every_line() {
    let value: Value = serde_json::from_str(&file("report.json")).expect("it is JSON");
    assert_eq!(value["machine"]["threads"], 2);
    let lines = value["lines"].as_array().expect("a list");
    let ids: Vec<_> = lines.iter().map(|line| (&line["section"], &line["id"])).collect();
    let expected = ["plain", "ratio", "product", "neon"].map(|id| (json!("speed"), json!(id)));
    assert_eq!(ids, expected.iter().map(|(section, id)| (section, id)).collect::<Vec<_>>());
    assert_eq!(lines[0]["value"], 512.34);
    assert_eq!(lines[0]["unit"], "GMAC/s");
    assert_eq!((&lines[0]["kept"], &lines[0]["taken"]), (&json!(8), &json!(9)));
    assert_eq!(lines[2]["digest"], "00ff");
    assert_eq!(lines[3]["skipped"], "it needs\naarch64");
    assert!(lines[3].get("value").is_none());
}

#[test]
fn a_figure_that_is_no_number_is_an_error() {
    let mut report = report();
    report.sections[0].figure("bad", "bad", f64::NAN, "", Share::default());
    let error = render::files(&report).expect_err("JSON has no NaN").to_string();
    assert!(error.contains("speed/bad"), "{error}");
}

/// The texts of an SVG and its number of circles. The SVG must be well-formed.
fn parse(text: &str) -> (Vec<String>, usize) {
    let document = roxmltree::Document::parse(text).expect("well-formed");
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let of = |name: &'static str| {
        document.descendants().filter(move |node| node.tag_name().name() == name)
    };
    let texts = of("text").filter_map(|node| Some(node.text()?.trim().to_owned())).collect();
    (texts, of("circle").count())
}

#[test]
fn svg_is_well_formed_and_has_every_series_on_every_kind_of_axis() {
    use Scale::{Linear, Log, Whole};
    for (x, y) in [(Log, Log), (Log, Linear), (Linear, Log), (Linear, Linear), (Whole, Whole)] {
        let axis = |scale, label: &str| Axis { label: label.into(), scale };
        let text = svg::render(&plot(axis(x, "size"), axis(y, "rate"))).expect("it draws");
        let (texts, circles) = parse(&text);
        for name in ["peak", "plain & fast", "ticketed", "size", "rate", "Speed <by> size & kernel"]
        {
            assert!(texts.iter().any(|text| text == name), "{name} is missing: {texts:?}");
        }
        // The dots of the two series with dots, and their dots in the legend.
        assert_eq!(circles, 2 + 3 + 2, "{x:?}, {y:?}");
    }
}

#[test]
fn axes_by_powers_of_two_are_labelled_with_them() {
    let text = svg::render(&plot(Axis::log("size"), Axis::log("rate"))).expect("it draws");
    let (texts, _) = parse(&text);
    for tick in ["256", "512", "1024", "2048", "4096"] {
        assert!(texts.iter().any(|text| text == tick), "{tick} is missing: {texts:?}");
    }
}

#[test]
fn an_axis_of_whole_numbers_writes_no_others() {
    let small = |x: Axis| {
        let mut plot = plot(x, Axis::log("rate"));
        plot.series.iter_mut().for_each(|series| series.points = vec![(1.0, 64.0), (2.0, 256.0)]);
        parse(&svg::render(&plot).expect("it draws")).0
    };
    let (whole, linear) = (small(Axis::whole("threads")), small(Axis::linear("threads")));
    assert!(whole.iter().any(|text| text == "2") && linear.iter().any(|text| text == "2"));
    assert!(!whole.iter().any(|text| text.contains('.')), "{whole:?}");
    assert!(linear.iter().any(|text| text == "1.5"), "{linear:?}");
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let mut empty = plot(Axis::linear("size"), Axis::linear("rate"));
    empty.series.clear();
    assert!(svg::render(&empty).is_err());
    let mut zero = plot(Axis::log("size"), Axis::linear("rate"));
    zero.series[0].points.push((0.0, 1.0));
    assert!(svg::render(&zero).is_err(), "no power of two is zero");
}
