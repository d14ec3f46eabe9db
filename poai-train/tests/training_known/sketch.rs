//! The notation of the known answers: a step as a name and Python values.

/// A Python value of a step's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A number; `True` is 1 and `False` is 0.
    Number(i64),
    /// A list or a tuple.
    List(Vec<Item>),
}

impl Item {
    /// The number.
    pub fn number(&self) -> i64 {
        match self {
            Item::Number(number) => *number,
            Item::List(_) => panic!("expected a number, got {self:?}"),
        }
    }

    /// The list.
    pub fn list(&self) -> &[Item] {
        match self {
            Item::List(items) => items,
            Item::Number(_) => panic!("expected a list, got {self:?}"),
        }
    }

    /// The numbers of a list.
    pub fn numbers(&self) -> Vec<i64> {
        self.list().iter().map(Item::number).collect()
    }
}

/// A step's name and its values: numbers, then the inputs, extent and type.
#[derive(Debug)]
pub struct Sketch {
    /// The name.
    pub name: String,
    /// The step's own values.
    pub items: Vec<Item>,
    /// The numbers of the inputs.
    pub inputs: Vec<usize>,
    /// Rows, columns, bytes of an entry.
    pub extent: [i64; 3],
}

impl Sketch {
    /// Reads a step's text.
    pub fn parse(text: &str) -> Sketch {
        let start = text.find(|c: char| !c.is_ascii_lowercase() && c != ' ').unwrap();
        // True and False start with capitals.
        let (name, rest) = text.split_at(start);
        let mut reader = Reader { rest: rest.trim_start() };
        let mut items = vec![];
        while !reader.rest.is_empty() {
            items.push(reader.item());
        }
        let dtype = items.pop().unwrap().number();
        let [rows, columns] = items.pop().unwrap().numbers()[..] else { panic!("{text}") };
        let inputs = items.pop().unwrap().numbers().iter().map(|&input| input as usize).collect();
        // A tuple holds all values of some steps.
        let items = match &items[..] {
            [Item::List(all)] if !name.starts_with("ratio") => all.clone(),
            _ => items,
        };
        Sketch { name: name.trim().into(), items, inputs, extent: [rows, columns, dtype] }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn item(&mut self) -> Item {
        let (first, rest) = self.rest.split_at(1);
        match first {
            "(" | "[" => {
                self.rest = rest.trim_start();
                let mut items = vec![];
                while !self.rest.starts_with([')', ']']) {
                    items.push(self.item());
                    self.rest = self.rest.trim_start_matches([',', ' ']);
                }
                self.rest = self.rest[1..].trim_start();
                Item::List(items)
            }
            "T" => self.word("True", 1),
            "F" => self.word("False", 0),
            _ => {
                let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '-');
                let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                let number = digits.parse().unwrap_or_else(|_| panic!("{:?}", self.rest));
                self.rest = rest.trim_start();
                Item::Number(number)
            }
        }
    }

    fn word(&mut self, word: &str, value: i64) -> Item {
        self.rest = self.rest.strip_prefix(word).unwrap().trim_start();
        Item::Number(value)
    }
}
