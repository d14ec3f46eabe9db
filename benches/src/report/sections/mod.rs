//! The measurements of the report, one file per section.

mod commit;
mod cost;
mod kernels;
mod memory;
mod networks;
mod peers;
mod peers_encoder;
mod roofline;
mod scaling;
mod sizes;
mod straightforward;
mod verify;

use super::run::Run;
use poai_benches::Failure;
use poai_benches::lines::Section;
use std::process::Command;

/// A section that is not measured yet.
#[derive(Clone, Copy)]
pub struct Planned {
    /// The section's name for programs.
    pub id: &'static str,
    /// Its heading, by which `--only` selects it.
    pub title: &'static str,
    /// The meaning of its figures.
    about: &'static str,
    measure: fn(&mut Run, &mut Section) -> Result<(), Failure>,
}

impl Planned {
    /// Measures the section.
    ///
    /// # Errors
    /// An error if something fails unexpectedly, or if a known answer is wrong.
    pub fn measure(&self, run: &mut Run) -> Result<Section, Failure> {
        let Planned { id, title, about, .. } = *self;
        let mut section = Section { id, title, about, ..Section::default() };
        (self.measure)(run, &mut section).map_err(|error| format!("{title}: {error}"))?;
        Ok(section)
    }
}

/// Every section, in the order of the report.
pub const ALL: [Planned; 10] = [
    Planned {
        id: "commitment",
        title: "Commitment",
        about: "BLAKE3 of an operand, with the tree that openings are made from.",
        measure: commit::measure,
    },
    Planned {
        id: "sizes",
        title: "Ticketing, by size",
        about: "*Plain* is a kernel's product without noise and tickets, with the right operand packed in advance. *Ticketed* is \
                everything that\ntickets need: A is committed, both sides are noised and every ticket is drawn. The right operand is \
                committed in advance, and no product is kept.\n*Recovered* is the same with the exact product, as plain leaves it. The *register-only loop* repeats \
                the kernel's instruction without touching memory:\nno kernel can be faster. The limits in the plots \
                are that loop and the memory's read bandwidth.",
        measure: sizes::measure,
    },
    Planned {
        id: "cost",
        title: "What useful mining pays",
        about: "Every miner draws tickets and noises both sides once per challenge. A pure miner commits to its operands \
                once and keeps\nno product. A useful miner also commits to every A and recovers the exact \
                product. The sum of all four, relative to the\ntickets alone, is the full price of useful \
                mining. Parts are percentages of the tickets.",
        measure: cost::measure,
    },
    Planned {
        id: "kernels",
        title: "Kernels",
        about: "Every kernel on the same product. All kernels must give the same entries and transcripts.",
        measure: kernels::measure,
    },
    Planned { id: "scaling", title: "Threads and size", about: "", measure: scaling::measure },
    Planned {
        id: "verification",
        title: "Verification, one thread",
        about: "A node's check of a proof in memory. Parts that are separate in the library are timed alone. The rest of \
                the whole\nis adding and packing noise. *Portable* is the verifier without \
                feature `std`.",
        measure: verify::measure,
    },
    Planned {
        id: "networks",
        title: "Whole networks",
        about: "An integer text encoder of all-MiniLM-L6-v2's shape with pseudo-random weights, run with and without \
                a commitment to every\ntensor, and audited. The rate counts true MACs. The time includes all steps \
                that are not products.",
        measure: networks::measure,
    },
    Planned {
        id: "peers",
        title: "Peers",
        about: "Other libraries' 8-bit products of the same size on the same threads, in turns with ours. With `--python PATH`, also \
                the encoder\nof *Whole networks* with other random weights in ONNX Runtime.",
        measure: peers::measure,
    },
    Planned {
        id: "straightforward",
        title: "A straightforward implementation",
        about: "`benches/peers/straightforward.rs`: section 5 of the specification as index loops over integer \
                matrices, compiled for\nthis processor (`-C opt-level=3 -C target-cpu=native`). It gets noised operands, \
                while ours also commits and noises.\nAll transcripts must agree.",
        measure: straightforward::measure,
    },
    Planned {
        id: "memory",
        title: "Memory",
        about: "The peak memory of mining, operands and product included, counted by the allocator.",
        measure: memory::measure,
    },
];

/// The lines of the summary: pairs of a section's id and the start of line ids.
pub const SUMMARY: [(&str, &str); 26] = [
    ("sizes", "ticketed-to-plain/4096x4096x4096/"),
    ("sizes", "recovered-to-plain/4096x4096x4096/"),
    ("sizes", "plain-to-peak/4096x4096x4096/"),
    ("sizes", "ticketed-to-peak/4096x4096x4096/"),
    ("sizes", "plain/64x4096x4096/"),
    ("sizes", "ticketed/64x4096x4096/"),
    ("cost", "sum/"),
    ("kernels", "ticketed/reference"),
    ("scaling", "threads-to-one/"),
    ("scaling", "time-per-mac/"),
    ("verification", "whole/4096"),
    ("verification", "openings/4096"),
    ("verification", "steps/4096"),
    ("verification", "rows/4096"),
    ("verification", "tile/4096"),
    ("verification", "noise/4096"),
    ("verification", "portable/4096"),
    ("networks", "traced-to-plain/"),
    ("networks", "rate/"),
    ("networks", "audit/"),
    ("peers", "plain-to-rten/"),
    ("peers", "ticketed-to-onnxruntime/"),
    ("peers", "encoder-traced-to-float32/"),
    ("peers", "encoder-traced-to-int8/"),
    ("straightforward", "ticketed-to-"),
    ("memory", "peak-to-matrices/"),
];

/// Runs cargo on this workspace, with the cargo that built the report.
fn cargo(args: &[&str]) -> Command {
    // Set if cargo runs the report.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let (verb, rest) = args.split_at(1);
    let mut command = Command::new(cargo);
    command.args(verb).args(["--release", "--locked", "--quiet", "--manifest-path", manifest]);
    command.args(rest);
    command
}
