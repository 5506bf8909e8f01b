//! Token buckets (O9).

use core::time::Duration;

use sockeye_core::{Instant, Rate, TokenBucket};

fn at(millis: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(millis)
}

#[test]
fn o9_a_bucket_allows_its_burst_and_then_its_rate() {
    let (rate, mut bucket) = (Rate::new(100, 5), TokenBucket::new());
    let taken = |bucket: &mut TokenBucket, from: u64, to: u64| {
        (from..to).filter(|millis| bucket.try_take(rate, 1, at(*millis)).is_ok()).count()
    };
    assert_eq!((0..10).filter(|_| bucket.try_take(rate, 1, at(1000)).is_ok()).count(), 5);
    // One each 10 ms, the first of them at 1010.
    assert_eq!(taken(&mut bucket, 1000, 2000), 99);
    // After a pause again the burst, and no more.
    assert_eq!(taken(&mut bucket, 60_000, 60_010), 5);
}

#[test]
fn o9_something_larger_than_the_bucket_takes_all_of_it_and_is_owed() {
    let (rate, mut bucket) = (Rate::new(1000, 100), TokenBucket::new());
    assert!(bucket.try_take(rate, 1, at(0)).is_ok());
    assert_eq!(bucket.try_take(rate, 500, at(0)), Err(at(1)));
    assert!(bucket.try_take(rate, 500, at(1)).is_ok());
    // It owes 400 tokens, and a token more is there when it has gained 401.
    assert_eq!(bucket.try_take(rate, 1, at(401)), Err(at(402)));
    assert!(bucket.try_take(rate, 1, at(402)).is_ok());
    bucket.take(rate, 10, at(402));
    assert_eq!(bucket.ready_at(rate, 1), at(413));
}

#[test]
fn o9_no_numbers_overflow() {
    for rate in [Rate::new(0, 0), Rate::new(u64::MAX, u64::MAX), Rate::new(1, u64::MAX)] {
        let mut bucket = TokenBucket::new();
        for now in [Instant::EPOCH, at(1), Instant::from_nanos(u64::MAX)] {
            assert!(bucket.try_take(rate, u64::MAX, now).is_ok() || bucket.ready_at(rate, u64::MAX) > now);
            bucket.take(rate, u64::MAX, now);
        }
    }
}
