//! Which samples count, and which of them is the median.

use poai_benches::lines::Share;
use poai_benches::quiet::{Quiet, Samples, is_quiet, timed, timed_always};
use std::time::Duration;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn samples(quiet: &[u64], noisy: &[u64]) -> Samples {
    let mut samples = Samples::default();
    quiet.iter().for_each(|&time| samples.add(ms(time), true));
    noisy.iter().for_each(|&time| samples.add(ms(time), false));
    samples
}

#[test]
fn the_median_is_of_quiet_samples_only() {
    let samples = samples(&[30, 10, 20], &[1, 2, 3, 4, 900]);
    assert_eq!(samples.median(), Some(ms(20)));
    assert_eq!(samples.share(), Share { kept: 3, taken: 8 });
}

#[test]
fn of_an_even_number_the_longer_middle_one_counts() {
    assert_eq!(samples(&[40, 10, 30, 20], &[]).median(), Some(ms(30)));
}

#[test]
fn without_quiet_samples_the_others_count_and_the_share_says_so() {
    let samples = samples(&[], &[7, 5, 6]);
    assert_eq!(samples.median(), Some(ms(6)));
    assert_eq!(samples.share(), Share { kept: 0, taken: 3 });
    assert_eq!(Samples::default().median(), None);
}

#[test]
fn a_probe_may_take_a_tenth_longer() {
    assert!(is_quiet(ms(100), ms(110)));
    assert!(!is_quiet(ms(100), ms(111)));
}

#[test]
fn works_take_turns_after_a_first_time_that_does_not_count() {
    let order = std::cell::RefCell::new(String::new());
    let medians = Quiet::new()
        .in_turns(
            1,
            Duration::ZERO,
            &mut [
                &mut || {
                    order.borrow_mut().push('a');
                    Ok(ms(3))
                },
                &mut || {
                    order.borrow_mut().push('b');
                    Ok(ms(12))
                },
            ],
        )
        .expect("neither fails");
    assert_eq!(*order.borrow(), "abab");
    assert_eq!(medians.times, [ms(3), ms(12)]);
    assert_eq!(medians.share.taken, 2);
    assert!((medians.speedup(0, 1) - 4.0).abs() < 1e-9);
    assert!((medians.giga(0, 6e6) - 2.0).abs() < 1e-9);
}

#[test]
fn a_work_that_fails_ends_the_measurement() {
    let mut times = 0;
    let error = Quiet::new().in_turns(
        3,
        ms(50),
        &mut [&mut || {
            times += 1;
            if times < 2 { Ok(ms(1)) } else { timed(|| Err("it broke")) }
        }],
    );
    assert_eq!(error.expect_err("it failed").to_string(), "it broke");
    assert_eq!(times, 2);
}

#[test]
fn time_is_measured() {
    let time = timed_always(|| std::thread::sleep(ms(20))).expect("it cannot fail");
    assert!(time >= ms(20) && time < ms(2000), "{time:?}");
}
