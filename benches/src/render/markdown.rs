//! The report as text for readers.

use super::Report;
use crate::lines::{Line, Outcome, Section, Table, digits};

/// The report as Markdown. The plots are separate files.
pub fn render(report: &Report) -> String {
    let mut text = String::from("# What poai costs on this machine\n\n");
    for (key, value) in &report.machine {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text += &format!("- {key}: {value}\n");
    }
    text += "\nRatios compare medians that were measured in turns inside this one run. The last column is the share of samples kept, for the work\n\
             with the fewest. A sample is kept if a probe on every thread found the machine quiet around it, and if few threads waited for a processor\n\
             meanwhile. If no sample was kept, all samples count. GMAC/s are 10^9 multiply-accumulates a second, on\n\
             all threads unless a line says otherwise.\n";
    let summary = report.summary();
    if !summary.is_empty() {
        text += "\n## In short\n";
        text += &render_lines(summary);
    }
    report.sections.iter().for_each(|section| text += &render_section(section));
    text
}

/// One section with its tables.
pub fn render_section(section: &Section) -> String {
    let mut text = format!("\n## {}\n", section.title);
    if !section.about.is_empty() {
        text += &format!("\n{}\n", section.about);
    }
    for plot in &section.plots {
        text += &format!("\n![{}]({}.svg)\n", plot.title, plot.name);
    }
    section.tables.iter().for_each(|table| text += &render_table(table));
    text + &render_lines(&section.lines)
}

fn render_lines<'a>(lines: impl IntoIterator<Item = &'a Line>) -> String {
    let rows: String = lines.into_iter().map(|line| render_line(line) + "\n").collect();
    format!("\n| what | measured | kept |\n| --- | --- | --- |\n{rows}")
}

fn render_table(table: &Table) -> String {
    let row = |cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|text| cell(text)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = vec!["---".to_owned(); table.columns.len()];
    let rows: String = table.rows.iter().map(|cells| row(cells)).collect();
    format!("\n{}{}{rows}", row(&table.columns), row(&rule))
}

/// One line as a row of its section's table.
pub fn render_line(line: &Line) -> String {
    let what = cell(&line.what);
    match &line.outcome {
        Outcome::Figure { value, unit, share } => {
            let measured = format!("{} {unit}", digits(*value));
            format!("| {what} | {} | {} of {} |", measured.trim_end(), share.kept, share.taken)
        }
        Outcome::Digest(digest) => format!("| {what} | `{digest}` | |"),
        Outcome::Skipped(why) => format!("| {what} | SKIPPED: {} | |", cell(why)),
    }
}

/// Escapes a text so that it ends neither its cell nor its row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
