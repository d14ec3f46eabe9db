//! Facts about the machine and the build.

use poai_engine::Cpu;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The lock file of the build.
const LOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));

/// The processor features that kernels, noise or hashing could use, by Linux's
/// names.
const FEATURES: [&str; 23] = [
    "sse4_1",
    "avx",
    "avx2",
    "bmi2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512vbmi",
    "avx512_vbmi2",
    "avx512_vnni",
    "avx_vnni",
    "avx_vnni_int8",
    "amx_tile",
    "amx_int8",
    "gfni",
    "sha_ni",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
    "sve2",
    "sme",
];

/// Facts about the machine and the build, in the order of printing.
pub fn describe() -> Vec<(String, Value)> {
    let kernels = |present: bool| {
        let names = Cpu::list().into_iter().filter(|kernel| kernel.present == present);
        names.map(|kernel| kernel.name).collect::<Vec<_>>().join(", ")
    };
    let unknown = || "unknown".to_owned();
    let facts: Vec<(&str, Value)> = vec![
        ("processor", json!(processor().unwrap_or_else(unknown))),
        ("threads", json!(rayon::current_num_threads())),
        ("processor features", json!(features().unwrap_or_else(unknown))),
        ("caches", json!(caches().unwrap_or_else(unknown))),
        ("memory", json!(memory().unwrap_or_else(unknown))),
        ("system", json!(format!("{} {}", std::env::consts::OS, std::env::consts::ARCH))),
        ("kernels present", json!(kernels(true))),
        ("kernels missing", json!(kernels(false))),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("crate features", json!("poai-core: std; poai-verify: std; portable verifier: none")),
        ("libraries", json!(libraries())),
        ("commit", json!(commit().unwrap_or_else(unknown))),
        ("compiler", json!(first_line("rustc", &["--version"]).unwrap_or_else(unknown))),
        ("date", json!(first_line("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(unknown))),
    ];
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The value of the first line of `/proc/cpuinfo` with one of these keys.
fn cpuinfo(keys: &[&str]) -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        keys.contains(&key.trim()).then(|| value.trim().to_owned())
    })
}

/// The processor's name, if the system reports it.
fn processor() -> Option<String> {
    cpuinfo(&["model name", "Model", "CPU part"])
}

fn features() -> Option<String> {
    let all = cpuinfo(&["flags", "Features"])?;
    let all: Vec<_> = all.split_whitespace().collect();
    let matter: Vec<_> = FEATURES.into_iter().filter(|name| all.contains(name)).collect();
    Some(matter.join(", "))
}

/// The first processor's caches.
fn caches() -> Option<String> {
    let folder = Path::new("/sys/devices/system/cpu/cpu0/cache");
    let mut caches = Vec::new();
    for index in 0.. {
        let read =
            |name: &str| std::fs::read_to_string(folder.join(format!("index{index}/{name}")));
        let Ok(size) = read("size") else { break };
        let (level, kind) = (read("level").ok()?, read("type").ok()?);
        let (level, kind, size) = (level.trim(), kind.trim().to_lowercase(), size.trim());
        caches.push(format!("L{level} {kind} {size}"));
    }
    (!caches.is_empty()).then(|| caches.join(", "))
}

fn memory() -> Option<String> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(format!("{:.1} GiB", kib / f64::from(1 << 20)))
}

/// The versions of the libraries that affect the figures.
fn libraries() -> String {
    let version = |name: &str| {
        let mut lines = LOCK.lines().skip_while(|line| *line != format!("name = \"{name}\""));
        let version = lines.nth(1)?.strip_prefix("version = ")?.trim_matches('"').to_owned();
        Some(format!("{name} {version}"))
    };
    ["blake3", "rayon", "rten-gemm"].into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

/// The commit, and whether files differ from it.
fn commit() -> Option<String> {
    let commit = first_line("git", &["rev-parse", "--short", "HEAD"])?;
    let changed = first_line("git", &["status", "--porcelain", "--untracked-files=no"]).is_some();
    Some(if changed { format!("{commit}, with changes") } else { commit })
}

/// The first line that a program prints, if the program exists.
fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}
