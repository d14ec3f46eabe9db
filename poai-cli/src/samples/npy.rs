//! Arrays of NumPy, as `numpy.save` writes them.
//!
//! The header is a literal of three fields. The crates that read it bring a
//! parser generator, so this file reads it itself.

use super::{Form, Numbers, Problem, bounded, finite};
use crate::terminal::quoted;

/// The bytes of the longest header.
const HEADER_MAX: usize = 1 << 16;
/// The most axes of an array.
const RANK_MAX: usize = 8;

/// Reads an array of numbers or booleans, of any order of bytes and axes.
pub fn parse(bytes: &[u8]) -> Result<Numbers, Problem> {
    let short = || Problem::new("a whole .npy file", format!("{} bytes", bytes.len()));
    let version = *bytes.get(6).ok_or_else(short)?;
    // The header's length has two bytes in version 1, and four later.
    let (at, length) = match (version, bytes.get(8..12)) {
        (1, Some(&[low, high, ..])) => (10, usize::from(u16::from_le_bytes([low, high]))),
        (2 | 3, Some(&[a, b, c, d])) => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        (1..=3, _) => return Err(short()),
        (other, _) => return Err(Problem::new("a .npy file of version 1 to 3", other.to_string())),
    };
    if length > HEADER_MAX {
        let expected = format!("a header of at most {HEADER_MAX} bytes");
        return Err(Problem::new(expected, length.to_string()));
    }
    let header = bytes.get(at..at + length).ok_or_else(short)?;
    let Header { kind, big, fortran, sizes } = Header::parse(&String::from_utf8_lossy(header))?;
    let count = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
    let count = count.unwrap_or(usize::MAX);
    bounded(count)?;
    let data = &bytes[at + length..];
    let width = kind.bytes();
    if data.len() != count * width {
        let expected = format!("{} bytes of data for {count} numbers", count * width);
        return Err(Problem::new(expected, data.len().to_string()));
    }
    let number = |bytes: &[u8]| match big {
        true => kind.number(&bytes.iter().rev().copied().collect::<Vec<u8>>()),
        false => kind.number(bytes),
    };
    let numbers = data.chunks_exact(width).enumerate().map(|(index, bytes)| {
        finite(number(bytes)).ok_or_else(|| {
            let got = number(bytes).to_string();
            let place = match sizes[..] {
                [rows, _] if fortran => Some((index % rows, index / rows)),
                [_, columns] => Some((index / columns, index % columns)),
                _ => None,
            };
            let place = match place {
                Some((row, column)) => format!("row {row}, column {column}, both from 0"),
                None => format!("entry {index}"),
            };
            Problem::new("a finite number of f32", got).at(place)
        })
    });
    let entries = numbers.collect::<Result<Vec<f32>, Problem>>()?;
    let entries = if fortran { last_fastest(&entries, &sizes) } else { entries };
    Ok(Numbers { form: Form::Array, sizes, entries, warnings: vec![] })
}

/// Entries whose first axis runs fastest, in the order in which the last does.
fn last_fastest(entries: &[f32], sizes: &[usize]) -> Vec<f32> {
    let place = |index: usize| {
        let (mut rest, mut at, mut stride) = (index, 0, entries.len());
        for size in sizes.iter().rev() {
            stride /= size;
            at += rest % size * stride;
            rest /= size;
        }
        at
    };
    (0..entries.len()).map(|index| entries[place(index)]).collect()
}

/// The type of an array's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    F16,
    F32,
    F64,
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
}

impl Kind {
    /// The names of NumPy, without the order of bytes.
    const ALL: [(&'static str, Kind); 12] = [
        ("f2", Kind::F16),
        ("f4", Kind::F32),
        ("f8", Kind::F64),
        ("b1", Kind::Bool),
        ("u1", Kind::U8),
        ("u2", Kind::U16),
        ("u4", Kind::U32),
        ("u8", Kind::U64),
        ("i1", Kind::I8),
        ("i2", Kind::I16),
        ("i4", Kind::I32),
        ("i8", Kind::I64),
    ];

    /// The type of a name such as `<f4`, and whether its first byte is the
    /// highest.
    fn named(name: &str) -> Option<(Kind, bool)> {
        let (order, name) = name.split_at_checked(1)?;
        let (_, kind) = Kind::ALL.into_iter().find(|(known, _)| *known == name)?;
        match order {
            "<" | "=" => Some((kind, false)),
            ">" => Some((kind, true)),
            "|" if kind.bytes() == 1 => Some((kind, false)),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Kind::Bool | Kind::U8 | Kind::I8 => 1,
            Kind::F16 | Kind::U16 | Kind::I16 => 2,
            Kind::F32 | Kind::U32 | Kind::I32 => 4,
            Kind::F64 | Kind::U64 | Kind::I64 => 8,
        }
    }

    /// The number of its bytes; large integers are rounded.
    fn number(self, bytes: &[u8]) -> f64 {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let [a, b, c, d, ..] = wide;
        match self {
            Kind::F16 => half(u16::from_le_bytes([a, b])),
            Kind::F32 => f32::from_le_bytes([a, b, c, d]).into(),
            Kind::F64 => f64::from_le_bytes(wide),
            Kind::Bool => f64::from(u8::from(a != 0)),
            Kind::U8 => a.into(),
            Kind::U16 => u16::from_le_bytes([a, b]).into(),
            Kind::U32 => u32::from_le_bytes([a, b, c, d]).into(),
            Kind::U64 => u64::from_le_bytes(wide) as f64,
            Kind::I8 => i8::from_le_bytes([a]).into(),
            Kind::I16 => i16::from_le_bytes([a, b]).into(),
            Kind::I32 => i32::from_le_bytes([a, b, c, d]).into(),
            Kind::I64 => i64::from_le_bytes(wide) as f64,
        }
    }
}

/// A number of IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

struct Header {
    kind: Kind,
    /// Whether the highest byte of an entry comes first.
    big: bool,
    fortran: bool,
    sizes: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Header, Problem> {
        let field = |name: &str| {
            let found = text.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
            let missing = || Problem::new(format!("the field {name} in the header"), quoted(text));
            found.ok_or_else(missing)
        };
        let descr = field("descr")?;
        let name = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let name = name.map_or(descr, |(name, _)| name);
        let (kind, big) = Kind::named(name).ok_or_else(|| {
            let names: Vec<_> = Kind::ALL.iter().map(|(name, _)| *name).collect();
            let expected = format!("entries of type {}", names.join(", "));
            Problem::new(expected, format!("{}; convert with .astype('<f4')", quoted(name)))
        })?;
        let order = field("fortran_order")?;
        let fortran = match (order.starts_with("True"), order.starts_with("False")) {
            (true, _) => true,
            (_, true) => false,
            _ => return Err(Problem::new("fortran_order True or False", quoted(order))),
        };
        let shape = field("shape")?;
        let wrong = || Problem::new(format!("a shape of 1 to {RANK_MAX} sizes"), quoted(shape));
        let inner = shape.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let (inner, _) = inner.ok_or_else(wrong)?;
        let fields = inner.split(',').map(str::trim).filter(|size| !size.is_empty());
        let sizes = fields.map(|size| size.parse().map_err(|_| wrong()));
        let sizes: Vec<usize> = sizes.take(RANK_MAX + 1).collect::<Result<_, _>>()?;
        match sizes.is_empty() || sizes.len() > RANK_MAX {
            true => Err(wrong()),
            false => Ok(Header { kind, big, fortran, sizes }),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A file as NumPy writes it.
    pub fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes
    }

    fn read(descr: &str, data: &[u8]) -> Vec<f32> {
        parse(&file(descr, "False", "(2,)", data)).unwrap().entries
    }

    #[test]
    fn every_type_is_read() {
        assert_eq!(read("<f4", &[1.5f32, -2.0].map(f32::to_le_bytes).concat()), [1.5, -2.0]);
        assert_eq!(read("<f8", &[1.5f64, -2.0].map(f64::to_le_bytes).concat()), [1.5, -2.0]);
        assert_eq!(read("<f2", &[0x3e00u16, 0xc000].map(u16::to_le_bytes).concat()), [1.5, -2.0]);
        assert_eq!(read("|u1", &[0, 255]), [0.0, 255.0]);
        assert_eq!(read("|i1", &[0, 255]), [0.0, -1.0]);
        assert_eq!(read("<i2", &[7i16, -300].map(i16::to_le_bytes).concat()), [7.0, -300.0]);
        assert_eq!(read("<i4", &[7i32, -70000].map(i32::to_le_bytes).concat()), [7.0, -70000.0]);
        assert_eq!(
            read("<i8", &[7i64, -1 << 40].map(i64::to_le_bytes).concat())[1],
            -2f32.powi(40)
        );
        assert_eq!(read("|b1", &[0, 1]), [0.0, 1.0]);
        assert_eq!(read("<u2", &[7u16, 65535].map(u16::to_le_bytes).concat()), [7.0, 65535.0]);
        assert_eq!(read("<u4", &[7u32, 1 << 31].map(u32::to_le_bytes).concat())[1], 2f32.powi(31));
        assert_eq!(read("<u8", &[7u64, 1 << 63].map(u64::to_le_bytes).concat())[1], 2f32.powi(63));
        // The highest byte first.
        assert_eq!(read(">f4", &[1.5f32, -2.0].map(f32::to_be_bytes).concat()), [1.5, -2.0]);
        assert_eq!(read(">f8", &[1.5f64, -2.0].map(f64::to_be_bytes).concat()), [1.5, -2.0]);
        assert_eq!(read(">f2", &[0x3e00u16, 0xc000].map(u16::to_be_bytes).concat()), [1.5, -2.0]);
        assert_eq!(read(">i8", &[7i64, -300].map(i64::to_be_bytes).concat()), [7.0, -300.0]);
        for (bits, number) in
            [(0x0001, 2f64.powi(-24)), (0x0400, 2f64.powi(-14)), (0x7bff, 65504.0)]
        {
            assert_eq!(half(bits), number);
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan() && half(0x8000) == 0.0);
    }

    #[test]
    fn both_orders_give_the_same_array() {
        let c = parse(&file("|u1", "False", "(2, 3)", &[1, 2, 3, 4, 5, 6])).unwrap();
        let fortran = parse(&file("|u1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!((c.sizes, c.entries), (fortran.sizes, fortran.entries));
        let cube: Vec<u8> = (0..24).collect();
        let cube = parse(&file("|u1", "True", "(2, 3, 4)", &cube)).unwrap();
        assert_eq!(cube.entries[..5], [0.0, 6.0, 12.0, 18.0, 2.0]);
        let mut second = file("|u1", "False", "(1, 1, 1, 2)", &[8, 9]);
        second[6] = 2;
        second.splice(10..10, [0, 0]);
        assert_eq!(parse(&second).unwrap().sizes, [1, 1, 1, 2]);
    }

    #[test]
    fn hostile_files_are_refused() {
        for (bytes, why) in [
            (file("|f4", "False", "(1,)", &[0; 4]), "expected entries of type f2, f4"),
            (file("|O", "False", "(1,)", &[0; 4]), "got \"|O\"; convert with .astype('<f4')"),
            (file("f", "False", "(1,)", &[0; 4]), "expected entries of type f2, f4"),
            (file("", "False", "(1,)", &[0; 4]), "expected entries of type f2, f4"),
            (file("<c8", "False", "(1,)", &[0; 8]), "got \"<c8\"; convert with .astype('<f4')"),
            (file("<f4", "Perhaps", "(1,)", &[0; 4]), "expected fortran_order True or False"),
            (file("<f4", "False", "()", &[0; 4]), "expected a shape of 1 to 8 sizes"),
            (
                file("<f4", "False", "(1,1,1,1,1,1,1,1,1)", &[0; 4]),
                "expected a shape of 1 to 8 sizes",
            ),
            (file("<f4", "False", "(-1,)", &[0; 4]), "expected a shape of 1 to 8 sizes"),
            (
                file("<f4", "False", "(2,)", &[0; 4]),
                "expected 8 bytes of data for 2 numbers, got 4",
            ),
            (file("<f4", "False", "(4294967296, 4294967296)", &[]), "expected at most 268435456"),
            (file("<f4", "False", "(1,)", &f32::NAN.to_le_bytes()), "entry 0: expected a finite"),
            (file("<f8", "False", "(1,)", &1e300f64.to_le_bytes()), "entry 0: expected a finite"),
            (
                file("<f4", "False", "(2, 1)", &[1.0, f32::NAN].map(f32::to_le_bytes).concat()),
                "row 1, column 0, both from 0: expected a finite",
            ),
        ] {
            let error = parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let honest = file("<f4", "False", "(1, 2)", &[0; 8]);
        for end in 6..honest.len() {
            parse(&honest[..end]).unwrap_err();
        }
        for at in 6..honest.len() {
            let mut bytes = honest.clone();
            bytes[at] ^= 0x10;
            _ = parse(&bytes);
        }
    }
}
