//! The bundled plays of Shakespeare (data/plays/README.md).

use crate::failure::Failure;
use flate2::read::GzDecoder;
use std::io::Read;

const BUNDLED: &[u8] = include_bytes!("../../data/plays/plays.txt.gz");

/// All plays, each with its title in the first line.
pub fn plays() -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    GzDecoder::new(BUNDLED)
        .read_to_string(&mut text)
        .map_err(|error| Failure::failed(format!("the bundled plays: {error}")))?;
    Ok(text.split('\u{c}').map(str::to_owned).collect())
}

/// A play's title.
pub fn title(play: &str) -> &str {
    play.lines().next().unwrap_or_default()
}

/// The parts of a play of this many lines each that are not blank.
pub fn parts(play: &str, lines: usize) -> Vec<String> {
    let full: Vec<&str> = play.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    full.chunks_exact(lines).map(|part| part.join(" ")).collect()
}

/// Parts of this many lines, at most `parts_max` of each play and from the whole of it,
/// each with its play's number.
pub fn labelled(lines: usize, parts_max: usize) -> Result<(Vec<String>, Vec<u32>), Failure> {
    let (mut all, mut labels) = (vec![], vec![]);
    for (label, play) in (0..).zip(&plays()?) {
        // The title would say which play it is.
        let own = parts(play.strip_prefix(title(play)).unwrap_or(play), lines);
        let every = own.len().div_ceil(parts_max.max(1)).max(1);
        for part in own.into_iter().step_by(every) {
            all.push(part);
            labels.push(label);
        }
    }
    Ok((all, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_plays_are_bundled() {
        let plays = plays().unwrap();
        let titles: Vec<&str> = plays.iter().map(|play| title(play)).collect();
        assert_eq!(titles[..3], ["AS YOU LIKE IT", "HAMLET, PRINCE OF DENMARK", "JULIUS CAESAR"]);
        assert_eq!(plays.len(), 10);
        for play in &plays {
            assert!(play.len() > 90_000 && play.is_ascii() && !play.contains("Gutenberg"));
            assert!(parts(play, 8).len() > 200);
        }
    }
}
