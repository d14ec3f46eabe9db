//! Our product compared with a straightforward implementation of section 5.

use super::peers::{in_turns, seconds};
use crate::child::{self, Served};
use crate::run::Run;
use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_benches::workload::{P, Workload, cube};
use poai_engine::{Backend, Cpu};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/straightforward.rs");
/// Time limit of compiling and of starting.
const LIMIT: Duration = Duration::from_secs(60);
/// Both ways of writing the innermost loop, with their descriptions.
const WAYS: [(&str, &str); 2] = [
    ("loops", "index loops"),
    ("slices", "index loops, the innermost a sum over slices that the compiler vectorises"),
];

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let size = run.full_or(1024, 256);
    let backend = Cpu::new();
    let work = Workload::new(&backend, cube(size))?;
    let folder = tempfile::tempdir()?;
    let mut peer = match start(folder.path(), &backend, &work, size)? {
        Ok(peer) => peer,
        Err(why) => {
            section.skipped(format!("ticketed-to-loops/{size}"), "ticketed / index loops", why);
            return Ok(());
        }
    };
    let expected: Vec<u8> =
        work.transcripts()?.iter().flat_map(|transcript| transcript.to_bytes()).collect();
    for (way, text) in WAYS {
        let id = format!("ticketed-to-{way}/{size}");
        let what = format!("{size}³, ticketed on {} / {text}", backend.name());
        // Run once in advance, to compare its transcripts with ours.
        let answered = match seconds(&mut peer, way) {
            Ok(_) => {
                if std::fs::read(folder.path().join("transcripts"))? != expected {
                    let ours = backend.name();
                    return Err(format!("transcripts of {text} differ from {ours}'s").into());
                }
                in_turns(run, 3, &work, &mut peer, way)?
            }
            Err(why) => Err(why),
        };
        let medians = match answered {
            Ok(medians) => medians,
            Err(why) => {
                section.skipped(id, what, why);
                return Ok(());
            }
        };
        let (share, rate) = (medians.share, medians.giga(1, work.macs()));
        section.figure(format!("{way}/{size}"), format!("{size}³, {text}"), rate, "GMAC/s", share);
        section.figure(id, what, medians.speedup(0, 1), "", share);
    }
    let digest = blake3::hash(&expected).to_string();
    section.digest(format!("transcripts/{size}"), "transcripts of all three", digest);
    Ok(())
}

/// Compiles the program and starts it on the noised operands. The inner error
/// says why that is impossible here.
fn start(
    folder: &Path,
    backend: &Cpu,
    work: &Workload<'_>,
    size: u32,
) -> Result<Result<Served, String>, Failure> {
    let program = folder.join("straightforward");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-C", "opt-level=3", "-C", "target-cpu=native", SOURCE, "-o"]);
    if let Err(why) = child::succeed("rustc", rustc.arg(&program), LIMIT) {
        return Ok(Err(why));
    }
    let (a, b) = work.noise()?;
    let mut command = Command::new(program);
    for (name, noised) in [("a", a), ("bt", b)] {
        let entries = backend.noised_entries(&noised)?;
        let bytes: Vec<u8> = entries.into_iter().map(|entry| entry as u8).collect();
        std::fs::write(folder.join(name), bytes)?;
        command.arg(folder.join(name));
    }
    let numbers = [size as usize, size as usize, size as usize, P.rank(), P.tile()];
    command.args(numbers.map(|number| number.to_string()));
    command.arg(rayon::current_num_threads().to_string()).arg(folder.join("transcripts"));
    Ok(Served::start("straightforward", &mut command)
        .and_then(|mut peer| peer.line(LIMIT).map(|_| peer)))
}
