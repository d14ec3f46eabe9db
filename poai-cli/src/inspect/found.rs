//! The kind of a file, and its fields.

use crate::terminal;
use serde_json::{Map, Value};

/// A kind of file and its fields, in order.
pub struct Found {
    kind: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Found {
    /// A file of this kind.
    pub fn new(kind: &'static str) -> Found {
        Found { kind, fields: vec![] }
    }

    /// The same with one more field.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Found {
        self.fields.push((name, value.into()));
        self
    }

    /// The same with one more field that prints as text.
    pub fn text_of(self, name: &'static str, value: impl ToString) -> Found {
        self.with(name, value.to_string())
    }

    /// One JSON object: `kind`, and the fields.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("kind".to_owned(), self.kind.into());
        for (name, value) in &self.fields {
            object.insert((*name).to_owned(), value.clone());
        }
        Value::Object(object)
    }

    /// The kind, then one field a line; lists have one entry a line.
    pub fn text(&self) -> String {
        let width = self.fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = format!("{}\n", self.kind);
        for (name, value) in &self.fields {
            let name = name.replace('_', " ");
            match value {
                Value::Array(entries) => {
                    text += &format!("  {name}\n");
                    for entry in entries {
                        text += &format!("    {}\n", plain(entry));
                    }
                }
                value => text += &format!("  {name:width$}  {}\n", plain(value)),
            }
        }
        text
    }
}

/// Texts without quotes, and names in them escaped; everything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => terminal::name(text),
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    }
}
