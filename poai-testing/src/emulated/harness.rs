//! The emulated driver: builds it with the kernels, and runs a test again in a
//! process that finds it before any other driver.

use super::compile::{self, Source};
use super::rerun;
use crate::turn::today;
use std::env;
use std::ffi::OsStr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const INSIDE: &str = "POAI_EMULATED_KERNELS";

/// The driver's source.
pub const DRIVER: &str = include_str!("../../emulated/driver.cpp");

/// The emulated driver, and the kernels that it launches.
pub struct Driver {
    /// The folder of the driver.
    folder: PathBuf,
    /// The libraries of kernels, one for each file.
    kernels: String,
}

/// A file of kernels, a text in it, and the text that replaces it.
pub type Wrong<'a> = [&'a str; 3];

impl Driver {
    /// The driver with the kernels of these files, of which one is made wrong
    /// if the caller asks; `None` without a compiler.
    ///
    /// # Panics
    /// If something does not compile.
    pub fn new(files: &[&str], wrong: Option<Wrong<'_>>) -> Option<Driver> {
        Driver::compiled(files, wrong, &[])
    }

    /// The driver without its function for tensor maps.
    ///
    /// # Panics
    /// If something does not compile.
    pub fn without_maps(files: &[&str]) -> Option<Driver> {
        Driver::compiled(files, None, &["-DPOAI_WITHOUT_TENSOR_MAPS"])
    }

    fn compiled(files: &[&str], wrong: Option<Wrong<'_>>, flags: &[&str]) -> Option<Driver> {
        let library = compile::library(&compile::emulated("driver.cpp"), "libcuda.so", flags)?;
        let folder = library.parent().expect("a library is in a folder").to_owned();
        let kernels = at_once(files, |file| {
            let name = format!("{file}.cu");
            let source = match wrong {
                Some([of, from, to]) if of == *file => Source::file_with(&name, from, to),
                _ => Source::file(&name),
            };
            let compiled = compile::compile(&source, &[])?;
            Some(compiled.library.into_os_string().into_string().expect("a path in UTF-8"))
        });
        let kernels: Option<Vec<_>> = kernels.into_iter().collect();
        Some(Driver { folder, kernels: kernels?.join(":") })
    }

    /// A program that finds this driver before any other, and the folders in
    /// `others` after it.
    pub fn command(&self, others: &[&Path], program: impl AsRef<OsStr>) -> Command {
        let folders = [&[&self.folder as &Path], others].concat();
        self.beneath(rerun::searching(&folders, program))
    }

    /// The calling test in such a process, with some settings.
    fn this_test(&self, settings: Settings<'_>) -> Command {
        let mut again = self.beneath(rerun::this_test(&[&self.folder as &Path]));
        again.envs(settings.iter().copied());
        again
    }

    fn beneath(&self, mut command: Command) -> Command {
        command.env(INSIDE, &self.kernels);
        command
    }
}

/// Does some work for every item, on one thread per core. The results come in
/// any order.
fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || items.get(next.fetch_add(1, Ordering::Relaxed));
    let run = || std::iter::from_fn(take).map(&work).collect::<Vec<R>>();
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<R>>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    })
}

/// Settings of the driver: environment variables.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// Runs `check` with the emulated driver and the kernels of these files: once
/// for each of the settings, in a process of its own. A test calls this once.
///
/// # Panics
/// If `check` panics.
pub fn with_driver(files: &[&str], all: &[Settings<'_>], check: impl FnOnce()) {
    with(|| Driver::new(files, None), all, check);
}

/// Runs `check` like [`with_driver`], for today's part of the settings; see
/// [`today`].
///
/// # Panics
/// If `check` panics.
pub fn with_driver_today(files: &[&str], all: &[Settings<'_>], check: impl FnOnce()) {
    with_driver(files, &today(all.to_vec()), check);
}

/// Runs `check` with a driver that has no function for tensor maps.
///
/// # Panics
/// If `check` panics.
pub fn with_driver_without_maps(files: &[&str], all: &[Settings<'_>], check: impl FnOnce()) {
    with(|| Driver::without_maps(files), all, check);
}

fn with(driver: impl FnOnce() -> Option<Driver>, all: &[Settings<'_>], check: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return check();
    }
    let Some(driver) = driver() else { return };
    for settings in all {
        println!("{settings:?}");
        rerun::pass(driver.this_test(settings));
    }
}

/// The output of the process that runs `check`, which may end it, with some
/// settings. `None` inside that process, or without a compiler.
///
/// # Panics
/// If the driver does not compile.
pub fn output_of(files: &[&str], settings: Settings<'_>, check: impl FnOnce()) -> Option<Output> {
    if env::var_os(INSIDE).is_some() {
        check();
        return None;
    }
    Some(Driver::new(files, None)?.this_test(settings).output().unwrap())
}

/// A count of the driver, by its function `poai_emulated_` plus this name.
///
/// # Panics
/// If the driver is not the emulated one.
pub fn counted(what: &str) -> u64 {
    type Tell = unsafe extern "C" fn() -> u64;
    // SAFETY: the driver's start-up code does nothing, and the functions of
    // these names take no arguments and return a number.
    unsafe {
        let driver = libloading::Library::new("libcuda.so").unwrap();
        let name = format!("poai_emulated_{what}");
        let tell = driver.get::<Tell>(name.as_bytes()).unwrap();
        tell()
    }
}
