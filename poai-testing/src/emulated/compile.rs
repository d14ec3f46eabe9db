//! From a kernel's source to a loaded library.

use super::{Entries, Kernels};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Undefined behaviour that a device punishes and a processor forgives, found
/// where the compiler can: misaligned vectors, above all.
const SANITISE: [&str; 2] = ["-fsanitize=alignment,bounds,shift", "-fno-sanitize-recover=all"];

/// A folder of poai-cuda, from whichever package the tests are of.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../poai-cuda").join(name)
}

/// The names of the kernels of a source: what follows `extern "C" __global__`.
pub fn names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in source.split("extern \"C\" __global__").skip(1) {
        let mut rest = after.trim_start();
        loop {
            if let Some(next) = rest.strip_prefix("void") {
                rest = next.trim_start();
            } else if rest.starts_with("__") {
                // `__launch_bounds__(…)` and the like.
                rest = rest.split_once(')').expect("a closed attribute").1.trim_start();
            } else {
                break;
            }
        }
        let (name, _) = rest.split_once('(').expect("a kernel has arguments");
        names.push(name.trim().to_owned());
    }
    names
}

/// The system's C++ compiler, as the `cc` crate finds it for a build.
fn compiler() -> Option<Command> {
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: kernels run on the processor on Linux alone");
        return None;
    }
    // Outside a build script nobody says what it is for: this machine.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cpp(true).target(&target).host(&target).opt_level(2).cargo_metadata(false);
    let command = build.try_get_compiler().ok()?.to_command();
    let found = Command::new(command.get_program()).arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no C++ compiler");
        return None;
    }
    Some(command)
}

pub fn load(source: &str, names: &[String], flags: &[&str]) -> Option<Kernels> {
    let folder_of_build = tempfile::tempdir().unwrap();
    let library = folder_of_build.path().join("kernels.so");
    let sanitised = build(source, names, flags, &library)?;
    // SAFETY: the library is the shim's: loading it makes one empty machine and
    // sets a handler for faults, which hands on what it has no part in.
    let library = unsafe { libloading::Library::new(&library) }.unwrap();
    // SAFETY: launch.hpp and fault.hpp define them with these types.
    let entries = unsafe {
        Entries {
            launch: *library.get(b"simt_launch\0").unwrap(),
            map: *library.get(b"simt_map\0").unwrap(),
            unmap: *library.get(b"simt_unmap\0").unwrap(),
        }
    };
    // Its handler stays for the life of the process, and so must it.
    std::mem::forget(library);
    Some(Kernels { entries, running: Mutex::new(()), sanitised })
}

/// Compiles a source with its kernels to a library; whether it is sanitised.
pub fn build(source: &str, names: &[String], flags: &[&str], library: &Path) -> Option<bool> {
    let mut compiler = compiler()?;
    assert!(!names.is_empty(), "a source without kernels");
    let list: String = names.iter().map(|name| format!("SIMT_KERNEL({name}) ")).collect();
    let text = format!("{source}\n#include \"launch.hpp\"\nSIMT_KERNELS({list})\n");
    let file = library.with_extension("cpp");
    fs::write(&file, text).unwrap();
    // Hidden, and without symbols that are unique in a process: every library
    // has a machine of its own. Fortified longjmp does not let fibers switch.
    compiler
        .args(["-std=c++17", "-DPOAI_HOST", "-fPIC", "-shared", "-fvisibility=hidden"])
        .args(["-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unknown-pragmas"])
        .args(["-Wno-attributes", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"])
        .arg("-I")
        .arg(folder("kernels"))
        .arg("-I")
        .arg(folder("tests/shim"))
        .args(flags)
        .arg(&file)
        .arg("-o")
        .arg(library);
    let mut sanitised = Command::new(compiler.get_program());
    sanitised.args(compiler.get_args()).args(SANITISE);
    // Not every compiler brings a sanitiser's library.
    let sanitised = sanitised.output().unwrap().status.success();
    if !sanitised {
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Some(sanitised)
}
