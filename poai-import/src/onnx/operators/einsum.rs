//! Sums of products of entries, by the letters of their axes.

use super::{Read, one};
use crate::graph::Reduction;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;

/// The most axes that `...` stands for.
const MORE: usize = 8;

/// An operand with a letter for each axis.
struct Term {
    operand: Operand,
    letters: Vec<char>,
}

impl Read<'_, '_> {
    pub(super) fn einsum(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["equation"])?;
        let equation: String = node.string("equation").unwrap_or_default().replace(' ', "");
        let unsupported = || node.unsupported(format!("the equation {equation}"));
        let (inputs, output) = match equation.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (equation.as_str(), None),
        };
        let mut terms = vec![];
        for (index, text) in inputs.split(',').enumerate() {
            let operand = self.builder.operand(node, index)?;
            let rank = self.builder.shape(&operand).rank();
            let letters = letters(text, Some(rank)).ok_or_else(unsupported)?;
            let once = |at: usize| !letters[..at].contains(&letters[at]);
            if !(0..letters.len()).all(once) {
                return Err(unsupported());
            }
            terms.push(Term { operand, letters });
        }
        if terms.len() != node.inputs() {
            return Err(unsupported());
        }
        let output = match output {
            Some(text) => {
                let most = terms.iter().flat_map(|term| &term.letters).copied();
                let most = most.filter(char::is_ascii_digit).collect::<Vec<_>>();
                expanded(text, &most).ok_or_else(unsupported)?
            }
            None => implied(&terms),
        };
        let known = |letter: &char| terms.iter().any(|term| term.letters.contains(letter));
        let once = |at: usize| !output[..at].contains(&output[at]);
        if !output.iter().all(known) || !(0..output.len()).all(once) {
            return Err(unsupported());
        }
        // Each letter has one size; axes of size 1 beside larger ones broadcast.
        let mut rest = std::collections::VecDeque::from(terms);
        let mut first = rest.pop_front().ok_or_else(unsupported)?;
        first = self.summed(first, &output, &rest)?;
        while let Some(second) = rest.pop_front() {
            let second = self.summed(second, &output, rest.iter().chain([&first]))?;
            first = self.contracted(first, second, &output, &rest)?;
        }
        let order = |own: &[char]| -> Option<Vec<usize>> {
            output.iter().map(|letter| own.iter().position(|own| own == letter)).collect()
        };
        let permutation = order(&first.letters).ok_or_else(unsupported)?;
        one(self.builder.transpose(node, &first.operand, permutation)?)
    }

    /// A term without the axes that no other term and no output names.
    fn summed<'t>(
        &mut self,
        term: Term,
        output: &[char],
        others: impl IntoIterator<Item = &'t Term>,
    ) -> Result<Term, OnnxError> {
        let node = self.node;
        let others: Vec<&Term> = others.into_iter().collect();
        let needed = |letter: &char| {
            output.contains(letter) || others.iter().any(|other| other.letters.contains(letter))
        };
        let axes: Vec<usize> =
            (0..term.letters.len()).filter(|&axis| !needed(&term.letters[axis])).collect();
        if axes.is_empty() {
            return Ok(term);
        }
        if matches!(term.operand, Operand::Known(_)) {
            return Err(node.unsupported("it sums an axis of a constant alone"));
        }
        let shape = self.builder.shape(&term.operand);
        let count: usize = axes.iter().map(|&axis| shape.0[axis]).product();
        let mean = self.builder.reduce(node, &term.operand, &axes, Reduction::Mean)?;
        let sum = self.builder.times(node, &mean, count as f64)?;
        let kept = |axis: &usize| !axes.contains(axis);
        let sizes = (0..shape.rank()).filter(kept).map(|axis| shape.0[axis]).collect();
        let letters = (0..shape.rank()).filter(kept).map(|axis| term.letters[axis]).collect();
        Ok(Term { operand: self.builder.reshape(node, &sum, sizes)?, letters })
    }

    /// A term without those axes of size 1 that are larger in the other.
    fn narrowed(&mut self, term: Term, other: &Term) -> Result<Term, OnnxError> {
        let (own, theirs) = (self.builder.shape(&term.operand), self.builder.shape(&other.operand));
        let stays = |axis: &usize| {
            let place = other.letters.iter().position(|letter| *letter == term.letters[*axis]);
            own.0[*axis] != 1 || place.is_none_or(|place| theirs.0[place] == 1)
        };
        let axes: Vec<usize> = (0..own.rank()).filter(stays).collect();
        if axes.len() == own.rank() {
            return Ok(term);
        }
        let shape = axes.iter().map(|&axis| own.0[axis]).collect();
        let letters = axes.iter().map(|&axis| term.letters[axis]).collect();
        Ok(Term { operand: self.builder.reshape(self.node, &term.operand, shape)?, letters })
    }

    /// The product of two terms, summed over the letters that nothing else
    /// names.
    fn contracted<'t>(
        &mut self,
        first: Term,
        second: Term,
        output: &[char],
        rest: impl IntoIterator<Item = &'t Term>,
    ) -> Result<Term, OnnxError> {
        let node = self.node;
        let first = self.narrowed(first, &second)?;
        let second = self.narrowed(second, &first)?;
        let rest: Vec<&Term> = rest.into_iter().collect();
        let (left, right) =
            (self.builder.shape(&first.operand), self.builder.shape(&second.operand));
        let mut sizes = std::collections::HashMap::new();
        let pairs = first.letters.iter().zip(&left.0).chain(second.letters.iter().zip(&right.0));
        for (&letter, &size) in pairs {
            if *sizes.entry(letter).or_insert(size) != size {
                return Err(node.unsupported(format!("axis {letter} has two sizes")));
            }
        }
        let needed = |letter: &char| {
            output.contains(letter) || rest.iter().any(|term| term.letters.contains(letter))
        };
        let (a, b) = (&first.letters, &second.letters);
        let both = |letter: &&char| b.contains(letter);
        let batch: Vec<char> =
            a.iter().filter(both).filter(|letter| needed(letter)).copied().collect();
        let summed: Vec<char> =
            a.iter().filter(both).filter(|letter| !needed(letter)).copied().collect();
        let rows: Vec<char> = a.iter().filter(|letter| !b.contains(letter)).copied().collect();
        let columns: Vec<char> = b.iter().filter(|letter| !a.contains(letter)).copied().collect();
        let product = |letters: &[char]| -> usize {
            letters.iter().fold(1usize, |all, letter| {
                all.saturating_mul(sizes.get(letter).copied().unwrap_or(1))
            })
        };
        let (batches, m, n, k) =
            (product(&batch), product(&rows), product(&columns), product(&summed));
        let order = |own: &[char], wanted: [&Vec<char>; 3]| -> Vec<usize> {
            let wanted = wanted.into_iter().flatten();
            wanted.filter_map(|letter| own.iter().position(|own| own == letter)).collect()
        };
        let (x, y) = (order(a, [&batch, &rows, &summed]), order(b, [&batch, &summed, &columns]));
        let x = self.builder.transpose(node, &first.operand, x)?;
        let y = self.builder.transpose(node, &second.operand, y)?;
        let lead = if batches == 1 { vec![] } else { vec![batches] };
        let x = self.builder.reshape(node, &x, [lead.clone(), vec![m, k]].concat())?;
        let y = self.builder.reshape(node, &y, [lead, vec![k, n]].concat())?;
        let made = self.product(&x, &y)?;
        let letters = [batch, rows, columns].concat();
        let shape = letters.iter().map(|letter| sizes[letter]).collect();
        Ok(Term { operand: self.builder.reshape(node, &made, shape)?, letters })
    }
}

/// The letters of a term. `...` becomes digits, of which 0 is the last axis that
/// it stands for.
fn letters(text: &str, rank: Option<usize>) -> Option<Vec<char>> {
    let named = text.replace("...", "");
    if !named.chars().all(|letter| letter.is_ascii_alphabetic()) {
        return None;
    }
    let more = rank?.checked_sub(named.len())?;
    match text.split_once("...") {
        None => (more == 0).then(|| text.chars().collect()),
        Some((before, after)) if more <= MORE => {
            let digits = (0..more).rev().filter_map(|at| char::from_digit(at as u32, 10));
            Some(before.chars().chain(digits).chain(after.chars()).collect())
        }
        Some(_) => None,
    }
}

/// The letters of the output, whose `...` has all digits of the terms.
fn expanded(text: &str, digits: &[char]) -> Option<Vec<char>> {
    let count = digits.iter().filter_map(|digit| digit.to_digit(10)).map(|digit| digit + 1).max();
    let count = if text.contains("...") { count.unwrap_or(0) as usize } else { 0 };
    letters(text, Some(text.replace("...", "").len() + count))
}

/// The output of an equation without one: `...`, and in their order the letters
/// that occur once.
fn implied(terms: &[Term]) -> Vec<char> {
    let all: Vec<char> = terms.iter().flat_map(|term| term.letters.iter().copied()).collect();
    let once = |letter: &char| all.iter().filter(|other| *other == letter).count() == 1;
    let mut digits: Vec<char> = all.iter().copied().filter(char::is_ascii_digit).collect();
    digits.sort_unstable();
    digits.dedup();
    digits.reverse();
    let mut letters: Vec<char> =
        all.iter().copied().filter(char::is_ascii_alphabetic).filter(once).collect();
    letters.sort_unstable();
    digits.extend(letters);
    digits
}
