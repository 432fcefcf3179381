//! Formats durations.

use std::time::Duration;

/// Formats a duration as `0.42 s`, `41.2 s` or `3 min 05 s`.
pub(crate) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.995 {
        format!("{seconds:.2} s")
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = (duration + Duration::from_millis(500)).as_secs();
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::format_duration;
    use std::time::Duration;

    #[test]
    fn durations_are_shown_in_seconds_or_minutes() {
        let shown = [420, 9_994, 41_234, 59_949, 59_950, 185_400, 3_599_600]
            .map(Duration::from_millis)
            .map(format_duration);
        assert_eq!(
            shown,
            ["0.42 s", "9.99 s", "41.2 s", "59.9 s", "1 min 00 s", "3 min 05 s", "60 min 00 s"]
        );
    }
}
