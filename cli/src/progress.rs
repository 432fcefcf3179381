//! Progress on standard error: a bar where a person watches, plain lines where a log is written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Output, remark, size, watched};

/// A log gets a line at least this often while something moves.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of a transfer.
    Bytes,
    /// Hundredths of a whole.
    Percent,
}

/// One thing's progress. Clones show the same thing.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Shown>);

enum Shown {
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
    Silent,
}

struct Lines {
    label: String,
    unit: Unit,
    total: u64,
    done: u64,
    tenth: u64,
    written: Instant,
}

impl Progress {
    /// Shows `label` from 0 to `total`.
    pub(crate) fn new(output: Output, label: &str, unit: Unit, total: u64) -> Self {
        Self(Arc::new(if output.quiet {
            Shown::Silent
        } else if watched() {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(style(unit));
            bar.set_prefix(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            Shown::Bar(bar)
        } else {
            let label = label.to_owned();
            Shown::Lines(Mutex::new(Lines { label, unit, total, done: 0, tenth: 0, written: Instant::now() }))
        }))
    }

    /// `amount` more is done.
    pub(crate) fn advance(&self, amount: u64) {
        match &*self.0 {
            Shown::Bar(bar) => bar.inc(amount),
            Shown::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.done += amount;
                lines.write(Instant::now(), remark);
            }
            Shown::Silent => {}
        }
    }

    /// `amount` of what was done was in vain.
    pub(crate) fn retreat(&self, amount: u64) {
        match &*self.0 {
            Shown::Bar(bar) => bar.dec(amount),
            Shown::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.done = lines.done.saturating_sub(amount);
            }
            Shown::Silent => {}
        }
    }

    /// This much is done in all.
    pub(crate) fn set(&self, done: u64) {
        match &*self.0 {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.done = done;
                lines.write(Instant::now(), remark);
            }
            Shown::Silent => {}
        }
    }

    /// What is happening at present, in a word or two. Only a bar has room for it.
    pub(crate) fn stage(&self, text: &str) {
        if let Shown::Bar(bar) = &*self.0 {
            bar.set_message(text.to_owned());
        }
    }

    /// A sentence beside the progress.
    pub(crate) fn note(&self, text: &str) {
        match &*self.0 {
            Shown::Bar(bar) => bar.suspend(|| remark(text)),
            Shown::Lines(_) => remark(text),
            Shown::Silent => {}
        }
    }

    /// Takes the bar away; lines stay where they are.
    pub(crate) fn end(&self) {
        if let Shown::Bar(bar) = &*self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    /// How many of `parts` equal parts are done. Nothing at all is done at once.
    fn share(&self, parts: u64) -> u64 {
        self.done.saturating_mul(parts).checked_div(self.total).unwrap_or(parts).min(parts)
    }

    /// Writes a line when another tenth is done, or when the last line is long ago.
    fn write(&mut self, now: Instant, write: impl FnOnce(&str)) {
        let tenth = self.share(10);
        if tenth <= self.tenth && now.duration_since(self.written) < LINE_EVERY {
            return;
        }
        self.tenth = self.tenth.max(tenth);
        self.written = now;
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
    fn a_log_gets_a_line_for_each_tenth_and_after_each_silence() {
        let start = Instant::now();
        let mut lines = Lines {
            label: "Uploading clip.mp4".to_owned(),
            unit: Unit::Bytes,
            total: 10 * 1024 * 1024,
            done: 0,
            tenth: 0,
            written: start,
        };
        assert_eq!(written(&mut lines, start), Vec::<String>::new());
        lines.done = 2 * 1024 * 1024;
        assert_eq!(written(&mut lines, start), ["Uploading clip.mp4: 20 % (2.00 MiB of 10.00 MiB)"]);
        lines.done += 1;
        assert_eq!(written(&mut lines, start), Vec::<String>::new());
        assert_eq!(written(&mut lines, start + LINE_EVERY).len(), 1);
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
