//! Tests on the emulated driver: each runs itself again in a process that finds
//! that driver before any other.
#![allow(dead_code, reason = "no test uses all of it")]

use crate::host::compile;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{env, fs};

const INSIDE: &str = "POAI_EMULATED_KERNELS";
const FILES: [&str; 7] =
    ["check", "commit", "noise", "product_dp4a", "product_mma", "product_wgmma", "recover"];

/// The folder of a driver that has no function for tensor maps.
pub const WITHOUT_MAPS: &str = "without_maps";

/// The kernels, each file of them a library, and the driver.
struct Build {
    folder: PathBuf,
    kernels: String,
}

/// Compiled once for all tests of a file, in a folder of its own, so that two
/// files may run at once; none without a compiler.
fn build() -> Option<&'static Build> {
    static BUILD: OnceLock<Option<Build>> = OnceLock::new();
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
        fs::create_dir_all(&folder).unwrap();
        let mut kernels = vec![];
        for file in FILES {
            let source = fs::read_to_string(compile::folder("kernels").join(format!("{file}.cu")));
            let names = compile::names(&source.unwrap());
            let library = folder.join(format!("{file}.so"));
            let text = format!("#include \"simt.cuh\"\n#include \"{file}.cu\"");
            compile::build(&text, &names, &[], &library)?;
            kernels.push(library.into_os_string().into_string().unwrap());
        }
        for (place, flag) in [(".", "-Wall"), (WITHOUT_MAPS, "-DPOAI_WITHOUT_TENSOR_MAPS")] {
            let place = folder.join(place);
            fs::create_dir_all(&place).unwrap();
            let mut driver = Command::new("c++");
            driver.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Werror", flag]);
            driver.arg(compile::folder("tests/emulated/driver.cpp"));
            succeed(driver.arg("-o").arg(place.join("libcuda.so")).arg("-ldl").output().unwrap());
        }
        Some(Build { folder, kernels: kernels.join(":") })
    };
    BUILD.get_or_init(make).as_ref()
}

pub fn succeed(output: Output) -> String {
    let [seen, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}\n{seen}\n{errors}", output.status);
    seen
}

/// Runs `check` where the driver is the emulated one. `test` is the name of the
/// calling test.
pub fn with_driver(test: &str, settings: &[(&str, &str)], check: impl FnOnce()) {
    with_driver_in(".", test, settings, check);
}

/// The same with the driver of a folder.
pub fn with_driver_in(place: &str, test: &str, settings: &[(&str, &str)], check: impl FnOnce()) {
    let Some(output) = output(place, test, settings, check) else { return };
    let seen = succeed(output);
    // A name that no test has would succeed as well, by running nothing.
    assert!(seen.contains("ok. 1 passed; 0 failed"), "{seen}");
}

/// What the process that runs `check` left; none inside it, or without a
/// compiler.
pub fn output(
    place: &str,
    test: &str,
    settings: &[(&str, &str)],
    check: impl FnOnce(),
) -> Option<Output> {
    if env::var_os(INSIDE).is_some() {
        check();
        return None;
    }
    let build = build()?;
    let search = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let search = [build.folder.join(place)].into_iter().chain(env::split_paths(&search));
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]);
    again.env("LD_LIBRARY_PATH", env::join_paths(search).unwrap()).env(INSIDE, &build.kernels);
    again.envs(settings.iter().copied());
    Some(again.output().unwrap())
}
