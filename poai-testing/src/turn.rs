//! Long lists of cases, of which CI runs a part each day.

use std::env;

/// CI's cycle of days. Each case runs once in it.
const DAYS: usize = 4;

/// Today's items of a list: every fourth one, from the number in the environment variable `POAI_TURN` on, which is 0 to 3. Of
/// fewer than four items, one runs. Without the variable, all run. `.ci/lib.sh` sets it.
///
/// # Panics
/// If the variable has another value.
pub fn today<T>(items: Vec<T>) -> Vec<T> {
    let Ok(turn) = env::var("POAI_TURN") else { return items };
    let day = turn.parse().ok().filter(|day| *day < DAYS);
    on_day(day.unwrap_or_else(|| panic!("expected POAI_TURN from 0 to 3, got {turn:?}")), items)
}

fn on_day<T>(day: usize, items: Vec<T>) -> Vec<T> {
    let cycle = items.len().clamp(1, DAYS);
    items.into_iter().skip(day % cycle).step_by(cycle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_runs_everything_and_no_day_is_empty() {
        for length in 1..20 {
            let days: Vec<Vec<usize>> =
                (0..DAYS).map(|day| on_day(day, (0..length).collect())).collect();
            assert!(days.iter().all(|items| !items.is_empty()), "{length}");
            let mut all = days.concat();
            all.sort();
            all.dedup();
            assert_eq!(all, (0..length).collect::<Vec<_>>());
        }
        assert_eq!(on_day(1, vec![0, 1, 2, 3, 4, 5]), [1, 5]);
    }
}
