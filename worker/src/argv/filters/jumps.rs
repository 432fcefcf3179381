//! Puts frames whose times are wrong to where they belong.

use crate::probe::jumps::{Jump, Jumps};

/// Seconds by which a frame comes later than the one before it if its time is wrong.
const LEAP: f64 = Jumps::SHORTEST / 2.0;
/// Seconds by which the time of a decoded frame may differ from that of its packet.
const TOLERANCE: f64 = 0.5;

/// A filter for pictures; none without jumps.
pub(super) fn pictures(jumps: &[Jump]) -> Option<String> {
    (!jumps.is_empty()).then(|| format!("setpts='{}'", corrected(jumps)))
}

/// A filter for sound; none without jumps.
pub(super) fn sound(jumps: &[Jump]) -> Option<String> {
    (!jumps.is_empty()).then(|| format!("asetpts='{}'", corrected(jumps)))
}

/// The corrected time. Other frames may rightly have the same time as a wrong one: they do not come much later than the one before.
fn corrected(jumps: &[Jump]) -> String {
    let shift = jumps.iter().rev().fold("0".to_owned(), |other, Jump { start, end, shift }| {
        let (from, until) = (start - TOLERANCE, end + TOLERANCE);
        format!("if(between(T,{from:.3},{until:.3}),{shift:.6},{other})")
    });
    // `setpts` cuts fractions off, and a unit may be a whole frame.
    format!("round(PTS-if(gt(T-PREV_OUTT,{LEAP}),{shift})/TB)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_jump_has_its_own_shift() {
        let jump = |start| Jump { start, end: start + 1.0, shift: start - 4.0 };
        assert_eq!(sound(&[]), None);
        assert_eq!(
            pictures(&[jump(100.0), jump(200.0)]).unwrap(),
            "setpts='round(PTS-if(gt(T-PREV_OUTT,5),if(between(T,99.500,101.500),96.000000,\
             if(between(T,199.500,201.500),196.000000,0)))/TB)'"
        );
    }
}
