//! Other libraries' products of the same size, measured in the same run.

use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use std::process::Command;

/// rten-gemm's u8×i8 product with the right operand packed before.
pub struct Rten {
    executor: GemmExecutor<u8, i8, i32>,
    a: NdTensor<u8, 2>,
    b: NdTensor<i8, 2>,
    output: Vec<i32>,
}

impl Rten {
    /// Square operands of this size.
    pub fn new(size: usize) -> Rten {
        Rten {
            executor: GemmExecutor::new(),
            a: NdTensor::from_fn([size, size], |[i, j]| (i * 7 + j * 13) as u8),
            b: NdTensor::from_fn([size, size], |[i, j]| (i * 11 + j * 5) as i8),
            output: vec![0; size * size],
        }
    }

    /// Which of its kernels it chose.
    pub fn kernel(&self) -> String {
        self.executor.kernel_name().to_owned()
    }

    /// Calls `with` with something that multiplies once.
    pub fn run<T>(&mut self, with: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
        let packed = self.executor.prepack_b(self.b.view());
        let (executor, a, output) = (&self.executor, &self.a, &mut self.output);
        with(&mut || {
            let inputs = (GemmInputA::Unpacked(a.view()), GemmInputB::Packed(&packed));
            let done = executor.gemm(output, inputs.0, inputs.1, GemmOptions::default());
            assert!(done.is_ok(), "the shapes agree");
        })
    }
}

/// Seconds of ONNX Runtime's `MatMulInteger` at this size, by the script
/// beside, or why there are none.
pub fn onnxruntime(size: usize, threads: usize) -> Result<f64, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/onnxruntime_matmul.py");
    let output = Command::new("python3")
        .args([script, &size.to_string(), &threads.to_string()])
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(why.lines().last().unwrap_or("the script failed").to_owned());
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|error| format!("{error}"))
}
