//! All figures of a GPU, as Markdown and JSON.

use crate::cublaslt::CublasLt;
use crate::pair::Setting;
use crate::{Table as Wanted, network, product, roof};
use poai_benches::Failure;
use poai_benches::lines::{Outcome, Section, Table, digits};
use poai_benches::render::{Report, json, markdown};
use poai_benches::workload::cube;
use poai_cuda::Cuda;
use poai_cuda::measure::Measure;
use serde_json::{Value, json};

/// Sizes without `--sizes`, and those of a quick table.
const SIZES: [u32; 3] = [4096, 8192, 16384];
const QUICK_SIZES: [u32; 1] = [256];
/// Samples per figure, and those of a quick table.
const REPEATS: [usize; 2] = [21, 2];

/// Measures everything and prints the table.
///
/// # Errors
/// A wrong result, or any other failure.
pub fn print(cuda: &Cuda, options: &Wanted) -> Result<(), Failure> {
    let report = report(cuda, options)?;
    let (text, data) = (render(&report), json::render(&report)?);
    if let Some(folder) = &options.out {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("gpu.md"), &text)?;
        std::fs::write(folder.join("gpu.json"), &data)?;
    }
    println!("{}", if options.json { data } else { text });
    Ok(())
}

fn report(cuda: &Cuda, options: &Wanted) -> Result<Report, Failure> {
    let measure = Measure::new(cuda)?;
    let [full, few] = REPEATS;
    let repeats = options.repeats.unwrap_or(if options.quick { few } else { full }).max(1);
    let sizes = match (options.sizes.as_slice(), options.quick) {
        ([], true) => QUICK_SIZES.to_vec(),
        ([], false) => SIZES.to_vec(),
        (sizes, _) => sizes.to_vec(),
    };
    let library = CublasLt::load(options.cublaslt.as_deref(), &measure);
    let library = library.map_err(|error| error.to_string());
    let peak =
        roof::peak(measure.capability(), cuda.gpu().info().multiprocessors, &measure.rates());
    let mut report = Report {
        machine: machine(&measure, &library, repeats, options.quick),
        ..Report::default()
    };
    let mut products = Section::default();
    for size in sizes {
        eprintln!("products of {size}³");
        let cublaslt = library.as_ref().map_err(String::as_str);
        let set = Setting { measure: &measure, cublaslt, repeats, peak };
        let one = product::measure(&set, cube(size))?;
        let mut lines = std::mem::take(&mut products.lines);
        lines.extend(one.lines.iter().cloned());
        products = Section { lines, ..one };
    }
    products.tables.push(short(&products));
    report.sections.push(products);
    eprintln!("a text encoder");
    let folder = options.minilm.as_deref();
    report.sections.push(network::measure(cuda, folder, options.quick, repeats)?);
    Ok(report)
}

/// The summary's figures: the start of each line's id and its name in the
/// summary.
const SHORT: [(&str, &str); 12] = [
    ("plain-to-cublaslt", "plain / cuBLASLt int8"),
    ("ticketed-to-cublaslt", "ticketed / cuBLASLt int8"),
    ("recovered-to-cublaslt", "recovered / cuBLASLt int8"),
    ("plain-to-roof", "plain / the roofline"),
    ("cublaslt-rate", "cuBLASLt int8"),
    ("plain-rate", "plain"),
    ("ticketed-rate", "ticketed"),
    ("recovered-rate", "recovered"),
    ("commit-rate", "commitment of A"),
    ("kernel-commit-chunks-rate", "of it the kernel commit_chunks"),
    ("noise-rate", "noise of A"),
    ("recover-extra", "recovery's extra"),
];

/// The summary's figures side by side.
fn short(section: &Section) -> Table {
    let lines = || section.lines.iter().filter_map(|line| Some((line.id.split_once('/')?, line)));
    let mut sizes: Vec<&str> = vec![];
    lines().for_each(|((_, size), _)| {
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    });
    let cell = |id: &str, size: &str| {
        let found = lines().find(|(of, _)| *of == (id, size));
        found.map_or(String::new(), |(_, line)| match &line.outcome {
            Outcome::Figure { value, unit, .. } => {
                format!("{} {unit}", digits(*value)).trim_end().to_owned()
            }
            Outcome::Digest(digest) => digest.clone(),
            Outcome::Skipped(_) => "SKIPPED".to_owned(),
        })
    };
    let row = |(id, name): (&str, &str)| {
        let cells = sizes.iter().map(|size| cell(id, size));
        std::iter::once(name.to_owned()).chain(cells).collect()
    };
    let columns = std::iter::once("on the GPU").chain(sizes.iter().copied());
    Table { columns: columns.map(str::to_owned).collect(), rows: SHORT.map(row).to_vec() }
}

/// Facts about the GPU, and the assumptions about it.
fn machine(
    measure: &Measure,
    library: &Result<CublasLt, String>,
    repeats: usize,
    quick: bool,
) -> Vec<(String, Value)> {
    let cuda = measure.cuda();
    let gpu = cuda.gpu().info();
    let (rates, capability) = (measure.rates(), gpu.capability);
    let megahertz = |clock: Option<u32>| {
        clock.map_or("unknown".into(), |clock| format!("{} MHz", clock / 1000))
    };
    let roof = match roof::peak(capability, gpu.multiprocessors, &rates) {
        Some(peak) => format!(
            "{} TMAC/s: {} multiprocessors × {} int8 MACs a cycle (assumed of {capability}) × the highest clock; \
             a GPU under load may run at a lower clock",
            digits(peak),
            gpu.multiprocessors,
            roof::macs_a_cycle(capability).unwrap_or(0),
        ),
        None => "unknown".into(),
    };
    let memory = roof::memory(&rates);
    let library = match library {
        Ok(library) => format!("version {}, int8 TN, row-major", library.version()),
        Err(why) => format!("SKIPPED: {why}"),
    };
    let mut facts = vec![
        ("GPU", gpu.name.clone()),
        ("compute capability", capability.to_string()),
        ("multiprocessors", gpu.multiprocessors.to_string()),
        ("memory", format!("{:.1} GiB", gpu.memory as f64 / f64::from(1 << 30))),
        ("highest clock", megahertz(rates.clock)),
        (
            "memory bandwidth",
            memory.map_or("unknown".into(), |rate| format!("{} GB/s", digits(rate))),
        ),
        ("roofline", roof),
        ("kernels", cuda.variant().to_string()),
        ("cuBLASLt", library),
        ("samples", format!("{repeats} of each, in turns, after one that is discarded")),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if quick {
        let note = "a quick run of small products: do not compare its figures";
        facts.push(("note", note.to_owned()));
    }
    facts.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect()
}

fn render(report: &Report) -> String {
    let mut text = String::from("# Products on a GPU\n\n");
    for (key, value) in &report.machine {
        text += &format!("- {key}: {}\n", value.as_str().unwrap_or_default());
    }
    text += "\nAll times are medians. A fraction such as *plain / cuBLASLt int8* compares speeds: above 1, ours is faster. GB/s are 10^9 bytes a\n\
             second, and TMAC/s are 10^12 multiply-accumulates a second.\n";
    report.sections.iter().for_each(|section| text += &markdown::render_section(section));
    text
}
