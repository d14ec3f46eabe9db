//! What the report ran on.

use poai_core::Cpu;
use serde_json::{Value, json};
use std::process::Command;

/// Facts about the machine and the build, in the order in which they print.
pub fn describe() -> Vec<(String, Value)> {
    let present: Vec<_> =
        Cpu::list().into_iter().filter(|kernel| kernel.present).map(|kernel| kernel.name).collect();
    vec![
        ("processor".into(), json!(processor())),
        ("threads".into(), json!(rayon::current_num_threads())),
        ("system".into(), json!(format!("{} {}", std::env::consts::OS, std::env::consts::ARCH))),
        ("kernels present".into(), json!(present.join(", "))),
        ("version".into(), json!(env!("CARGO_PKG_VERSION"))),
        (
            "commit".into(),
            json!(first_line("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_else(unknown)),
        ),
        ("compiler".into(), json!(first_line("rustc", &["--version"]).unwrap_or_else(unknown))),
        ("date".into(), json!(first_line("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(unknown))),
    ]
}

fn unknown() -> String {
    "unknown".into()
}

/// The processor's name where the system tells it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(unknown, |(_, name)| name.to_owned())
}

/// What a program prints first, where it is there.
fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}
