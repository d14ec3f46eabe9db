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
