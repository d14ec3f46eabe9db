//! Generated images of ten classes: stripes whose direction is the class.
//!
//! They are 32×32×3, as CIFAR-10's are, and the same on every machine. Stripes of
//! another direction, colours, phases, widths and noise hide the class.

use crate::Failure;
use poai_train::{Dataset, Layers};
use std::f64::consts::PI;

/// The height and width of an image.
pub const SIDE: u32 = 32;
/// The number of classes.
pub const CLASSES: u32 = 10;

/// Numbers in 0..1 of a sample.
struct Numbers(blake3::OutputReader);

impl Numbers {
    fn next(&mut self) -> f64 {
        let mut word = [0; 4];
        self.0.fill(&mut word);
        f64::from(u32::from_le_bytes(word)) / 4_294_967_296.0
    }
}

/// Stripes of one direction.
struct Stripes {
    direction: [f64; 2],
    phase: f64,
    colours: [f64; 3],
}

impl Stripes {
    /// Stripes at an angle. Width, phase, colours and contrast are drawn.
    fn drawn(angle: f64, contrast: f64, numbers: &mut Numbers) -> Stripes {
        let cycles = 2.5 + 3.0 * numbers.next();
        let step = 2.0 * PI * cycles / f64::from(SIDE);
        let phase = 2.0 * PI * numbers.next();
        let colours = [0; 3].map(|_| contrast * (2.0 * numbers.next() - 1.0));
        Stripes { direction: [step * libm::cos(angle), step * libm::sin(angle)], phase, colours }
    }

    fn at(&self, x: f64, y: f64) -> f64 {
        libm::sin(self.direction[0] * x + self.direction[1] * y + self.phase)
    }
}

/// One image of a class, channels last, in −1..1.
fn image(class: u32, numbers: &mut Numbers) -> Vec<f32> {
    let spread = (numbers.next() + numbers.next() - 1.0) * 0.35;
    let angle = PI * (f64::from(class) + spread) / f64::from(CLASSES);
    let own = Stripes::drawn(angle, 0.6, numbers);
    let other = Stripes::drawn(PI * numbers.next(), 0.5, numbers);
    let mut pixels = vec![];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (x, y) = (f64::from(x), f64::from(y));
            let (a, b) = (own.at(x, y), other.at(x, y));
            for channel in 0..3 {
                let noise = numbers.next() + numbers.next() - 1.0;
                let value = own.colours[channel] * a + other.colours[channel] * b + 0.4 * noise;
                pixels.push(value.clamp(-1.0, 1.0) as f32);
            }
        }
    }
    pixels
}

/// This many images, from a number on.
pub fn images(layers: &Layers, from: u32, count: u32) -> Result<Dataset, Failure> {
    let (mut pixels, mut labels) = (vec![], vec![]);
    for sample in from..from + count {
        let label = format!("poai textures {sample}");
        let mut numbers = Numbers(blake3::Hasher::new().update(label.as_bytes()).finalize_xof());
        let class = sample % CLASSES;
        pixels.extend(image(class, &mut numbers));
        labels.push(class);
    }
    Ok(Dataset::dense(layers, &pixels, &labels)?)
}
