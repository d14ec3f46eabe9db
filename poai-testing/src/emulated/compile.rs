//! Compiles sources to loadable libraries, with the system's C++ compiler.

use super::cache::{self, Content};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Checks for undefined behaviour that a GPU does not tolerate and a processor
/// does, above all misaligned vectors.
const SANITISE: [&str; 2] = ["-fsanitize=alignment,bounds,shift", "-fno-sanitize-recover=all"];

/// A source that needs the sanitiser's library.
const PROBE: &str = "int shifted(int by) { return 1 << by; }\n";

/// Symbols are hidden, and none is unique in a process: every library has a
/// machine of its own. Fortified longjmp does not let fibers switch.
const FLAGS: [&str; 12] = [
    "-std=c++17",
    "-DPOAI_HOST",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-unused-function",
    "-Wno-unknown-pragmas",
    "-Wno-attributes",
    "-fno-strict-aliasing",
    "-U_FORTIFY_SOURCE",
];

/// The folder of poai-cuda's kernels.
pub fn kernels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../poai-cuda/kernels")
}

/// A file of the emulated driver or of the shim.
pub fn emulated(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("emulated").join(name)
}

/// The system's C++ compiler, as the `cc` crate finds it for a build.
struct Compiler {
    program: OsString,
    arguments: Vec<OsString>,
    /// Its name and its version output.
    identity: Vec<u8>,
}

/// Returns `None`, after a SKIPPED line, if there is no C++ compiler or the
/// system is not Linux, whose linker the shim needs.
fn compiler() -> Option<&'static Compiler> {
    static COMPILER: OnceLock<Result<Compiler, &str>> = OnceLock::new();
    match COMPILER.get_or_init(find) {
        Ok(compiler) => Some(compiler),
        Err(why) => {
            println!("SKIPPED: {why}");
            None
        }
    }
}

fn find() -> Result<Compiler, &'static str> {
    if !cfg!(target_os = "linux") {
        return Err("kernels run on the processor only on Linux");
    }
    // Outside a build script, cc needs the target: this machine.
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cpp(true).target(&target).host(&target).opt_level(2).cargo_metadata(false);
    let none = "no C++ compiler";
    let command = build.try_get_compiler().map_err(|_| none)?.to_command();
    let program = command.get_program().to_owned();
    let found = Command::new(&program).arg("--version").output();
    let found = found.ok().filter(|output| output.status.success()).ok_or(none)?;
    let identity = [program.as_encoded_bytes(), b"\n", &found.stdout].concat();
    let arguments = command.get_args().map(OsString::from).collect();
    Ok(Compiler { program, arguments, identity })
}

impl Compiler {
    /// Compiles a file with these arguments to a library.
    fn run(&self, arguments: &[&str], file: &Path, library: &Path) -> Result<(), Output> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg(file).arg("-o").arg(library).arg("-ldl");
        let output = command.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(output) }
    }

    /// Whether the compiler has the sanitiser's library, which not every one
    /// has. A process tries once. The library may be installed before the next
    /// process runs; what was compiled without it has other flags and so
    /// another hash.
    fn sanitises(&self) -> bool {
        static SANITISES: OnceLock<bool> = OnceLock::new();
        *SANITISES.get_or_init(|| {
            let own: Vec<&str> = self.arguments.iter().filter_map(|own| own.to_str()).collect();
            let arguments = [&own[..], &FLAGS, &SANITISE].concat();
            let mut content = self.content(&arguments);
            content.add(PROBE);
            let made = cache::made(&content, "sanitiser.so", |library| {
                let file = library.with_extension("cpp");
                fs::write(&file, PROBE).unwrap();
                self.run(&arguments, &file, library)
            });
            made.is_ok()
        })
    }

    /// The hash of all inputs of a compilation with these arguments.
    fn content(&self, arguments: &[&str]) -> Content {
        let mut content = Content::default();
        content.add(&self.identity);
        arguments.iter().for_each(|argument| content.add(argument));
        content
    }
}

/// The message of a failed compilation.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A source of kernels.
pub struct Source {
    /// The name of the library.
    name: String,
    /// The C++ text, which includes the headers that it needs.
    text: String,
    /// The kernels in it.
    kernels: Vec<String>,
}

impl Source {
    /// A file of poai-cuda's kernels, like `commit.cu`.
    ///
    /// # Panics
    /// If the file does not exist.
    pub fn file(file: &str) -> Source {
        let name = file.trim_end_matches(".cu").to_owned();
        Source { name, text: format!("#include \"{file}\""), kernels: names(&read(file)) }
    }

    /// The source of a file, with one text replaced.
    ///
    /// # Panics
    /// If the file does not exist, or the text to replace does not occur
    /// exactly once.
    pub fn file_with(file: &str, from: &str, to: &str) -> Source {
        let text = read(file);
        assert_eq!(text.matches(from).count(), 1, "{from}");
        Source { name: "wrong".into(), ..Source::text(&text.replace(from, to)) }
    }

    /// A source given as text, which includes `simt.cuh` or another kernel
    /// header.
    pub fn text(text: &str) -> Source {
        Source { name: "kernels".into(), text: text.to_owned(), kernels: names(text) }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(kernels().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of a source's kernels: the words after `extern "C" __global__`.
fn names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in source.split("extern \"C\" __global__").skip(1) {
        let mut rest = after.trim_start();
        loop {
            if let Some(next) = rest.strip_prefix("void") {
                rest = next.trim_start();
            } else if rest.starts_with("__") {
                // Skip `__launch_bounds__(…)` and similar attributes.
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

/// A library of kernels.
pub struct Compiled {
    /// The path of the library.
    pub library: PathBuf,
    /// Whether the compiler's sanitiser ends the process at misaligned accesses
    /// and similar errors.
    pub sanitised: bool,
}

/// Compiles kernels, unless they are compiled already; `None` without a
/// compiler.
///
/// # Panics
/// If they do not compile.
pub fn compile(source: &Source, flags: &[&str]) -> Option<Compiled> {
    let compiler = compiler()?;
    assert!(!source.kernels.is_empty(), "expected a source with kernels, got none");
    let list: String = source.kernels.iter().map(|name| format!("SIMT_KERNEL({name}) ")).collect();
    // A kernel that uses only built-in functions includes nothing itself.
    let text = format!(
        "#include \"simt.cuh\"\n{}\n#include \"launch.hpp\"\nSIMT_KERNELS({list})\n",
        source.text
    );
    let folders = [kernels(), emulated("shim")];
    let places = folders.each_ref().map(|folder| format!("-I{}", folder.display()));
    let own: Vec<&str> = compiler.arguments.iter().filter_map(|own| own.to_str()).collect();
    let name = format!("{}.so", source.name);
    // A later flag overrides an earlier one.
    let arguments = |sanitise: &[&'static str]| [&own[..], &FLAGS, flags, sanitise].concat();
    let content = |arguments: &[&str]| {
        let mut content = compiler.content(arguments);
        content.add_source(&text, None, &folders);
        content
    };
    let made = |arguments: &[&str], content: &Content| {
        let arguments = [arguments, &places.each_ref().map(String::as_str)].concat();
        cache::made(content, &name, |library| {
            let file = library.with_extension("cpp");
            fs::write(&file, &text).unwrap();
            compiler.run(&arguments, &file, library)
        })
    };
    let sanitised = compiler.sanitises();
    let arguments = arguments(if sanitised { &SANITISE } else { &[] });
    let library = made(&arguments, &content(&arguments));
    let library = library.unwrap_or_else(|output| panic!("{}", said(&output)));
    Some(Compiled { library, sanitised })
}

/// Compiles another library with this name, unless it is compiled already;
/// `None` without a compiler.
///
/// # Panics
/// If it does not compile.
pub fn library(source: &Path, name: &str, flags: &[&str]) -> Option<PathBuf> {
    let compiler = compiler()?;
    let language: &[&str] = match source.extension() {
        Some(extension) if extension == "c" => &["-x", "c", "-w"],
        _ => &["-std=c++17", "-O1", "-Wall", "-Werror"],
    };
    let arguments = [language, &["-shared", "-fPIC"], flags].concat();
    let text = fs::read_to_string(source);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let mut content = compiler.content(&arguments);
    content.add_source(&text, source.parent(), &[]);
    let made = cache::made(&content, name, |library| compiler.run(&arguments, source, library));
    Some(made.unwrap_or_else(|output| panic!("{}: {}", source.display(), said(&output))))
}
