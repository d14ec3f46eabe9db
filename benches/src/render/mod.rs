//! The files of a report, made from its lines: nothing is measured here.
//!
//! - [`markdown`]: for people; [`json`]: for programs; [`svg`]: the plots.

pub mod json;
pub mod markdown;
pub mod svg;

use crate::Failure;
use crate::lines::{Line, Section};
use serde_json::Value;

/// A whole report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Facts about the machine and the build, in the order in which they print.
    pub machine: Vec<(String, Value)>,
    /// What was measured.
    pub sections: Vec<Section>,
    /// What comes first: sections, and what the ids of lines begin with.
    pub summary: Vec<(&'static str, &'static str)>,
}

impl Report {
    /// The lines of the summary, those that were measured or skipped.
    pub fn summary(&self) -> Vec<&Line> {
        let lines = self.summary.iter().flat_map(|(id, start)| {
            let sections = self.sections.iter().filter(move |section| section.id == *id);
            sections
                .flat_map(|section| &section.lines)
                .filter(move |line| line.id.starts_with(start))
        });
        lines.collect()
    }
}

/// Every file of a report, by its name.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn files(report: &Report) -> Result<Vec<(String, String)>, Failure> {
    let mut files = vec![
        ("report.md".to_owned(), markdown::render(report)),
        ("report.json".to_owned(), json::render(report)?),
    ];
    for plot in report.sections.iter().flat_map(|section| &section.plots) {
        files.push((format!("{}.svg", plot.name), svg::render(plot)?));
    }
    Ok(files)
}
