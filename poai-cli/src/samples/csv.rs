//! Tables of numbers: one sample a line, fields separated by commas, semicolons
//! or tabs.

use super::{Form, Numbers, Problem, bounded};
use crate::terminal::quoted;

/// Reads a table. The first line may name the columns, lines may be blank, and
/// a line may end with a separator. `true` and `false` are 1 and 0.
pub fn parse(text: &str, columns: usize) -> Result<Numbers, Problem> {
    let lines = || text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let first = lines().next().map_or("", |(line, _)| line);
    let separator = separator(first);
    let mut rest = lines().skip(1).flat_map(|(line, _)| split(line, separator));
    let header = match kind(first, separator) {
        First::Numbers => false,
        First::Names => true,
        // Booleans name classes, unless other lines hold some, too.
        First::Booleans => !rest.any(is_boolean),
    };
    let lines = lines().skip(usize::from(header));
    let (mut entries, mut count) = (vec![], 0);
    for (line, number) in lines {
        let mut fields = split(line, separator);
        if fields.len() == columns.saturating_add(1) {
            // A separator at the end of the line makes an empty field.
            fields.pop_if(|last| last.trim().is_empty());
        }
        if fields.len() != columns {
            let got = match fields.last() {
                Some(last) if last.trim().is_empty() => {
                    format!("{}, the last of them empty", fields.len())
                }
                _ => fields.len().to_string(),
            };
            let expected = format!("{columns} numbers separated by {separator:?}");
            let got = format!("{got}; give each sample one number for each entry of the input");
            return Err(Problem::new(expected, got).at(format!("line {number}")));
        }
        bounded(entries.len() + columns)?;
        for (index, field) in fields.into_iter().enumerate() {
            let entry = parsed(field).filter(|entry| entry.is_finite());
            entries.push(entry.ok_or_else(|| {
                let place = format!("line {number}, field {}", index + 1);
                Problem::new("a finite number", quoted(field)).at(place)
            })?);
        }
        count += 1;
    }
    let warnings = match counts(&entries, columns) {
        true => vec![COUNTS.to_owned()],
        false => vec![],
    };
    Ok(Numbers { form: Form::Table, sizes: vec![count, columns], entries, warnings })
}

/// The fields of the first line that is not blank, without an empty one at its end.
pub fn columns(bytes: &[u8]) -> usize {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let mut fields = split(&first, separator(&first));
    fields.pop_if(|last| last.trim().is_empty());
    fields.len()
}

/// The numbers, from 1, of the lines that a table's rows stand in.
pub fn lines(text: &str, rows: usize) -> Vec<usize> {
    let full = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let full: Vec<usize> = full.map(|(_, number)| number).collect();
    // The first line may be a header.
    full[full.len().saturating_sub(rows)..].to_vec()
}

/// What separates the fields of a line.
fn separator(line: &str) -> char {
    [';', '\t', ','].into_iter().find(|separator| line.contains(*separator)).unwrap_or(',')
}

/// Writers of tables name columns 0, 1, 2 … if they have no other names.
const COUNTS: &str =
    "the first sample is 0, 1, 2 and so on; if that line names the columns, remove it";

/// Whether the first of several samples counts the columns.
fn counts(entries: &[f32], columns: usize) -> bool {
    let first = entries.iter().take(columns).enumerate();
    columns > 2
        && entries.len() > columns
        && first.into_iter().all(|(index, entry)| *entry == index as f32)
}

/// The fields of a line. A separator in quotes is a part of its field.
fn split(line: &str, separator: char) -> Vec<&str> {
    let mut inside = false;
    let parts = line.split(|character: char| {
        inside ^= character == '"';
        character == separator && !inside
    });
    parts.collect()
}

/// A field without the quotes that it may stand in.
fn unquoted(field: &str) -> &str {
    let field = field.trim();
    let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    inner.unwrap_or(field).trim()
}

/// A number or a boolean.
fn parsed(field: &str) -> Option<f32> {
    let field = unquoted(field);
    match field.to_ascii_lowercase().as_str() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => field.parse().ok(),
    }
}

fn is_boolean(field: &str) -> bool {
    let field = unquoted(field);
    field.eq_ignore_ascii_case("true") || field.eq_ignore_ascii_case("false")
}

/// What the first line holds.
enum First {
    /// A number at least, or nothing.
    Numbers,
    /// Booleans alone.
    Booleans,
    /// No number, and other text than booleans.
    Names,
}

fn kind(line: &str, separator: char) -> First {
    let fields = split(line, separator);
    let full: Vec<&str> = fields.into_iter().filter(|field| !field.trim().is_empty()).collect();
    match full.is_empty() || full.iter().any(|field| unquoted(field).parse::<f32>().is_ok()) {
        true => First::Numbers,
        false if full.iter().all(|field| is_boolean(field)) => First::Booleans,
        false => First::Names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Vec<f32> {
        let numbers = parse(text, 3).unwrap();
        assert_eq!(numbers.sizes, [numbers.entries.len() / 3, 3]);
        numbers.entries
    }

    #[test]
    fn tables_of_many_makers_are_read() {
        let expected = [1.0, -0.5, 3000.0, 4.0, 5.0, 6.0];
        for text in [
            "1,-0.5,3e3\n4,5,6",
            "1,-0.5,3e3\r\n4,5,6\r\n\r\n",
            "\n\n 1, -0.5 ,+3e3 \n   \n4,5,6\n\n",
            "1;-0.5;3e3\n4;5;6\n",
            "1\t-0.5\t3e3\n4\t5\t6\n",
            "a,b,c\n1,-0.5,3e3\n4,5,6\n",
            "\"a\";\"b\";\"\"\n\n1;-0.5;3e3\n4;5;6;\n",
            "1,-0.5,3e3,\n4,5,6, \n",
            "\"1\",\"-0.5\",\"3e3\"\n4,5,6\n",
            "\"width, cm\",\"b\",c\n1,-0.5,3e3\n4,5,6\n",
        ] {
            assert_eq!(table(text), expected, "{text:?}");
        }
        assert!(table("").is_empty() && table("\r\n \n").is_empty() && table("a,b,c\n").is_empty());
        assert_eq!(parse("1\n2,\n", 1).unwrap().entries, [1.0, 2.0]);
    }

    /// Classes may be called true and false. Beside other booleans they are data.
    #[test]
    fn booleans_are_numbers_and_a_header_only_alone() {
        for (text, expected) in [
            ("true,false,True\nfalse,FALSE,1\n", &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0][..]),
            ("true,false,maybe\n1,2,3\n", &[1.0, 2.0, 3.0]),
            ("true,false,true\n1,2,3\n", &[1.0, 2.0, 3.0]),
            ("\"true\",\"false\",\"true\"\n1,2,\"true\"\n", &[1.0, 0.0, 1.0, 1.0, 2.0, 1.0]),
            ("1,true,false\n", &[1.0, 1.0, 0.0]),
        ] {
            assert_eq!(table(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_that_counts_the_columns_is_noticed() {
        let warnings = |text| parse(text, 3).unwrap().warnings.len();
        assert_eq!(warnings("0,1,2\n4,5,6\n"), 1);
        assert_eq!(warnings("0,1,3\n4,5,6\n"), 0);
        assert_eq!(warnings("0,1,2\n"), 0);
        assert_eq!(warnings("a,b,c\n4,5,6\n"), 0);
    }

    #[test]
    fn columns_and_lines_are_counted() {
        for (text, expected) in [
            ("\n\na;b;c\n\n1;2;3;\n", (3, vec![5])),
            ("1,2,3,\r\n\r\n4,5,6\n", (3, vec![1, 3])),
            ("\"x, y\",z,w\n1,2,3", (3, vec![2])),
            ("", (0, vec![])),
        ] {
            let columns = columns(text.as_bytes());
            let rows = parse(text, columns).unwrap().sizes[0];
            assert_eq!((columns, lines(text, rows)), expected, "{text:?}");
        }
    }

    #[test]
    fn errors_name_line_and_field() {
        for (text, why) in [
            ("1,2,3\n\n1,x,3\n", "line 3, field 2: expected a finite number, got \"x\""),
            ("1,,3\n", "line 1, field 2: expected a finite number, got \"\""),
            ("1,2,nan\n", "line 1, field 3: expected a finite number, got \"nan\""),
            ("1,2,1e39\n", "line 1, field 3: expected a finite number, got \"1e39\""),
            ("a,2,3\n", "line 1, field 1: expected a finite number, got \"a\""),
            ("a,b,c\nd,e,f\n", "line 2, field 1: expected a finite number, got \"d\""),
            ("1,2\n", "line 1: expected 3 numbers separated by ',', got 2; GIVE"),
            ("1,2,3,4\n", "line 1: expected 3 numbers separated by ',', got 4; GIVE"),
            (
                "1,2,3,,\n",
                "line 1: expected 3 numbers separated by ',', got 5, the last of them empty; GIVE",
            ),
            ("1,5;2;3\n", "line 1, field 1: expected a finite number, got \"1,5\""),
            ("\"1,5\",2,3\n", "line 1, field 1: expected a finite number, got \"\\\"1,5\\\"\""),
            ("1,2,3\r\n1,2\r\n", "line 2: expected 3 numbers separated by ',', got 2; GIVE"),
            ("1 2 3\n4 5 6\n", "line 2: expected 3 numbers separated by ',', got 1; GIVE"),
        ] {
            let why =
                why.replace("GIVE", "give each sample one number for each entry of the input");
            assert_eq!(parse(text, 3).unwrap_err().to_string(), why, "{text:?}");
        }
    }
}
