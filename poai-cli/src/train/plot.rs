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

/// Loss and accuracy of batches, iteration by iteration.
pub fn svg(history: &[Loss]) -> Result<String, Failure> {
    let mut text = String::new();
    draw(history, &mut text)
        .map_err(|error| Failure::failed(format!("the plot cannot be drawn: {error}")))?;
    Ok(text)
}

fn draw(history: &[Loss], to: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let part = history.len().div_ceil(POINTS).max(1);
    let points: Vec<(f64, f64, f64)> = history
        .chunks(part)
        .enumerate()
        .map(|(index, losses)| {
            let count = losses.len() as f64;
            let loss = losses.iter().map(|loss| loss.mean).sum::<f64>() / count;
            let accuracy = losses.iter().map(Loss::accuracy).sum::<f64>() / count;
            ((index * part) as f64, loss, accuracy)
        })
        .collect();
    let most = points.iter().map(|point| point.1).fold(1.0, f64::max);
    let root = SVGBackend::with_string(to, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .right_y_label_area_size(56)
        .build_cartesian_2d(0.0..history.len().max(1) as f64, 0.0..most)?
        .set_secondary_coord(0.0..history.len().max(1) as f64, 0.0..1.0);
    chart.configure_mesh().x_desc("iteration").y_desc("loss").draw()?;
    chart.configure_secondary_axes().y_desc("accuracy").draw()?;
    let line = |pick: fn(&(f64, f64, f64)) -> f64, colour: RGBColor| {
        LineSeries::new(points.iter().map(move |point| (point.0, pick(point))), colour)
    };
    chart.draw_series(line(|point| point.1, LOSS))?;
    chart.draw_secondary_series(line(|point| point.2, ACCURACY))?;
    root.present()?;
    Ok(())
}
