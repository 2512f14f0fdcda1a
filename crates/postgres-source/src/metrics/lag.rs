//! How late events were, in milliseconds: extremes, mean and quantiles, in a few KiB whatever comes.
//!
//! Values are counted in buckets that are a sixteenth of their power of two wide, so a quantile is at most 6 % too large.

const LINEAR: u64 = 16;
/// Up to 2^44 ms; what is above counts as that.
const BUCKETS: usize = 16 + 40 * 16;

#[derive(Debug, Clone, Default)]
pub struct Lag {
    /// Empty until there is a value.
    counts: Vec<u64>,
    total: u64,
    sum: f64,
    min: u64,
    max: u64,
    last: u64,
}

impl Lag {
    pub fn observe(&mut self, ms: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
            self.min = ms;
        }
        self.counts[bucket(ms)] += 1;
        self.total += 1;
        self.sum += ms as f64;
        self.min = self.min.min(ms);
        self.max = self.max.max(ms);
        self.last = ms;
    }

    /// -1 where there is no value, as the original says it.
    pub fn last(&self) -> f64 {
        self.known(self.last as f64)
    }

    pub fn min(&self) -> f64 {
        self.known(self.min as f64)
    }

    pub fn max(&self) -> f64 {
        self.known(self.max as f64)
    }

    pub fn average(&self) -> f64 {
        self.known(self.sum / self.total.max(1) as f64)
    }

    /// `q`: 0.5 is the median.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = ((self.total as f64 * q).ceil() as u64).max(1);
        let mut below = 0;
        for (i, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return (upper(i).min(self.max)) as f64;
            }
        }
        -1.0
    }

    fn known(&self, value: f64) -> f64 {
        if self.total == 0 { -1.0 } else { value }
    }
}

fn bucket(ms: u64) -> usize {
    if ms < LINEAR {
        return ms as usize;
    }
    let power = 63 - ms.leading_zeros() as usize;
    let within = (ms >> (power - 4)) as usize & 15;
    (16 + (power - 4) * 16 + within).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < LINEAR as usize {
        return bucket as u64;
    }
    let (power, within) = ((bucket - 16) / 16 + 4, (bucket - 16) % 16);
    ((17 + within as u64) << (power - 4)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_minus_one() {
        let lag = Lag::default();
        assert_eq!([lag.last(), lag.min(), lag.max(), lag.average(), lag.quantile(0.5)], [-1.0; 5]);
    }

    #[test]
    fn quantiles_are_near_and_extremes_exact() {
        let mut lag = Lag::default();
        (1..=10_000).for_each(|ms| lag.observe(ms));
        assert_eq!([lag.min(), lag.max(), lag.average(), lag.last()], [1.0, 10_000.0, 5000.5, 10_000.0]);
        for (q, exact) in [(0.5, 5000.0), (0.95, 9500.0), (0.99, 9900.0), (1.0, 10_000.0)] {
            let found = lag.quantile(q);
            assert!(found >= exact && found <= exact * 1.07, "{q}: {found}");
        }
    }

    #[test]
    fn every_value_is_in_a_bucket_that_holds_it() {
        for power in 0..64 {
            for ms in [1_u64 << power, (1 << power) - 1, (1 << power) | (1 << (power / 2))] {
                let at = bucket(ms);
                assert!(at == BUCKETS - 1 || upper(at) >= ms && (at == 0 || upper(at - 1) < ms), "{ms} in {at}");
            }
        }
        Lag::default().observe(u64::MAX);
    }
}
