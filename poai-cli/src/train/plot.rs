//! The plot of a run's loss and accuracy, as SVG.

use crate::failure::Failure;
use plotters::prelude::*;
use poai::train::run::Loss;

const SIZE: (u32, u32) = (860, 420);
/// Points of a line at most: each is the mean of some iterations.
const POINTS: usize = 200;
/// Colours that colour-blind readers can distinguish (Okabe and Ito).
const LOSS: RGBColor = RGBColor(0, 114, 178);
const ACCURACY: RGBColor = RGBColor(213, 94, 0);
const FLOAT_LOSS: RGBColor = RGBColor(86, 180, 233);
const FLOAT_ACCURACY: RGBColor = RGBColor(230, 159, 0);

/// The mean of some iterations: number of the first, loss, accuracy.
type Point = (f64, f64, f64);

/// Loss and accuracy of batches, iteration by iteration, and those of floating point.
pub fn svg(history: &[Loss], float: Option<&[Loss]>) -> Result<String, Failure> {
    let mut text = String::new();
    draw(history, float, &mut text)
        .map_err(|error| Failure::failed(format!("the plot cannot be drawn: {error}")))?;
    Ok(text)
}

fn points(history: &[Loss]) -> Vec<Point> {
    let part = history.len().div_ceil(POINTS).max(1);
    let point = |(index, losses): (usize, &[Loss])| {
        let count = losses.len() as f64;
        let loss = losses.iter().map(|loss| loss.mean).sum::<f64>() / count;
        let accuracy = losses.iter().map(Loss::accuracy).sum::<f64>() / count;
        ((index * part) as f64, loss, accuracy)
    };
    history.chunks(part).enumerate().map(point).collect()
}

fn draw(
    history: &[Loss],
    float: Option<&[Loss]>,
    to: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let (own, float) = (points(history), float.map(points));
    let all = own.iter().chain(float.iter().flatten());
    let most = all.map(|point| point.1).fold(1.0, f64::max);
    let root = SVGBackend::with_string(to, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let iterations = 0.0..history.len().max(1) as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .right_y_label_area_size(56)
        .build_cartesian_2d(iterations.clone(), 0.0..most)?
        .set_secondary_coord(iterations, 0.0..1.0);
    chart.configure_mesh().x_desc("iteration").y_desc("loss").draw()?;
    chart.configure_secondary_axes().y_desc("accuracy").draw()?;
    let line = |points: &[Point], pick: fn(&Point) -> f64, colour: RGBColor| {
        let points: Vec<_> = points.iter().map(|point| (point.0, pick(point))).collect();
        LineSeries::new(points, colour)
    };
    let key = |colour: RGBColor| {
        move |(x, y): (i32, i32)| PathElement::new([(x, y), (x + 16, y)], colour)
    };
    if let Some(float) = &float {
        let loss = line(float, |point| point.1, FLOAT_LOSS);
        chart.draw_series(loss)?.label("loss, float").legend(key(FLOAT_LOSS));
        let accuracy = line(float, |point| point.2, FLOAT_ACCURACY);
        let drawn = chart.draw_secondary_series(accuracy)?;
        drawn.label("accuracy, float").legend(key(FLOAT_ACCURACY));
    }
    let loss = line(&own, |point| point.1, LOSS);
    chart.draw_series(loss)?.label("loss").legend(key(LOSS));
    let accuracy = line(&own, |point| point.2, ACCURACY);
    chart.draw_secondary_series(accuracy)?.label("accuracy").legend(key(ACCURACY));
    let labels = chart.configure_series_labels().position(SeriesLabelPosition::MiddleRight).draw();
    labels?;
    drop(chart);
    root.present()?;
    Ok(())
}
