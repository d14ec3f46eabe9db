//! Blocks of GGUF become the floats that the package gguf makes of them.

use crate::fixture;
use crate::hostile::{File, Tensor};
use poai_decoder::gguf::Gguf;
use safetensors::SafeTensors;

/// Each type with its number in the file format.
const TYPES: [(&str, u32); 10] = [
    ("Q4_0", 2),
    ("Q4_1", 3),
    ("Q5_0", 6),
    ("Q5_1", 7),
    ("Q8_0", 8),
    ("Q2_K", 10),
    ("Q3_K", 11),
    ("Q4_K", 12),
    ("Q5_K", 13),
    ("Q6_K", 14),
];

#[test]
fn blocks_of_every_type_become_the_floats_of_the_python_package() {
    let bytes = std::fs::read(fixture("blocks.safetensors")).unwrap();
    let fixtures = SafeTensors::deserialize(&bytes).unwrap();
    for (name, kind) in TYPES {
        let blocks = fixtures.tensor(&format!("{name}.blocks")).unwrap();
        let floats = fixtures.tensor(&format!("{name}.floats")).unwrap();
        let expected: Vec<f32> =
            floats.data().as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
        let columns = expected.len() as u64;
        let tensor = Tensor { name: "x", dims: &[columns], kind, offset: 0 };
        let file = File { tensors: &[tensor], data: blocks.data(), ..File::default() };
        let got = file.open().unwrap().read("x", &[expected.len()]).unwrap();
        let same = got.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(same, None, "{name}: {:?}", same.map(|i| (got[i], expected[i])));
    }
}

#[test]
fn floats_of_16_and_32_bits_are_read() {
    let numbers = [0.0f32, 1.0, -2.5, 0.000_061_035_156, 5.960_464_5e-8, 65504.0];
    let open = |kind, data: &[u8]| -> Gguf {
        let tensor = Tensor { name: "x", dims: &[6], kind, offset: 0 };
        File { tensors: &[tensor], data, ..File::default() }.open().unwrap()
    };
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(open(0, &bytes).read("x", &[6]).unwrap(), numbers);
    let halves = [0u16, 0x3c00, 0xc100, 0x0400, 0x0001, 0x7bff];
    let bytes: Vec<u8> = halves.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(open(1, &bytes).read("x", &[6]).unwrap(), numbers);
    let tops = numbers.map(|x| (x.to_bits() >> 16) as u16);
    let bytes: Vec<u8> = tops.iter().flat_map(|x| x.to_le_bytes()).collect();
    let expected = tops.map(|top| f32::from_bits(u32::from(top) << 16));
    assert_eq!(open(30, &bytes).read("x", &[6]).unwrap(), expected);
}
