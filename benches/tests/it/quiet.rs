//! Which samples count, and which of them is the median.

use poai_benches::lines::Share;
use poai_benches::pressure;
use poai_benches::quiet::{Medians, Moment, Quiet, Samples, timed, timed_always};
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
    assert_eq!(samples.quiet_median(), Some(ms(20)));
    assert_eq!(samples.median(), Some(ms(10)), "of all eight");
    assert_eq!(samples.share(), Share { kept: 3, taken: 8 });
}

#[test]
fn of_an_even_number_the_longer_middle_one_counts() {
    assert_eq!(samples(&[40, 10, 30, 20], &[]).quiet_median(), Some(ms(30)));
}

#[test]
fn without_samples_there_is_no_median() {
    assert_eq!(samples(&[], &[7]).quiet_median(), None);
    assert_eq!(Samples::default().median(), None);
}

#[test]
fn quiet_moments_are_not_held_against_noisy_ones() {
    let (a, b) = (samples(&[10, 11, 12], &[20]), samples(&[40], &[80, 81]));
    let both = Medians::of(&[a.clone(), b]);
    assert_eq!(both.times, [ms(11), ms(40)]);
    assert_eq!(both.share, Share { kept: 1, taken: 3 });

    // The second work has no quiet sample, so all samples of the first count
    // too.
    let none = Medians::of(&[a, samples(&[], &[80, 81, 82])]);
    assert_eq!(none.times, [ms(12), ms(81)]);
    assert_eq!(none.share, Share { kept: 0, taken: 3 });
}

#[test]
fn a_probe_may_take_a_tenth_longer() {
    let moment = |slowest| Moment { slowest, lasted: ms(1000), waited: None };
    assert!(moment(ms(110)).is_quiet(ms(100)));
    assert!(!moment(ms(111)).is_quiet(ms(100)));
}

#[test]
fn threads_may_wait_a_tenth_of_the_time() {
    let moment = |waited| Moment { slowest: ms(1), lasted: ms(1000), waited: Some(waited) };
    assert!(moment(ms(100)).is_quiet(ms(1)));
    assert!(!moment(ms(101)).is_quiet(ms(1)));
}

#[test]
fn the_pressure_file_counts_microseconds() {
    let text = "some avg10=6.49 avg60=23.22 avg300=26.76 total=172583951\n\
                full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
    assert_eq!(pressure::parse(text), Some(Duration::from_micros(172_583_951)));
    assert_eq!(pressure::parse("full avg10=0.00 total=7\n"), None);
    assert_eq!(pressure::parse("some total=soon\n"), None);
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
    assert_eq!(medians.share.taken, 1);
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
