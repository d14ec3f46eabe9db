//! The order of an image's entries, and samples as a network takes them.

use super::{Form, Numbers, Problem, Samples};
use clap::ValueEnum;
use ndarray::Array2;
use poai::import::graph::{Input, ValueShape};

/// The sizes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Image {
    height: usize,
    width: usize,
    channels: usize,
}

impl Image {
    const fn rows(self) -> usize {
        self.height * self.width
    }
}

/// What a network takes as a sample.
#[derive(Clone, Debug)]
pub struct Target {
    /// The entries of a sample.
    pub entries: usize,
    /// The shape of a sample, without the batch.
    shape: Vec<usize>,
    /// The image, if a sample is one, and the layout of the network's file.
    image: Option<(Image, Layout)>,
}

impl Target {
    /// What an input takes.
    pub fn of(input: &Input) -> Target {
        let shape = input.shape.0.strip_prefix(&[1]).unwrap_or(&input.shape.0).to_vec();
        let image = input.shape.image().map(|[first, second, third]| match input.channels_last {
            true => (Image { height: first, width: second, channels: third }, Layout::Nhwc),
            false => (Image { channels: first, height: second, width: third }, Layout::Nchw),
        });
        Target { entries: input.shape.entries(), shape, image }
    }

    /// What all inputs take, one after another.
    pub fn of_all(inputs: &[Input]) -> Target {
        if let [only] = inputs {
            return Target::of(only);
        }
        let entries = inputs.iter().map(|input| input.shape.entries()).sum();
        Target { entries, shape: vec![entries], image: None }
    }

    /// The shapes of samples, in words.
    fn expected(&self) -> String {
        match self.image {
            Some((Image { height, width, channels }, _)) => {
                format!("samples × {channels}×{height}×{width}, or × {height}×{width}×{channels}")
            }
            None => format!("samples × {}", ValueShape(self.shape.clone())),
        }
    }
}

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
    fn place(self, of: Image, pixel: usize, channel: usize) -> usize {
        match self {
            Layout::Nchw => channel * of.rows() + pixel,
            Layout::Nhwc => pixel * of.channels + channel,
        }
    }

    /// The sizes of one sample.
    const fn sizes(self, of: Image) -> [usize; 3] {
        match self {
            Layout::Nchw => [of.channels, of.height, of.width],
            Layout::Nhwc => [of.height, of.width, of.channels],
        }
    }

    /// Whether a sample of these sizes has this layout.
    fn fits(self, of: Image, sample: &[usize]) -> bool {
        alike(&self.sizes(of), sample)
    }
}

/// Whether two shapes are the same, but for sizes of 1.
fn alike(a: &[usize], b: &[usize]) -> bool {
    let long = |sizes: &&usize| **sizes != 1;
    a.iter().filter(long).eq(b.iter().filter(long))
}

/// Samples whose roughness is measured.
const LOOKED_AT: usize = 16;
/// How much rougher samples are in the wrong layout, at least.
const ROUGHER: f64 = 1.5;
/// The same of columns and rows alone.
const ROUGHER_PLANE: f64 = 2.0;
/// How much smoother they are by one measure that the other does not count.
const SMOOTHER: f64 = 0.4;

/// The samples as rows in the order of the network's file. Without a layout, the
/// shape decides, or the form of the file.
pub fn arrange(
    numbers: Numbers,
    target: &Target,
    layout: Option<Layout>,
) -> Result<Samples, Problem> {
    let Numbers { form, sizes, entries, mut warnings } = numbers;
    if entries.is_empty() {
        return Err(Problem::new("at least one sample", "none"));
    }
    let wrong = || {
        let got = format!("{}; reshape the numbers", shape(&sizes));
        Problem::new(format!("numbers of shape {}", target.expected()), got)
    };
    let all = target.entries;
    let sample = match sizes.split_first() {
        Some((_, inner)) if inner.iter().product::<usize>() == all => inner,
        // One sample, or all of them in one row.
        _ if sizes.iter().product::<usize>() == all => &sizes[..],
        Some((1, [row])) if row % all == 0 => &[][..],
        // A network whose file fixes a batch takes that many samples at once.
        Some((count, inner)) if target.image.is_none() => match target.shape.split_first() {
            Some((&batch, own)) if batch > 1 && !own.is_empty() && alike(own, inner) => {
                if !count.is_multiple_of(batch) {
                    let expected = format!("a multiple of {batch} samples, as the file's batch");
                    let got = format!("{count}; export the network with an open batch");
                    return Err(Problem::new(expected, got));
                }
                &[][..]
            }
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    };
    let (stored, to) = match (form, target.image) {
        // An image for a network that takes a vector: its pixels in the layout.
        (Form::Image, None) => {
            let [height, width, channels] = [sizes[1], sizes[2], sizes[3]];
            let image = Image { height, width, channels };
            (Layout::Nhwc, Some((image, layout.unwrap_or(Layout::Nchw))))
        }
        (Form::Image, Some((image, own))) if sample == Layout::Nhwc.sizes(image) => {
            (Layout::Nhwc, Some((image, own)))
        }
        (Form::Image, Some(_)) => return Err(wrong()),
        (_, Some((image, own))) => {
            let wide = image.height > 1 && image.width > 1;
            // Tables have the channels of one pixel together.
            let usual = if form == Form::Table && wide { Layout::Nhwc } else { own };
            let shaped = sample.len() > 1 && image.rows() > 1 && form != Form::Table;
            let stored = if shaped {
                let tried = layout.map_or([usual, usual.other()], |only| [only; 2]);
                let fits = |layout: &Layout| layout.fits(image, sample);
                tried.into_iter().find(fits).ok_or_else(wrong)?
            } else {
                layout.unwrap_or(usual)
            };
            // A caller who names the layout knows it.
            if layout.is_none() && image.channels > 1 && wide && !shaped {
                let [chosen, other] =
                    [stored, stored.other()].map(|layout| roughness(&entries, image, layout));
                // The channels of a colourful image are far apart in its own
                // layout, and those of a grey one are close in any. Therefore
                // all neighbours and those within a channel both decide.
                let plane = |[columns, rows, _]: [f64; 3]| columns + rows;
                let all = |each: [f64; 3]| each.iter().sum::<f64>();
                let above = |factor: f64, of: fn([f64; 3]) -> f64| of(chosen) > factor * of(other);
                if above(ROUGHER, all) && above(SMOOTHER, plane)
                    || above(ROUGHER_PLANE, plane) && above(SMOOTHER, all)
                {
                    warnings.push(transposed(stored));
                }
            }
            (stored, Some((image, own)))
        }
        (_, None) => {
            let shaped = sample.len() > 1 && target.shape.len() > 1;
            if shaped && !alike(&target.shape, sample) {
                return Err(wrong());
            }
            (Layout::Nchw, None)
        }
    };
    let entry = |(sample, place): (usize, usize)| {
        let from = match to {
            None => place,
            Some((image, Layout::Nhwc)) => {
                stored.place(image, place / image.channels, place % image.channels)
            }
            Some((image, Layout::Nchw)) => {
                stored.place(image, place % image.rows(), place / image.rows())
            }
        };
        entries[sample * all + from]
    };
    let rows = Array2::from_shape_fn((entries.len() / all, all), entry);
    Ok(Samples { rows, warnings, pixel_scale: None })
}

/// The columns of each of several inputs, if the numbers are a table of all.
pub fn divided(numbers: &Numbers, inputs: &[Input]) -> Option<Vec<Numbers>> {
    let widths: Vec<usize> = inputs.iter().map(|input| input.shape.entries()).collect();
    let all: usize = widths.iter().sum();
    if inputs.len() < 2 || numbers.form != Form::Table || numbers.sizes.get(1) != Some(&all) {
        return None;
    }
    let mut first = 0;
    let parts = widths.into_iter().map(|width| {
        let columns = first..first + width;
        first += width;
        let rows = numbers.entries.chunks_exact(all);
        let entries: Vec<f32> = rows.flat_map(|row| row[columns.clone()].to_vec()).collect();
        let sizes = vec![numbers.sizes[0], width];
        let warnings = if columns.start == 0 { numbers.warnings.clone() } else { vec![] };
        Numbers { form: Form::Table, sizes, entries, warnings }
    });
    Some(parts.collect())
}

/// The samples of several inputs, one after another in each row.
pub fn arrange_all(
    parts: Vec<Numbers>,
    inputs: &[Input],
    layout: Option<Layout>,
) -> Result<Samples, Problem> {
    let (mut all, mut warnings) = (vec![], vec![]);
    for (part, input) in parts.into_iter().zip(inputs) {
        let Samples { rows, warnings: more, .. } = arrange(part, &Target::of(input), layout)?;
        all.push(rows);
        let named = |warning| format!("input {}: {warning}", input.name);
        warnings.extend(more.into_iter().map(named));
    }
    let views: Vec<_> = all.iter().map(|rows| rows.view()).collect();
    let rows = ndarray::concatenate(ndarray::Axis(1), &views)
        .map_err(|_| Problem::new("as many samples of each input", "others"))?;
    Ok(Samples { rows, warnings, pixel_scale: None })
}

fn transposed(stored: Layout) -> String {
    let [stored, other] = [stored, stored.other()].map(Layout::name);
    format!(
        "the samples look transposed: neighbouring entries differ less if they are {other}, and \
         they were read as {stored}; set --layout {other}, or confirm with --layout {stored}"
    )
}

/// The mean difference of an entry and its neighbours in the next column, row
/// and channel, each by itself. Images are smooth in the right layout.
fn roughness(entries: &[f32], input: Image, layout: Layout) -> [f64; 3] {
    let Image { height, width, channels } = input;
    let (mut sum, mut count) = ([0.0; 3], [0u64; 3]);
    for sample in entries.chunks_exact(input.rows() * channels).take(LOOKED_AT) {
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
    std::array::from_fn(|way| sum[way] / count[way].max(1) as f64)
}

/// Sizes as text.
pub fn shape(sizes: &[usize]) -> String {
    let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
    sizes.join("×")
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Image = Image { height: 6, width: 5, channels: 3 };

    /// A network of images, channels first.
    fn images() -> Target {
        Target::of(&Input::new("x", [1, 3, 6, 5]))
    }

    /// A smooth image, entry by entry in a layout.
    fn smooth(layout: Layout) -> Vec<f32> {
        of_colours(layout, [0.0, 3.0, 5.0])
    }

    /// The same with channels that are this far apart.
    fn of_colours(layout: Layout, colours: [f32; 3]) -> Vec<f32> {
        let mut entries = vec![0.0; 90];
        for pixel in 0..INPUT.rows() {
            for channel in 0..3 {
                let (y, x) = (pixel / 5, pixel % 5);
                let entry = (10 * y + 4 * x) as f32 + colours[channel];
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
        let (nchw, nhwc) = (smooth(Layout::Nchw), smooth(Layout::Nhwc));
        let last = Input { channels_last: true, ..Input::new("x", [1, 6, 5, 3]) };
        for (target, right) in [(images(), &nchw), (Target::of(&last), &nhwc)] {
            for (form, sizes, entries, layout) in [
                (Form::Table, &[1, 90][..], &nhwc, None),
                (Form::Table, &[1, 90], &nchw, Some(Layout::Nchw)),
                (Form::Array, &[1, 90], right, None),
                (Form::Array, &[90], right, None),
                (Form::Array, &[1, 90], &nhwc, Some(Layout::Nhwc)),
                (Form::Array, &[1, 3, 6, 5], &nchw, None),
                (Form::Array, &[3, 6, 5], &nchw, None),
                (Form::Array, &[1, 6, 5, 3], &nhwc, None),
                (Form::Image, &[1, 6, 5, 3], &nhwc, None),
            ] {
                let own = numbers(form, sizes, entries.clone());
                let samples = arrange(own, &target, layout).unwrap();
                assert_eq!(samples.rows.dim(), (1, 90));
                assert!(samples.rows.iter().eq(right), "{form:?} {sizes:?} {layout:?}");
                assert!(samples.warnings.is_empty(), "{:?}", samples.warnings);
            }
        }
        // Sequences have the order of the file, whatever holds them.
        let line = Target::of(&Input::new("x", [1, 3, 30]));
        let all: Vec<f32> = (0..90).map(|at| at as f32).collect();
        for (form, sizes) in [
            (Form::Table, &[1, 90][..]),
            (Form::Array, &[1, 90]),
            (Form::Array, &[1, 3, 30]),
            (Form::Array, &[1, 3, 1, 30]),
        ] {
            let samples = arrange(numbers(form, sizes, all.clone()), &line, None).unwrap();
            assert!(samples.rows.iter().eq(&all), "{form:?} {sizes:?}");
        }
        let grey = Target::of(&Input::new("x", [1, 1, 9, 10]));
        arrange(numbers(Form::Array, &[1, 9, 10], all), &grey, None).unwrap();
        // Several samples in one row, as EZKL writes a batch.
        let two = [nchw.clone(), nchw.clone()].concat();
        let two = arrange(numbers(Form::Array, &[1, 180], two), &images(), None).unwrap();
        assert_eq!(two.rows.dim(), (2, 90));
        // An image for a network of vectors is in the order of the network's file.
        let vector = Target::of(&Input::new("x", [1, 90]));
        for (layout, expected) in [(None, &nchw), (Some(Layout::Nhwc), &nhwc)] {
            let image = numbers(Form::Image, &[1, 6, 5, 3], nhwc.clone());
            let samples = arrange(image, &vector, layout).unwrap();
            assert!(samples.rows.iter().eq(expected.iter()), "{layout:?}");
        }
    }

    #[test]
    fn shapes_that_are_no_samples_are_refused() {
        let refused = |sizes: &[usize], target: &Target| {
            let entries = vec![0.0; sizes.iter().product()];
            arrange(numbers(Form::Array, sizes, entries), target, None).is_err()
        };
        // Features by samples, and other shapes of as many numbers.
        let vector = Target::of(&Input::new("x", [1, 16]));
        for sizes in [&[16, 24][..], &[16, 8], &[128, 1], &[32, 2]] {
            assert!(refused(sizes, &vector), "{sizes:?}");
        }
        // Samples along the last axis.
        assert!(refused(&[6, 5, 3, 8], &images()));
        assert!(refused(&[6, 6, 5], &images()));
        // A file that fixes a batch of 3 takes multiples of it.
        let fixed = Target::of(&Input::new("x", [3, 7, 16]));
        assert!(!refused(&[6, 7, 16], &fixed));
        assert!(refused(&[64, 7, 16], &fixed));
        assert!(refused(&[6, 16, 7], &fixed));
    }

    #[test]
    fn transposed_samples_are_noticed() {
        for (form, wrong) in [(Form::Table, Layout::Nchw), (Form::Array, Layout::Nhwc)] {
            let file = || numbers(form, &[1, 90], smooth(wrong));
            let warnings = arrange(file(), &images(), None).unwrap().warnings;
            assert!(warnings.len() == 1 && warnings[0].contains(wrong.name()), "{warnings:?}");
            assert!(arrange(file(), &images(), Some(wrong)).unwrap().warnings.is_empty());
            assert!(arrange(file(), &images(), Some(wrong.other())).unwrap().warnings.is_empty());
        }
        // The channels of colourful images are far apart, and networks may have
        // their channels last.
        let last = Input { channels_last: true, ..Input::new("x", [1, 6, 5, 3]) };
        for colours in [[0.0, 3.0, 5.0], [0.0, 300.0, 90.0], [500.0, 0.0, 250.0]] {
            let of = |layout| numbers(Form::Table, &[1, 90], of_colours(layout, colours));
            let array = |layout| numbers(Form::Array, &[1, 90], of_colours(layout, colours));
            let warnings = |layout| arrange(array(layout), &images(), None).unwrap().warnings;
            assert_eq!(warnings(Layout::Nhwc).len(), 1, "{colours:?}");
            assert!(warnings(Layout::Nchw).is_empty(), "{colours:?}");
            for target in [images(), Target::of(&last)] {
                let warnings = |layout| arrange(of(layout), &target, None).unwrap().warnings;
                assert_eq!(warnings(Layout::Nchw).len(), 1, "{colours:?}");
                assert!(warnings(Layout::Nhwc).is_empty(), "{colours:?}");
            }
        }
        // Noise looks the same in every layout.
        let noise: Vec<f32> =
            (0..90u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32).collect();
        let noise = numbers(Form::Table, &[1, 90], noise);
        assert!(arrange(noise, &images(), None).unwrap().warnings.is_empty());
    }

    /// A table of several inputs has each image pixel by pixel, as a table of one.
    #[test]
    fn each_input_of_a_table_has_its_layout() {
        let inputs = [Input::new("a", [1, 2]), Input::new("b", [1, 3, 6, 5])];
        let row = [vec![7.0, 8.0], smooth(Layout::Nhwc)].concat();
        let table = numbers(Form::Table, &[1, 92], row);
        let parts = divided(&table, &inputs).unwrap();
        let samples = arrange_all(parts, &inputs, None).unwrap();
        let expected = [vec![7.0, 8.0], smooth(Layout::Nchw)].concat();
        assert!(samples.rows.iter().eq(&expected) && samples.warnings.is_empty());
        let row = [vec![7.0, 8.0], smooth(Layout::Nchw)].concat();
        let turned = divided(&numbers(Form::Table, &[1, 92], row), &inputs).unwrap();
        let warnings = arrange_all(turned, &inputs, None).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with("input b: "), "{warnings:?}");
        assert!(divided(&numbers(Form::Array, &[1, 92], vec![0.0; 92]), &inputs).is_none());
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
            let error = arrange(numbers(form, sizes, vec![0.0; count]), &images(), layout);
            let text = error.err().unwrap().to_string();
            assert!(text.starts_with("expected numbers of shape samples × 3×6×5, or"), "{text}");
        }
        let none = arrange(numbers(Form::Table, &[0, 90], vec![]), &images(), None);
        assert_eq!(none.err().unwrap().to_string(), "expected at least one sample, got none");
        let line = Target::of(&Input::new("x", [1, 3, 30]));
        let turned = arrange(numbers(Form::Array, &[1, 30, 3], vec![0.0; 90]), &line, None);
        let text = turned.err().unwrap().to_string();
        assert_eq!(
            text,
            "expected numbers of shape samples × 3×30, got 1×30×3; reshape the numbers"
        );
    }
}
