//! What happens to a file on its way.

use std::fmt;

use fastrand::Rng;

/// A damage, which the seed places.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Damage {
    None,
    /// Only this part of the file arrived.
    Cut(f64),
    /// After this part there are zeros.
    Zeros(f64),
    /// This many bits are inverted.
    Flips(usize, u64),
    /// A block of this size is noise.
    Noise(usize, u64),
    /// Bytes follow the end.
    Appended(usize),
}

impl Damage {
    pub(super) fn draw(random: &mut Rng) -> Self {
        match random.u8(0..12) {
            0 | 1 => Self::Cut(random.f64()),
            2 => Self::Zeros(random.f64()),
            3 => Self::Flips(random.usize(1..200), random.u64(..)),
            4 => Self::Noise(random.usize(1..50_000), random.u64(..)),
            5 => Self::Appended(random.usize(1..100_000)),
            _ => Self::None,
        }
    }

    pub(super) fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a small file"
        )]
        let place = |part: f64| (bytes.len() as f64 * part) as usize;
        match *self {
            Self::None => {}
            Self::Cut(part) => bytes.truncate(place(part)),
            Self::Zeros(part) => {
                let place = place(part);
                bytes[place..].fill(0);
            }
            Self::Flips(count, seed) => {
                let mut random = Rng::with_seed(seed);
                for _ in 0..count {
                    let place = random.usize(..bytes.len());
                    bytes[place] ^= 1 << random.u8(..8);
                }
            }
            Self::Noise(length, seed) => {
                let mut random = Rng::with_seed(seed);
                let start = random.usize(..bytes.len());
                let end = (start + length).min(bytes.len());
                random.fill(&mut bytes[start..end]);
            }
            Self::Appended(length) => bytes.resize(bytes.len() + length, 0),
        }
        bytes
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("whole"),
            Self::Cut(part) => write!(formatter, "cut at {:.1} %", part * 100.0),
            Self::Zeros(part) => write!(formatter, "zeros from {:.1} % on", part * 100.0),
            Self::Flips(count, _) => write!(formatter, "{count} bits inverted"),
            Self::Noise(length, _) => write!(formatter, "{length} bytes of noise"),
            Self::Appended(length) => write!(formatter, "{length} bytes appended"),
        }
    }
}
