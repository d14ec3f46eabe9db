//! The order of an image's entries, and samples as a network takes them.

use super::{Form, Numbers, Problem, Samples};
use clap::ValueEnum;
use ndarray::Array2;
use poai::import::graph::ImageExtent;

/// The order of an image's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// All of one channel together, then the next channel.
    Nchw,
    /// All channels of one pixel together, then the next pixel.
    Nhwc,
}

impl Layout {
    const fn name(self) -> &'static str {
        match self {
            Layout::Nchw => "nchw",
            Layout::Nhwc => "nhwc",
        }
    }

    const fn other(self) -> Layout {
        match self {
            Layout::Nchw => Layout::Nhwc,
            Layout::Nhwc => Layout::Nchw,
        }
    }

    /// The place of a pixel's channel in a sample.
    fn place(self, of: ImageExtent, pixel: usize, channel: usize) -> usize {
        match self {
            Layout::Nchw => channel * of.rows() + pixel,
            Layout::Nhwc => pixel * of.channels + channel,
        }
    }

    /// The sizes of one sample.
    const fn sizes(self, of: ImageExtent) -> [usize; 3] {
        match self {
            Layout::Nchw => [of.channels, of.height, of.width],
            Layout::Nhwc => [of.height, of.width, of.channels],
        }
    }

    /// Whether a sample of these sizes has this layout. An axis of one pixel or
    /// of one channel may be left out.
    fn fits(self, of: ImageExtent, sample: &[usize]) -> bool {
        let full = self.sizes(of);
        sample == full
            || (0..3).any(|axis| {
                let kept = full.iter().enumerate().filter(|(at, _)| *at != axis);
                full[axis] == 1 && kept.map(|(_, size)| size).eq(sample)
            })
    }
}

/// Samples whose roughness is measured.
const LOOKED_AT: usize = 16;
/// How much rougher samples are in the wrong layout, at least.
const ROUGHER: f64 = 1.5;

/// The samples as rows of pixels. Without a layout, the shape decides, or the
/// form of the file.
pub fn arrange(
    numbers: Numbers,
    input: ImageExtent,
    layout: Option<Layout>,
) -> Result<Samples, Problem> {
    let Numbers { form, sizes, entries, mut warnings } = numbers;
    if entries.is_empty() {
        return Err(Problem::new("at least one sample", "none"));
    }
    let wrong = || {
        let [channels, height, width] = Layout::Nchw.sizes(input);
        let expected = match input.rows() {
            1 => format!("samples × {channels}"),
            _ => format!("samples × {channels}×{height}×{width}, or × {height}×{width}×{channels}"),
        };
        Problem::new(format!("numbers of shape {expected}"), shape(&sizes))
    };
    let all = input.entries();
    let sample = match sizes.split_first() {
        Some((_, inner)) if inner.iter().product::<usize>() == all => inner,
        // One sample, or all of them in one row.
        _ if sizes.iter().product::<usize>() == all => &sizes[..],
        Some((1, [row])) if row % all == 0 => &[][..],
        _ => return Err(wrong()),
    };
    // Sequences are no images, and their tables have the order of the file.
    let image = input.height > 1 && input.width > 1;
    let usual = if form == Form::Table && image { Layout::Nhwc } else { Layout::Nchw };
    let shaped = sample.len() > 1 && input.rows() > 1 && form != Form::Table;
    let (stored, to) = match (form, input.rows()) {
        // An image for a network that takes a vector: its pixels in the layout.
        (Form::Image, 1) => {
            let [height, width, channels] = [sizes[1], sizes[2], sizes[3]];
            let image = ImageExtent { height, width, channels };
            (Layout::Nhwc, Some((image, layout.unwrap_or(Layout::Nchw))))
        }
        (Form::Image, _) if sample != Layout::Nhwc.sizes(input) => return Err(wrong()),
        (Form::Image, _) => (Layout::Nhwc, None),
        _ if shaped => {
            let tried = layout.map_or([usual, usual.other()], |only| [only; 2]);
            let fits = |layout: &Layout| layout.fits(input, sample);
            (tried.into_iter().find(fits).ok_or_else(wrong)?, None)
        }
        _ => (layout.unwrap_or(usual), None),
    };
    let two_ways = input.channels > 1 && image;
    // A caller who names the layout knows it.
    if layout.is_none() && two_ways && form != Form::Image && !shaped {
        let [chosen, other] =
            [stored, stored.other()].map(|layout| roughness(&entries, input, layout));
        if chosen > ROUGHER * other {
            let [stored, other] = [stored, stored.other()].map(Layout::name);
            warnings.push(format!(
                "the samples look transposed: neighbouring entries differ less if they are \
                 {other}, and they were read as {stored}; set --layout {other}, or confirm with \
                 --layout {stored}"
            ));
        }
    }
    let rows = entries.len() / all * input.rows();
    let entry = |(row, channel): (usize, usize)| {
        let (sample, pixel) = (row / input.rows(), row % input.rows());
        let place = match to {
            None => stored.place(input, pixel, channel),
            // `channel` counts the vector's entries.
            Some((_, Layout::Nhwc)) => channel,
            Some((image, Layout::Nchw)) => {
                stored.place(image, channel % image.rows(), channel / image.rows())
            }
        };
        entries[sample * all + place]
    };
    let rows = Array2::from_shape_fn((rows, input.channels), entry);
    Ok(Samples { rows, warnings })
}

/// The mean difference of an entry and its neighbours in the next column, row
/// and channel. Images are smooth in the right layout.
fn roughness(entries: &[f32], input: ImageExtent, layout: Layout) -> f64 {
    let ImageExtent { height, width, channels } = input;
    let (mut sum, mut count) = ([0.0; 3], [0u64; 3]);
    for sample in entries.chunks_exact(input.entries()).take(LOOKED_AT) {
        let at = |y: usize, x: usize, channel: usize| {
            f64::from(sample[layout.place(input, y * width + x, channel)])
        };
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            for channel in 0..channels {
                let here = at(y, x, channel);
                let next = [
                    (x + 1 < width).then(|| at(y, x + 1, channel)),
                    (y + 1 < height).then(|| at(y + 1, x, channel)),
                    (channel + 1 < channels).then(|| at(y, x, channel + 1)),
                ];
                for ((next, sum), count) in next.into_iter().zip(&mut sum).zip(&mut count) {
                    if let Some(next) = next {
                        *sum += (next - here).abs();
                        *count += 1;
                    }
                }
            }
        }
    }
    sum.iter().zip(count).map(|(sum, count)| sum / count.max(1) as f64).sum()
}

/// Sizes as text.
pub fn shape(sizes: &[usize]) -> String {
    let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
    sizes.join("×")
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: ImageExtent = ImageExtent { height: 6, width: 5, channels: 3 };

    /// A smooth image, entry by entry in a layout.
    fn smooth(layout: Layout) -> Vec<f32> {
        let mut entries = vec![0.0; INPUT.entries()];
        for pixel in 0..INPUT.rows() {
            for channel in 0..3 {
                let (y, x) = (pixel / 5, pixel % 5);
                let entry = (10 * y + 4 * x) as f32 + [0.0, 3.0, 5.0][channel];
                entries[layout.place(INPUT, pixel, channel)] = entry;
            }
        }
        entries
    }

    fn numbers(form: Form, sizes: &[usize], entries: Vec<f32>) -> Numbers {
        Numbers { form, sizes: sizes.to_vec(), entries, warnings: vec![] }
    }

    #[test]
    fn layouts_shapes_and_forms_agree() {
        let right = smooth(Layout::Nhwc);
        let (nchw, nhwc) = (smooth(Layout::Nchw), right.clone());
        for (form, sizes, entries, layout) in [
            (Form::Table, &[1, 90][..], &nhwc, None),
            (Form::Table, &[1, 90], &nchw, Some(Layout::Nchw)),
            (Form::Array, &[1, 90], &nchw, None),
            (Form::Array, &[90], &nchw, None),
            (Form::Array, &[1, 90], &nhwc, Some(Layout::Nhwc)),
            (Form::Array, &[1, 3, 6, 5], &nchw, None),
            (Form::Array, &[3, 6, 5], &nchw, None),
            (Form::Array, &[1, 6, 5, 3], &nhwc, None),
            (Form::Image, &[1, 6, 5, 3], &nhwc, None),
        ] {
            let samples = arrange(numbers(form, sizes, entries.clone()), INPUT, layout).unwrap();
            assert_eq!(samples.rows.dim(), (30, 3));
            assert!(samples.rows.iter().eq(&right), "{form:?} {sizes:?} {layout:?}");
            assert!(samples.warnings.is_empty(), "{:?}", samples.warnings);
        }
        // A sequence, with or without its axis of one pixel.
        let line = ImageExtent { height: 1, width: 30, channels: 3 };
        let by_channel: Vec<f32> = (0..90).map(|at| (at % 30 * 3 + at / 30) as f32).collect();
        let by_pixel: Vec<f32> = (0..90).map(|at| at as f32).collect();
        for (form, sizes, entries) in [
            (Form::Table, &[1, 90][..], &by_channel),
            (Form::Array, &[1, 90], &by_channel),
            (Form::Array, &[1, 3, 30], &by_channel),
            (Form::Array, &[1, 30, 3], &by_pixel),
            (Form::Array, &[1, 3, 1, 30], &by_channel),
        ] {
            let samples = arrange(numbers(form, sizes, entries.clone()), line, None).unwrap();
            assert!(samples.rows.iter().eq(&by_pixel), "{form:?} {sizes:?}");
        }
        let grey = ImageExtent { height: 9, width: 10, channels: 1 };
        arrange(numbers(Form::Array, &[1, 9, 10], by_pixel), grey, None).unwrap();
        // Several samples in one row, as EZKL writes a batch.
        let two = [nchw.clone(), nchw.clone()].concat();
        let two = arrange(numbers(Form::Array, &[1, 180], two), INPUT, None).unwrap();
        assert_eq!(two.rows.dim(), (60, 3));
        // An image for a network of vectors is in the order of the network's file.
        let vector = ImageExtent::features(90);
        for (layout, expected) in [(None, &nchw), (Some(Layout::Nhwc), &nhwc)] {
            let image = numbers(Form::Image, &[1, 6, 5, 3], nhwc.clone());
            let samples = arrange(image, vector, layout).unwrap();
            assert!(samples.rows.iter().eq(expected.iter()), "{layout:?}");
        }
    }

    #[test]
    fn transposed_samples_are_noticed() {
        for (form, wrong) in [(Form::Table, Layout::Nchw), (Form::Array, Layout::Nhwc)] {
            let file = || numbers(form, &[1, 90], smooth(wrong));
            let warnings = arrange(file(), INPUT, None).unwrap().warnings;
            assert!(warnings.len() == 1 && warnings[0].contains(wrong.name()), "{warnings:?}");
            assert!(arrange(file(), INPUT, Some(wrong)).unwrap().warnings.is_empty());
            assert!(arrange(file(), INPUT, Some(wrong.other())).unwrap().warnings.is_empty());
        }
        // Noise looks the same in every layout.
        let noise: Vec<f32> =
            (0..90u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32).collect();
        let noise = numbers(Form::Table, &[1, 90], noise);
        assert!(arrange(noise, INPUT, None).unwrap().warnings.is_empty());
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        for (form, sizes, layout) in [
            (Form::Array, &[1, 5, 6, 3][..], None),
            (Form::Array, &[1, 3, 6, 5], Some(Layout::Nhwc)),
            (Form::Array, &[1, 6, 15], None),
            (Form::Array, &[2, 45], None),
            (Form::Image, &[1, 5, 6, 3], None),
        ] {
            let count = sizes.iter().product();
            let error = arrange(numbers(form, sizes, vec![0.0; count]), INPUT, layout);
            let text = error.err().unwrap().to_string();
            assert!(text.starts_with("expected numbers of shape samples × 3×6×5, or"), "{text}");
        }
        let none = arrange(numbers(Form::Table, &[0, 90], vec![]), INPUT, None);
        assert_eq!(none.err().unwrap().to_string(), "expected at least one sample, got none");
    }
}
