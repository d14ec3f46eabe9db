//! A kernel's rates compared with the limits of the processor and the memory.

use poai_benches::lines::{Axis, Mark, Plot, Series};
use poai_core::Shape;

/// The points of one kernel.
pub struct Roofline {
    name: &'static str,
    bandwidth: f64,
    /// The fastest measured register-only loop.
    peak: Option<f64>,
    ways: [Vec<(f64, f64)>; 3],
}

impl Roofline {
    /// A roofline without points; `bandwidth` is in GB/s.
    pub fn new(name: &'static str, bandwidth: f64) -> Roofline {
        Roofline { name, bandwidth, peak: None, ways: Default::default() }
    }

    /// Adds plain, ticketed and recovered GMAC/s of one shape, and the loop's.
    pub fn add(&mut self, shape: &Shape, rates: [f64; 3], peak: Option<f64>) {
        for (points, rate) in self.ways.iter_mut().zip(rates) {
            points.push((intensity(shape), rate));
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        if let Some(peak) = peak {
            self.peak = Some(self.peak.unwrap_or(peak).max(peak));
        }
    }

    /// The plot, if there is a register-only loop to compare with.
    pub fn plot(self) -> Option<Plot> {
        let peak = self.peak?;
        let ridge = peak / self.bandwidth;
        let points = self.ways[0].iter();
        let (left, right) = points
            .fold((ridge, ridge), |(left, right), point| (left.min(point.0), right.max(point.0)));
        // Half a power of two to the left of all points, so that the memory's
        // slope is visible.
        let left = left / 2.0;
        let line = |name: &str, points| Series { name: name.into(), points, mark: Mark::Line };
        let mut series = vec![
            line("register-only loop", vec![(left, peak), (right, peak)]),
            line("memory bandwidth", vec![(left, left * self.bandwidth), (ridge, peak)]),
        ];
        let names = ["plain", "ticketed", "recovered"];
        for (name, points) in names.into_iter().zip(self.ways) {
            series.push(Series { name: name.into(), points, mark: Mark::Dots });
        }
        Some(Plot {
            name: format!("roofline-{}", self.name),
            title: format!("Roofline of {}, all threads", self.name),
            x: Axis::log("MACs per byte of A, Bᵀ and the product"),
            y: Axis::log("GMAC/s"),
            series,
        })
    }
}

/// Multiply-accumulates per byte of A, Bᵀ and the 32-bit product.
fn intensity(shape: &Shape) -> f64 {
    let [m, n, k] = [shape.m, shape.n, shape.k].map(f64::from);
    m * n * k / (m * k + n * k + 4.0 * m * n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use poai_benches::workload::cube;

    #[test]
    fn a_square_does_a_sixth_of_its_size_per_byte() {
        assert_eq!(intensity(&cube(600)), 100.0);
    }

    #[test]
    fn the_roof_is_memory_up_to_the_ridge_and_the_loop_beyond() {
        let mut roofline = Roofline::new("k", 10.0);
        roofline.add(&cube(600), [300.0, 200.0, 100.0], Some(400.0));
        roofline.add(&cube(60), [30.0, 20.0, 10.0], Some(500.0));
        let plot = roofline.plot().expect("there is a loop");
        assert_eq!(plot.series[0].points, [(5.0, 500.0), (100.0, 500.0)]);
        assert_eq!(plot.series[1].points, [(5.0, 50.0), (50.0, 500.0)]);
        assert_eq!(plot.series[2].points, [(10.0, 30.0), (100.0, 300.0)]);
    }

    #[test]
    fn without_a_loop_there_is_no_roof() {
        let mut roofline = Roofline::new("k", 10.0);
        roofline.add(&cube(600), [3.0, 2.0, 1.0], None);
        assert!(roofline.plot().is_none());
    }
}
