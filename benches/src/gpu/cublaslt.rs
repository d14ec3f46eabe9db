//! cuBLASLt's int8 product, found at run time. The few functions that it needs
//! are declared as in NVIDIA's documentation of the library.

use libloading::Library;
use poai_benches::Failure;
use poai_core::Shape;
use poai_cuda::measure::{Measure, OnGpu};
use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};

/// The names of the library's file, the newest release first.
const NAMES: [&str; 3] = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];
/// Folders of toolkits, in addition to the system's search path.
const FOLDERS: [&str; 2] = ["/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu"];
/// The number of algorithms that the library is asked for.
pub const ASKED: usize = 32;
/// Bytes of workspace for an algorithm. The library's documentation recommends
/// this size for Hopper, and other GPUs need less.
static WORKSPACE: u64 = 64 << 20;

// Numbers of enumerations in cublasLt.h, library_types.h and cublas_api.h.
const CUDA_R_8I: c_int = 3;
const CUDA_R_32I: c_int = 10;
const CUBLAS_COMPUTE_32I: c_int = 72;
static CUBLAS_OP_T: i32 = 1;
const MATMUL_DESC_TRANSA: c_int = 3;
const MATMUL_PREF_MAX_WORKSPACE_BYTES: c_int = 1;

/// An object of the library.
type Handle = *mut c_void;
/// A `cublasStatus_t`; 0 is success.
type Status = c_int;

/// An algorithm that the library recommends: a
/// `cublasLtMatmulHeuristicResult_t`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Advice {
    algorithm: [u64; 8],
    workspace: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

/// Declares the functions and finds either all of them or none.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) -> $result:ty = $symbol:literal;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            fn find(library: &Library) -> Result<Functions, libloading::Error> {
                Ok(Functions {
                    // SAFETY: the symbol is the library's function of this
                    // name, and the type below repeats its declaration.
                    $($name: unsafe { *library.get($symbol)? },)*
                })
            }
        }
    };
}

functions! {
    version: fn() -> usize = b"cublasLtGetVersion\0";
    create: fn(*mut Handle) -> Status = b"cublasLtCreate\0";
    destroy: fn(Handle) -> Status = b"cublasLtDestroy\0";
    desc_create: fn(*mut Handle, c_int, c_int) -> Status = b"cublasLtMatmulDescCreate\0";
    desc_destroy: fn(Handle) -> Status = b"cublasLtMatmulDescDestroy\0";
    desc_set: fn(Handle, c_int, *const c_void, usize) -> Status = b"cublasLtMatmulDescSetAttribute\0";
    layout_create: fn(*mut Handle, c_int, u64, u64, i64) -> Status = b"cublasLtMatrixLayoutCreate\0";
    layout_destroy: fn(Handle) -> Status = b"cublasLtMatrixLayoutDestroy\0";
    preference_create: fn(*mut Handle) -> Status = b"cublasLtMatmulPreferenceCreate\0";
    preference_destroy: fn(Handle) -> Status = b"cublasLtMatmulPreferenceDestroy\0";
    preference_set: fn(Handle, c_int, *const c_void, usize) -> Status
        = b"cublasLtMatmulPreferenceSetAttribute\0";
    heuristic: fn(Handle, Handle, Handle, Handle, Handle, Handle, Handle, c_int, *mut Advice, *mut c_int) -> Status
        = b"cublasLtMatmulAlgoGetHeuristic\0";
    matmul: fn(
        Handle, Handle, *const c_void, u64, Handle, u64, Handle, *const c_void, u64, Handle, u64, Handle,
        *const [u64; 8], u64, usize, *mut c_void
    ) -> Status = b"cublasLtMatmul\0";
}

/// The library, open on the calling thread's GPU.
pub struct CublasLt {
    functions: Functions,
    handle: Handle,
    /// The last field, so that the library is unloaded after everything that
    /// uses it.
    _library: Library,
}

/// An object of the library, with the function that destroys it.
struct Object {
    handle: Handle,
    destroy: unsafe extern "C" fn(Handle) -> Status,
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: created by the function that matches this one and destroyed
        // once. The library is still loaded, because products borrow it.
        let _ = unsafe { (self.destroy)(self.handle) };
    }
}

fn done(what: &str, status: Status) -> Result<(), Failure> {
    match status {
        0 => Ok(()),
        status => Err(format!("cuBLASLt: {what} returned status {status}").into()),
    }
}

/// The files to try. If the caller gives a path, only that file or the files in
/// that folder are tried.
fn candidates(path: Option<&Path>) -> Vec<PathBuf> {
    let of = |folder: &Path| NAMES.map(|name| folder.join(name)).to_vec();
    match path {
        Some(folder) if folder.is_dir() => of(folder),
        Some(file) => vec![file.to_owned()],
        None => {
            let system = NAMES.map(PathBuf::from).to_vec();
            system
                .into_iter()
                .chain(FOLDERS.iter().flat_map(|folder| of(Path::new(folder))))
                .collect()
        }
    }
}

impl CublasLt {
    /// Loads the library from a file or folder, or from the default places. The
    /// GPU of `measure` becomes the calling thread's.
    ///
    /// # Errors
    /// The places that were searched, if the library was not found, or the
    /// library's error.
    pub fn load(path: Option<&Path>, measure: &Measure) -> Result<CublasLt, Failure> {
        let tried = candidates(path);
        // SAFETY: loading runs the start-up code of a library of this name,
        // which has no preconditions.
        let found = tried.iter().find_map(|path| unsafe { Library::new(path) }.ok());
        let library = found.ok_or_else(|| {
            let names: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
            format!("no libcublasLt (tried {}); set --cublaslt", names.join(", "))
        })?;
        let functions = Functions::find(&library)?;
        measure.wait()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle, and the thread has the GPU's context.
        done("cublasLtCreate", unsafe { (functions.create)(&mut handle) })?;
        Ok(CublasLt { functions, handle, _library: library })
    }

    /// Its version, such as 120804 or 130000.
    pub fn version(&self) -> usize {
        // SAFETY: takes nothing and returns a number.
        unsafe { (self.functions.version)() }
    }

    fn layout(&self, kind: c_int, rows: u32, columns: u32, stride: u32) -> Result<Object, Failure> {
        let mut handle = std::ptr::null_mut();
        let (rows, columns, stride) = (rows.into(), columns.into(), stride.into());
        // SAFETY: writes one handle.
        let status =
            unsafe { (self.functions.layout_create)(&mut handle, kind, rows, columns, stride) };
        done("cublasLtMatrixLayoutCreate", status)?;
        Ok(Object { handle, destroy: self.functions.layout_destroy })
    }

    /// The description of the product: i8 by i8 to i32, with the left side
    /// transposed.
    fn description(&self) -> Result<Object, Failure> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle.
        let status =
            unsafe { (self.functions.desc_create)(&mut handle, CUBLAS_COMPUTE_32I, CUDA_R_32I) };
        done("cublasLtMatmulDescCreate", status)?;
        let description = Object { handle, destroy: self.functions.desc_destroy };
        let transposed = (&raw const CUBLAS_OP_T).cast();
        // SAFETY: the attribute is an i32, which the call reads.
        let status =
            unsafe { (self.functions.desc_set)(handle, MATMUL_DESC_TRANSA, transposed, 4) };
        done("cublasLtMatmulDescSetAttribute", status)?;
        Ok(description)
    }

    fn preference(&self) -> Result<Object, Failure> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle.
        done("cublasLtMatmulPreferenceCreate", unsafe {
            (self.functions.preference_create)(&mut handle)
        })?;
        let preference = Object { handle, destroy: self.functions.preference_destroy };
        let bytes = (&raw const WORKSPACE).cast();
        // SAFETY: the attribute is a u64, which the call reads.
        let status = unsafe {
            (self.functions.preference_set)(handle, MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes, 8)
        };
        done("cublasLtMatmulPreferenceSetAttribute", status)?;
        Ok(preference)
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        // SAFETY: created in `load` and destroyed once.
        let _ = unsafe { (self.functions.destroy)(self.handle) };
    }
}

/// A·B of clean operands on the GPU, m×n, by one of the library's algorithms.
pub struct Product<'a> {
    library: &'a CublasLt,
    stream: *mut c_void,
    description: Object,
    /// The layouts of Bᵀ, A and the product, as the library sees them.
    layouts: [Object; 3],
    operands: [OnGpu; 2],
    c: OnGpu,
    workspace: OnGpu,
    algorithms: Vec<[u64; 8]>,
    best: usize,
}

impl<'a> Product<'a> {
    /// Asks the library for algorithms. The first one is the library's own
    /// choice.
    ///
    /// The library's matrices are column-major. It therefore sees a row-major A
    /// (m×k) as Aᵀ (k×m), a row-major Bᵀ as B (k×n) and the row-major product
    /// as Cᵀ (n×m) = (B)ᵀ·(Aᵀ). This is the form "TN", the only form that it
    /// supports for i8 in plain layouts.
    ///
    /// # Errors
    /// The library's error, or that it has no algorithm.
    pub fn new(
        library: &'a CublasLt,
        measure: &Measure,
        [a, bt, c]: [&OnGpu; 3],
        shape: &Shape,
    ) -> Result<Product<'a>, Failure> {
        let &Shape { m, n, k } = shape;
        let bytes = |rows: u32, columns: u32| u64::from(rows) * u64::from(columns);
        if a.bytes() < bytes(m, k) || bt.bytes() < bytes(n, k) || c.bytes() / 4 < bytes(m, n) {
            return Err("expected memory for the whole product, got less".into());
        }
        let description = library.description()?;
        let layouts = [
            library.layout(CUDA_R_8I, k, n, k)?,
            library.layout(CUDA_R_8I, k, m, k)?,
            library.layout(CUDA_R_32I, n, m, n)?,
        ];
        let preference = library.preference()?;
        let (mut advice, mut count) = ([Advice::default(); ASKED], 0);
        let [left, right, product] = [0, 1, 2].map(|i: usize| layouts[i].handle);
        // SAFETY: all objects are alive. The call writes at most `ASKED`
        // answers and their number.
        let status = unsafe {
            (library.functions.heuristic)(
                library.handle,
                description.handle,
                left,
                right,
                product,
                product,
                preference.handle,
                ASKED as c_int,
                advice.as_mut_ptr(),
                &mut count,
            )
        };
        done("cublasLtMatmulAlgoGetHeuristic", status)?;
        let count = usize::try_from(count).unwrap_or(0);
        let usable = advice
            .iter()
            .take(count)
            .filter(|advice| advice.state == 0 && advice.workspace as u64 <= WORKSPACE);
        let algorithms: Vec<_> = usable.map(|advice| advice.algorithm).collect();
        if algorithms.is_empty() {
            return Err("cuBLASLt has no algorithm for this product".into());
        }
        Ok(Product {
            library,
            stream: measure.stream(),
            description,
            layouts,
            operands: [bt.clone(), a.clone()],
            c: c.clone(),
            workspace: measure.empty(WORKSPACE)?,
            algorithms,
            best: 0,
        })
    }

    /// Times every algorithm, keeps the fastest and returns the number of
    /// algorithms. An algorithm that the library then refuses is skipped but
    /// counted.
    ///
    /// # Errors
    /// The driver's error, or that the library refuses every algorithm.
    pub fn choose(&mut self, measure: &Measure) -> Result<usize, Failure> {
        let mut best: Option<(f64, usize)> = None;
        for index in 0..self.algorithms.len() {
            self.best = index;
            if self.queue().is_err() {
                continue;
            }
            let mut least = f64::INFINITY;
            for _ in 0..3 {
                least = least.min(measure.milliseconds(|| self.queue())?);
            }
            if best.is_none_or(|(milliseconds, _)| least < milliseconds) {
                best = Some((least, index));
            }
        }
        (_, self.best) = best.ok_or("cuBLASLt refuses every algorithm that it recommended")?;
        Ok(self.algorithms.len())
    }

    /// Queues the product.
    ///
    /// # Errors
    /// The library's error.
    pub fn queue(&self) -> Result<(), Failure> {
        let (one, zero) = (1i32, 0i32);
        let [bt, a] = &self.operands;
        let [left, right, product] = &self.layouts;
        let algorithm = self.algorithms.get(self.best).ok_or("no such algorithm")?;
        // SAFETY: the objects are alive. `new` checked the memory's size. The
        // memory lives as long as `self`, and is used and freed in the same
        // stream. The factors are i32 and are read before the call returns.
        let status = unsafe {
            (self.library.functions.matmul)(
                self.library.handle,
                self.description.handle,
                (&raw const one).cast(),
                bt.address(),
                left.handle,
                a.address(),
                right.handle,
                (&raw const zero).cast(),
                self.c.address(),
                product.handle,
                self.c.address(),
                product.handle,
                algorithm,
                self.workspace.address(),
                WORKSPACE as usize,
                self.stream,
            )
        };
        done("cublasLtMatmul", status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advice_is_as_large_as_in_the_library() {
        assert_eq!(size_of::<Advice>(), 64 + 8 + 4 + 4 + 16);
    }

    #[test]
    fn a_path_that_is_given_is_the_only_one_tried() {
        assert_eq!(candidates(Some(Path::new("/none/lib.so"))), [PathBuf::from("/none/lib.so")]);
        let folder = tempfile::tempdir().expect("a folder");
        let expected = NAMES.map(|name| folder.path().join(name));
        assert_eq!(candidates(Some(folder.path())), expected);
    }
}
