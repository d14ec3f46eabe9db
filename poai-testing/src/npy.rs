//! Arrays of NumPy files, as scripts write them.

use std::path::Path;

/// An array: its shape, and its entries row by row.
pub struct Array {
    pub shape: Vec<usize>,
    pub entries: Vec<f32>,
}

/// Reads an array of numbers. It panics if the file is not such an array.
pub fn read(path: &Path) -> Array {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "{}", path.display());
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let between = |from: &str, to: &str| {
        let rest = &header[header.find(from).unwrap() + from.len()..];
        rest[..rest.find(to).unwrap()].to_owned()
    };
    let kind = between("'descr': '", "'");
    let sizes = between("'shape': (", ")");
    let shape: Vec<usize> = sizes.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let data = &bytes[10 + length..];
    let entries: Vec<f32> = match kind.as_str() {
        "<f4" => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
        "<f8" => {
            data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()) as f32).collect()
        }
        "<i8" => {
            data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect()
        }
        "<i4" => {
            data.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as f32).collect()
        }
        "|u1" | "|b1" => data.iter().map(|&byte| byte.into()).collect(),
        "|i1" => data.iter().map(|&byte| f32::from(byte as i8)).collect(),
        kind => panic!("{}: entries of type {kind}", path.display()),
    };
    assert_eq!(entries.len(), shape.iter().product::<usize>(), "{}", path.display());
    Array { shape, entries }
}
