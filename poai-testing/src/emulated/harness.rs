//! The emulated driver: builds it with the kernels, and runs a test again in a
//! process that finds it before any other.

#![allow(dead_code)] // Every test file uses a part.

use super::host::compile;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{env, fs};

const INSIDE: &str = "POAI_EMULATED_KERNELS";

/// The folder of a driver that has no function for tensor maps.
pub const WITHOUT_MAPS: &str = "without_maps";

/// The kernels, each file of them a library, and the driver.
pub struct Build {
    /// Where they are.
    pub folder: PathBuf,
    kernels: String,
}

/// A file of kernels, something in it, and what takes its place.
pub type Wrong<'a> = [&'a str; 3];

impl Build {
    /// Compiles into a folder, a kernel wrongly if that is asked for; none
    /// without a compiler.
    pub fn new(folder: PathBuf, files: &[&str], wrong: Option<Wrong<'_>>) -> Option<Build> {
        fs::create_dir_all(&folder).unwrap();
        let mut kernels = vec![];
        for file in files {
            let source = compile::folder("kernels").join(format!("{file}.cu"));
            let mut source = fs::read_to_string(source).unwrap();
            if let Some([_, from, to]) = wrong.filter(|[of, ..]| of == file) {
                assert_eq!(source.matches(from).count(), 1, "{from}");
                source = source.replace(from, to);
            }
            let library = folder.join(format!("{file}.so"));
            let text = format!("#include \"simt.cuh\"\n{source}");
            compile::build(&text, &compile::names(&source), &[], &library)?;
            kernels.push(library.into_os_string().into_string().unwrap());
        }
        for (place, flag) in [(".", "-Wall"), (WITHOUT_MAPS, "-DPOAI_WITHOUT_TENSOR_MAPS")] {
            let place = folder.join(place);
            fs::create_dir_all(&place).unwrap();
            let source = compile::folder("tests/emulated/driver.cpp");
            library(&source, &place.join("libcuda.so"), &[flag]);
        }
        Some(Build { folder, kernels: kernels.join(":") })
    }

    /// A program that finds the driver of a folder of these before any other.
    pub fn command(&self, place: impl AsRef<Path>, program: impl AsRef<OsStr>) -> Command {
        let search = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let search = [self.folder.join(place)].into_iter().chain(env::split_paths(&search));
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", env::join_paths(search).unwrap());
        command.env(INSIDE, &self.kernels);
        command
    }
}

/// Compiles a library that is not of kernels.
pub fn library(source: &Path, to: &Path, flags: &[&str]) {
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Werror"]).args(flags);
    succeed(compiler.arg(source).arg("-o").arg(to).arg("-ldl").output().unwrap());
}

/// Where to build: each program of tests apart, so that two may run at once.
/// Unit tests have no folder of their own: they take one beside their program.
fn folder() -> PathBuf {
    let own = option_env!("CARGO_TARGET_TMPDIR").map(PathBuf::from);
    let beside = || env::current_exe().unwrap().parent().unwrap().to_owned();
    own.unwrap_or_else(beside).join("emulated").join(env!("CARGO_CRATE_NAME"))
}

/// Compiled once for all tests of a program, which want the same files; none
/// without a compiler.
fn build(files: &[&str]) -> Option<&'static Build> {
    static BUILD: OnceLock<Option<Build>> = OnceLock::new();
    BUILD.get_or_init(|| Build::new(folder(), files, None)).as_ref()
}

/// What a program printed, which did not fail.
pub fn succeed(output: Output) -> String {
    let [seen, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}\n{seen}\n{errors}", output.status);
    seen
}

/// Settings of the driver: environment variables.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// Runs `check` where the driver is the emulated one of a folder, with the
/// kernels of these files: once under each of the settings, in a process of its
/// own. `test` is the whole name of the calling test, which calls this once.
pub fn with_driver_of(
    files: &[&str],
    place: impl AsRef<Path>,
    test: &str,
    all: &[Settings<'_>],
    check: impl FnOnce(),
) {
    if env::var_os(INSIDE).is_some() {
        return check();
    }
    let Some(build) = build(files) else { return };
    for settings in all {
        println!("{settings:?}");
        let seen = succeed(again(build, place.as_ref(), test, settings));
        // A name that no test has would succeed as well, by running nothing.
        assert!(seen.contains("ok. 1 passed; 0 failed"), "{seen}");
    }
}

/// What the process that runs `check`, which may end it, left under some
/// settings; none inside it, or without a compiler.
pub fn output_of(
    files: &[&str],
    test: &str,
    settings: Settings<'_>,
    check: impl FnOnce(),
) -> Option<Output> {
    if env::var_os(INSIDE).is_some() {
        check();
        return None;
    }
    Some(again(build(files)?, Path::new("."), test, settings))
}

/// Runs a test of this program in a process that finds the driver of a folder.
fn again(build: &Build, place: &Path, test: &str, settings: Settings<'_>) -> Output {
    let mut again = build.command(place, env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).envs(settings.iter().copied());
    again.output().unwrap()
}

/// What the driver says of itself, a number: `poai_emulated_` and this.
pub fn told(what: &str) -> u64 {
    type Tell = unsafe extern "C" fn() -> u64;
    // SAFETY: the driver's start-up code does nothing, and the functions of
    // these names take nothing and return a number.
    unsafe {
        let driver = libloading::Library::new("libcuda.so").unwrap();
        let name = format!("poai_emulated_{what}");
        let tell = driver.get::<Tell>(name.as_bytes()).unwrap();
        tell()
    }
}
