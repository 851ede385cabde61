//! Numbers that look random and depend on the seed alone (SplitMix64).

/// A sequence.
pub struct Random(pub u64);

/// Spreads the bits of `x`.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The number in the environment's variable `name`.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

impl Random {
    /// Seeded by `FLAC_SEED`, else by the clock; the seed is printed, so that a failure can be repeated.
    pub fn seeded(test: &str) -> Self {
        let seed =
            number("FLAC_SEED").unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_nanos() as u64 % 1_000_000_007));
        println!("{test}: FLAC_SEED={seed}");
        Self(seed)
    }

    /// From 0 to `limit` - 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0) % limit
    }
}
