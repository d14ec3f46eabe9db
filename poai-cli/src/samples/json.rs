//! Arrays in JSON, alone or as `input_data` of an object, as EZKL writes them.

use super::{Form, Numbers, Problem, bounded, finite};
use crate::terminal::quoted;
use serde_json::Value;

/// The bytes of the largest file. A number takes more memory while it is read
/// than in the file.
const BYTES_MAX: usize = 1 << 26;

/// Reads nested arrays of one shape.
pub fn parse(bytes: &[u8]) -> Result<Numbers, Problem> {
    if bytes.len() > BYTES_MAX {
        let expected = format!("at most {BYTES_MAX} bytes of JSON");
        return Err(Problem::new(expected, format!("{} bytes; use .npy", bytes.len())));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|why| {
        let place = format!("line {}, column {}", why.line(), why.column());
        Problem::new("JSON", format!("other text ({why})")).at(place)
    })?;
    let mut reader = Reader { sizes: vec![], entries: vec![], place: vec![], root: "" };
    match &value {
        Value::Object(fields) => {
            reader.root = "input_data";
            let names: Vec<_> = fields.keys().take(4).map(|name| quoted(name)).collect();
            let got = format!("an object of {}", names.join(", "));
            let data = fields.get(reader.root);
            reader.read(data.ok_or_else(|| Problem::new("an array, or `input_data`", got))?)?;
        }
        array => reader.read(array)?,
    }
    Ok(Numbers {
        form: Form::Array,
        sizes: reader.sizes,
        entries: reader.entries,
        warnings: vec![],
    })
}

struct Reader {
    /// The sizes of the first array at each level.
    sizes: Vec<usize>,
    entries: Vec<f32>,
    /// The indices of the value that is read.
    place: Vec<usize>,
    root: &'static str,
}

impl Reader {
    fn read(&mut self, value: &Value) -> Result<(), Problem> {
        let level = self.place.len();
        let list = match value {
            Value::Array(list) => list,
            Value::Number(number) if level == self.sizes.len() && level > 0 => {
                let entry = number.as_f64().and_then(finite);
                let entry = entry.ok_or_else(|| self.wrong("a number of f32", number.to_string()));
                bounded(self.entries.len() + 1)?;
                self.entries.push(entry?);
                return Ok(());
            }
            other => {
                let is_array = level < self.sizes.len() || level == 0;
                let expected = if is_array { "an array" } else { "a number" };
                return Err(self.wrong(expected, what(other)));
            }
        };
        match self.sizes.get(level) {
            None if self.entries.is_empty() => self.sizes.push(list.len()),
            None => return Err(self.wrong("a number", what(value))),
            Some(size) if *size == list.len() => {}
            Some(size) => {
                let expected = format!("{size} entries as in the first array");
                return Err(self.wrong(&expected, list.len().to_string()));
            }
        }
        for (index, inner) in list.iter().enumerate() {
            self.place.push(index);
            self.read(inner)?;
            self.place.pop();
        }
        Ok(())
    }

    fn wrong(&self, expected: &str, got: String) -> Problem {
        let indices: String = self.place.iter().map(|index| format!("[{index}]")).collect();
        match format!("{}{indices}", self.root) {
            place if place.is_empty() => Problem::new(expected, got),
            place => Problem::new(expected, got).at(place),
        }
    }
}

fn what(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(list) => format!("an array of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_every_depth_are_read() {
        for (text, sizes, count) in [
            ("[1, 2.5, -3e2]", &[3][..], 3),
            ("{\"input_data\": [[1, 2], [3, 4]]}", &[2, 2], 4),
            (" [[[[1], [2]]], [[[3], [4]]]] ", &[2, 1, 2, 1], 4),
            ("{\"output_data\": [[7]], \"input_data\": [[1, 2, 3]]}", &[1, 3], 3),
            ("[]", &[0], 0),
            ("[[], []]", &[2, 0], 0),
        ] {
            let numbers = parse(text.as_bytes()).unwrap();
            assert_eq!((&numbers.sizes[..], numbers.entries.len()), (sizes, count), "{text}");
        }
        assert_eq!(parse(b"[1, 2.5, -3e2]").unwrap().entries, [1.0, 2.5, -300.0]);
    }

    #[test]
    fn errors_name_the_place() {
        for (text, why) in [
            ("{\"input_data\": [[1, \"x\"]]}", "input_data[0][1]: expected a number, got \"x\""),
            ("[[1, 2], [3]]", "[1]: expected 2 entries as in the first array, got 1"),
            ("[[1, 2], 3]", "[1]: expected an array, got 3"),
            ("[1, [2]]", "[1]: expected a number, got an array of 1"),
            ("[[1, null]]", "[0][1]: expected a number, got null"),
            ("[1e39]", "[0]: expected a number of f32, got 1e+39"),
            ("{\"input\": [1]}", "expected an array, or `input_data`, got an object of \"input\""),
            ("{\"input_data\": 3}", "input_data: expected an array, got 3"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), why, "{text}");
        }
        let broken = parse(b"[1,\n2").unwrap_err().to_string();
        assert!(broken.starts_with("line 2, column 1: expected JSON, got "), "{broken}");
        assert!(parse("[".repeat(1000).as_bytes()).is_err());
    }
}
