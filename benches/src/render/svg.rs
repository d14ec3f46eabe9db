//! The plots. The viewer of the file draws the text, so no font is needed here.

use crate::Failure;
use crate::lines::{Axis, Mark, Plot, Scale, Series};
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;

const SIZE: (u32, u32) = (860, 420);
/// Horizontal position of the series' names.
const LEGEND: i32 = 610;
/// Vertical distance between the names of two series.
const LEGEND_STEP: i32 = 24;

/// Factor of space beyond the outermost points of a logarithmic axis.
const LOG_MARGIN: f64 = 1.25;

/// Colours that colour-blind readers can distinguish (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(70, 70, 70),
];

/// A plot as SVG.
///
/// # Errors
/// An error if there is nothing to draw, or if a point is outside its axis.
pub fn render(plot: &Plot) -> Result<String, Failure> {
    let points: Vec<_> = plot.series.iter().flat_map(|series| series.points.clone()).collect();
    let x = range(&plot.x, points.iter().map(|point| point.0))
        .ok_or_else(|| format!("{}: nothing to draw along {}", plot.name, plot.x.label))?;
    let y = range(&plot.y, points.iter().map(|point| point.1))
        .ok_or_else(|| format!("{}: nothing to draw along {}", plot.name, plot.y.label))?;
    let mut text = String::new();
    match (plot.x.scale == Scale::Log, plot.y.scale == Scale::Log) {
        (true, true) => draw(plot, x.log_scale().base(2.0), y.log_scale().base(2.0), &mut text),
        (true, false) => draw(plot, x.log_scale().base(2.0), y, &mut text),
        (false, true) => draw(plot, x, y.log_scale().base(2.0), &mut text),
        (false, false) => draw(plot, x, y, &mut text),
    }?;
    Ok(text)
}

/// The range of an axis. It goes from zero to beyond the largest value, or, by
/// powers of two, from below the smallest to beyond the largest.
fn range(axis: &Axis, values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let values: Vec<_> = values.collect();
    let log = axis.scale == Scale::Log;
    let usable = |value: &f64| value.is_finite() && (*value > 0.0 || *value == 0.0 && !log);
    if values.is_empty() || !values.iter().all(usable) {
        return None;
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(0.0, f64::max);
    if log {
        return Some(least / LOG_MARGIN..largest * LOG_MARGIN);
    }
    Some(0.0..if largest > 0.0 { largest * 1.1 } else { 1.0 })
}

fn draw<X, Y>(plot: &Plot, x: X, y: Y, to: &mut String) -> Result<(), Failure>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let root = SVGBackend::with_string(to, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(plot.title.clone(), (16, 12), ("sans-serif", 18).into_font()))?;
    let (left, right) = root.split_horizontally(LEGEND - 20);
    let mut chart = ChartBuilder::on(&left)
        .margin_top(44)
        .margin_right(16)
        .margin_left(8)
        .margin_bottom(8)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(215, 215, 215))
        .x_desc(plot.x.label.clone())
        .y_desc(plot.y.label.clone())
        .x_label_formatter(&|value| tick(plot.x.scale, *value))
        .y_label_formatter(&|value| tick(plot.y.scale, *value))
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .draw()?;
    for (i, series) in plot.series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let Series { points, mark, .. } = series;
        if *mark != Mark::Dots {
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        }
        if *mark != Mark::Line {
            let dots = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
            chart.draw_series(dots)?;
        }
        let middle = 60 + LEGEND_STEP * i as i32;
        let from = 20;
        if *mark != Mark::Dots {
            let line = [(from, middle), (from + 24, middle)];
            right.draw(&PathElement::new(line, colour.stroke_width(2)))?;
        }
        if *mark != Mark::Line {
            right.draw(&Circle::new((from + 12, middle), 4, colour.filled()))?;
        }
        let font = ("sans-serif", 13).into_font();
        right.draw(&Text::new(series.name.clone(), (from + 32, middle - 6), font))?;
    }
    root.present()?;
    Ok(())
}

/// The label of a grid line, with no more digits than necessary.
fn tick(scale: Scale, value: f64) -> String {
    if scale == Scale::Whole && value.fract() != 0.0 {
        return String::new();
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
