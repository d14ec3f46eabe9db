//! The content of a report: sections of measured lines, tables and plots.

/// The number of samples that count, of those taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Samples that count.
    pub kept: usize,
    /// Samples taken.
    pub taken: usize,
}

/// One measured line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The line's name for programs, the same in every run: lower-case words
    /// with hyphens and slashes.
    pub id: String,
    /// What was measured, in words.
    pub what: String,
    /// The figure, or the reason why it is missing.
    pub outcome: Outcome,
}

/// A figure or its absence.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A number with its unit.
    Figure {
        /// The number.
        value: f64,
        /// Its unit, empty for ratios.
        unit: &'static str,
        /// The samples behind it.
        share: Share,
    },
    /// A known answer, which reveals a fast wrong result.
    Digest(String),
    /// Not measured, with the reason.
    Skipped(String),
}

/// One section of a report.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The section's name for programs.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// The meaning of its figures, in a few sentences.
    pub about: &'static str,
    /// What was measured.
    pub lines: Vec<Line>,
    /// Some of its figures as tables.
    pub tables: Vec<Table>,
    /// Some of its figures as plots.
    pub plots: Vec<Plot>,
}

impl Section {
    /// Adds a figure.
    pub fn figure(
        &mut self,
        id: impl Into<String>,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        share: Share,
    ) {
        self.push(id, what, Outcome::Figure { value, unit, share });
    }

    /// Adds a known answer.
    pub fn digest(&mut self, id: impl Into<String>, what: impl Into<String>, digest: String) {
        self.push(id, what, Outcome::Digest(digest));
    }

    /// Adds a line for something that was not measured.
    pub fn skipped(
        &mut self,
        id: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.push(id, what, Outcome::Skipped(why.into()));
    }

    fn push(&mut self, id: impl Into<String>, what: impl Into<String>, outcome: Outcome) {
        self.lines.push(Line { id: id.into(), what: what.into(), outcome });
    }
}

/// Figures side by side. Each of them also has its own line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The columns' headings.
    pub columns: Vec<String>,
    /// The rows, each with one cell per column.
    pub rows: Vec<Vec<String>>,
}

/// A drawing of some series.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// The file's name without its extension.
    pub name: String,
    /// The heading.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The series in the plot.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// What the axis counts.
    pub label: String,
    /// The scale of its values.
    pub scale: Scale,
}

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By powers of two.
    Log,
    /// Evenly from zero.
    Linear,
    /// Evenly from zero, labelled with whole numbers only.
    Whole,
}

impl Axis {
    /// An axis by powers of two.
    pub fn log(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Log }
    }

    /// An axis from zero.
    pub fn linear(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Linear }
    }

    /// An axis from zero of whole numbers.
    pub fn whole(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Whole }
    }
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The name of the series.
    pub name: String,
    /// The points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// How the points are drawn.
    pub mark: Mark,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As a line through all points.
    Line,
    /// As dots on a line.
    LineAndDots,
    /// As dots.
    Dots,
}

/// A value with three significant digits, or as a whole number.
pub fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
