//! cuBLASLt's int8 product, found at run time: the few functions that it takes,
//! as NVIDIA's documentation of the library declares them.

use libloading::Library;
use poai_benches::Failure;
use poai_core::Shape;
use poai_cuda::measure::{Measure, OnGpu};
use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};

/// The names of the library's file, the newest release first.
const NAMES: [&str; 3] = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];
/// Where toolkits put it, beside where the system looks.
const FOLDERS: [&str; 2] = ["/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu"];
/// Algorithms that the library is asked for.
pub const ASKED: usize = 32;
/// Bytes that an algorithm may work in: what the library's own documents advise
/// for Hopper, and more than others want.
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

/// What the library advises: a `cublasLtMatmulHeuristicResult_t`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Advice {
    algorithm: [u64; 8],
    workspace: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

/// Declares the functions used and finds all of them or none.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) -> $result:ty = $symbol:literal;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            fn find(library: &Library) -> Result<Functions, libloading::Error> {
                Ok(Functions {
                    // SAFETY: the symbol is the library's function of this
                    // name, whose declaration the type below repeats.
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
    /// Last, so that it is unloaded when nothing of it is left.
    _library: Library,
}

/// What an object of the library is destroyed with.
struct Object {
    handle: Handle,
    destroy: unsafe extern "C" fn(Handle) -> Status,
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: created by the function that belongs to this one, destroyed
        // once, while the library is loaded: products borrow it.
        let _ = unsafe { (self.destroy)(self.handle) };
    }
}

fn done(what: &str, status: Status) -> Result<(), Failure> {
    match status {
        0 => Ok(()),
        status => Err(format!("cuBLASLt: {what} answers {status}").into()),
    }
}

/// The files to try: those of a path that was given and no others, a folder's
/// or the file itself.
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
    /// Loads it from a file or folder, or from wherever it is found. The GPU
    /// of `measure` becomes the calling thread's.
    ///
    /// # Errors
    /// Where it was looked for in vain, or what it answers.
    pub fn load(path: Option<&Path>, measure: &Measure) -> Result<CublasLt, Failure> {
        let tried = candidates(path);
        // SAFETY: loading runs the start-up code of a library of this name,
        // which asks for nothing.
        let found = tried.iter().find_map(|path| unsafe { Library::new(path) }.ok());
        let library = found.ok_or_else(|| {
            let names: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
            format!("no libcublasLt (tried {})", names.join(", "))
        })?;
        let functions = Functions::find(&library)?;
        measure.wait()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle; the thread has the GPU's context.
        done("cublasLtCreate", unsafe { (functions.create)(&mut handle) })?;
        Ok(CublasLt { functions, handle, _library: library })
    }

    /// Its version, like 120804 or 130000.
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

    /// The product's description: i8 by i8 to i32, the left side transposed.
    fn description(&self) -> Result<Object, Failure> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle.
        let status =
            unsafe { (self.functions.desc_create)(&mut handle, CUBLAS_COMPUTE_32I, CUDA_R_32I) };
        done("cublasLtMatmulDescCreate", status)?;
        let description = Object { handle, destroy: self.functions.desc_destroy };
        let transposed = (&raw const CUBLAS_OP_T).cast();
        // SAFETY: the attribute is an i32, which is read.
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
        // SAFETY: the attribute is a u64, which is read.
        let status = unsafe {
            (self.functions.preference_set)(handle, MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes, 8)
        };
        done("cublasLtMatmulPreferenceSetAttribute", status)?;
        Ok(preference)
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        // SAFETY: created in `load`, destroyed once.
        let _ = unsafe { (self.functions.destroy)(self.handle) };
    }
}

/// A·B of clean operands on the GPU, m×n, by one of the library's algorithms.
pub struct Product<'a> {
    library: &'a CublasLt,
    stream: *mut c_void,
    description: Object,
    /// Of Bᵀ, A and the product, as the library sees them.
    layouts: [Object; 3],
    operands: [OnGpu; 2],
    c: OnGpu,
    workspace: OnGpu,
    algorithms: Vec<[u64; 8]>,
    best: usize,
}

impl<'a> Product<'a> {
    /// Asks the library for algorithms; the first is its own choice.
    ///
    /// The library's matrices go by columns. A row-major A (m×k) is to it an
    /// Aᵀ (k×m), a row-major Bᵀ a B (k×n), and the row-major product a Cᵀ
    /// (n×m) = (B)ᵀ·(Aᵀ): the form "TN", the only one that it has for i8 in
    /// plain layouts.
    ///
    /// # Errors
    /// What the library answers, or that it knows no way.
    pub fn new(
        library: &'a CublasLt,
        measure: &Measure,
        [a, bt, c]: [&OnGpu; 3],
        shape: &Shape,
    ) -> Result<Product<'a>, Failure> {
        let &Shape { m, n, k } = shape;
        let bytes = |rows: u32, columns: u32| u64::from(rows) * u64::from(columns);
        if a.bytes() < bytes(m, k) || bt.bytes() < bytes(n, k) || c.bytes() / 4 < bytes(m, n) {
            return Err("memory that is too small for the product".into());
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
        // SAFETY: all objects are alive; at most `ASKED` answers and their
        // number are written.
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
            return Err("cuBLASLt knows no way for this product".into());
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

    /// Times every algorithm and keeps the fastest; how many there were. An
    /// algorithm that the library then refuses is passed over.
    ///
    /// # Errors
    /// What the driver reports, or that all are refused.
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
        (_, self.best) = best.ok_or("cuBLASLt refuses every algorithm that it named")?;
        Ok(self.algorithms.len())
    }

    /// Queues the product.
    ///
    /// # Errors
    /// What the library answers.
    pub fn queue(&self) -> Result<(), Failure> {
        let (one, zero) = (1i32, 0i32);
        let [bt, a] = &self.operands;
        let [left, right, product] = &self.layouts;
        let algorithm = self.algorithms.get(self.best).ok_or("no such algorithm")?;
        // SAFETY: the objects are alive, the memory is as large as `new` found
        // it and lives as long as `self`, in whose stream it is used and freed;
        // the factors are i32, read before the call returns.
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
