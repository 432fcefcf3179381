//! Progress on standard error: a bar on a terminal, lines of text otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Output, is_terminal, size, write_note};

/// Maximum time between two lines of text while there is progress.
const MAX_LINE_INTERVAL: Duration = Duration::from_secs(30);

/// The unit of the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes transferred.
    Bytes,
    /// Percent.
    Percent,
}

/// The progress of one operation. Clones share it.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Display>);

enum Display {
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
    Hidden,
}

struct Lines {
    label: String,
    unit: Unit,
    total: u64,
    done: u64,
    tenth: u64,
    written_at: Instant,
}

impl Progress {
    /// Shows progress from 0 to `total` with a label.
    pub(crate) fn new(output: Output, label: &str, unit: Unit, total: u64) -> Self {
        Self(Arc::new(if output.quiet {
            Display::Hidden
        } else if is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(style(unit));
            bar.set_prefix(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            Display::Bar(bar)
        } else {
            let label = label.to_owned();
            Display::Lines(Mutex::new(Lines {
                label,
                unit,
                total,
                done: 0,
                tenth: 0,
                written_at: Instant::now(),
            }))
        }))
    }

    /// Adds `amount`.
    pub(crate) fn advance(&self, amount: u64) {
        match &*self.0 {
            Display::Bar(bar) => bar.inc(amount),
            Display::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.done += amount;
                lines.write(Instant::now(), write_note);
            }
            Display::Hidden => {}
        }
    }

    /// Subtracts `amount`, which has to be done again.
    pub(crate) fn revert(&self, amount: u64) {
        match &*self.0 {
            Display::Bar(bar) => bar.dec(amount),
            Display::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.done = lines.done.saturating_sub(amount);
            }
            Display::Hidden => {}
        }
    }

    /// Sets the total amount done.
    pub(crate) fn set(&self, done: u64) {
        match &*self.0 {
            Display::Bar(bar) => bar.set_position(done),
            Display::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.done = done;
                lines.write(Instant::now(), write_note);
            }
            Display::Hidden => {}
        }
    }

    /// Shows the current step in a few words. Only a bar shows it.
    pub(crate) fn step(&self, text: &str) {
        if let Display::Bar(bar) = &*self.0 {
            bar.set_message(text.to_owned());
        }
    }

    /// Writes a note without disturbing the bar.
    pub(crate) fn note(&self, text: &str) {
        match &*self.0 {
            Display::Bar(bar) => bar.suspend(|| write_note(text)),
            Display::Lines(_) => write_note(text),
            Display::Hidden => {}
        }
    }

    /// Removes the bar. Lines that were written remain.
    pub(crate) fn finish(&self) {
        if let Display::Bar(bar) = &*self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    /// How many of `parts` equal parts are done. All, if the total is 0.
    fn share(&self, parts: u64) -> u64 {
        self.done.saturating_mul(parts).checked_div(self.total).unwrap_or(parts).min(parts)
    }

    /// Writes a line if another tenth is done, or if the last line is older than [`MAX_LINE_INTERVAL`].
    fn write(&mut self, now: Instant, write: impl FnOnce(&str)) {
        let tenth = self.share(10);
        if tenth <= self.tenth && now.duration_since(self.written_at) < MAX_LINE_INTERVAL {
            return;
        }
        self.tenth = self.tenth.max(tenth);
        self.written_at = now;
        let percent = self.share(100);
        match self.unit {
            Unit::Bytes => {
                write(&format!("{}: {percent} % ({} of {})", self.label, size(self.done), size(self.total)));
            }
            Unit::Percent => write(&format!("{}: {percent} %", self.label)),
        }
    }
}

fn style(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => {
            "{prefix} {wide_bar} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} {msg}"
        }
        Unit::Percent => "{prefix} {wide_bar} {percent:>3} %  {elapsed} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &mut Lines, at: Instant) -> Vec<String> {
        let mut written = Vec::new();
        lines.write(at, |line| written.push(line.to_owned()));
        written
    }

    #[test]
    fn a_line_is_written_for_each_tenth_and_after_the_interval() {
        let start = Instant::now();
        let mut lines = Lines {
            label: "Uploading clip.mp4".to_owned(),
            unit: Unit::Bytes,
            total: 10 * 1024 * 1024,
            done: 0,
            tenth: 0,
            written_at: start,
        };
        assert_eq!(written(&mut lines, start), Vec::<String>::new());
        lines.done = 2 * 1024 * 1024;
        assert_eq!(written(&mut lines, start), ["Uploading clip.mp4: 20 % (2.00 MiB of 10.00 MiB)"]);
        lines.done += 1;
        assert_eq!(written(&mut lines, start), Vec::<String>::new());
        assert_eq!(written(&mut lines, start + MAX_LINE_INTERVAL).len(), 1);
        lines.done = lines.total;
        assert_eq!(written(&mut lines, start), ["Uploading clip.mp4: 100 % (10.00 MiB of 10.00 MiB)"]);
    }

    #[test]
    fn the_templates_of_the_bars_are_valid() {
        for unit in [Unit::Bytes, Unit::Percent] {
            let bar = ProgressBar::hidden();
            bar.set_style(style(unit));
        }
        assert!(ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} %").is_ok());
    }
}
