//! How a generated file is made.

use std::fmt;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::containers::{CONTAINERS, Container};
use super::damage::Damage;
use crate::clip::run;

/// Everything that a seed decides.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) seed: u64,
    container: &'static Container,
    video: Option<Picture>,
    audio: Option<Sound>,
    pub(super) damage: Damage,
}

#[derive(Debug, Clone)]
struct Picture {
    encoder: &'static str,
    size: (u32, u32),
    rate: (u32, u32),
    tenths: u32,
    /// Pictures between these tenths of a second are missing.
    gap: Option<(u32, u32)>,
    /// The size from the second half on.
    grown: Option<(u32, u32)>,
}

#[derive(Debug, Clone)]
struct Sound {
    encoder: &'static str,
    channels: u8,
    hertz: u32,
    tenths: u32,
    /// Milliseconds by which the sound begins later than the pictures.
    delay: u32,
}

const RATES: [(u32, u32); 9] =
    [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60, 1), (5, 1), (100, 1)];
const SIZES: [(u32, u32); 7] =
    [(64, 36), (160, 90), (90, 160), (161, 91), (320, 180), (426, 240), (640, 360)];

impl Recipe {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let container = &CONTAINERS[random.usize(..CONTAINERS.len())];
        let tenths = random.u32(8..45);
        let video = random.choice(container.video).map(|encoder| {
            // MPEG-2 knows only the rates of television.
            let rates =
                if encoder.starts_with("mpeg2") || encoder.starts_with("wmv2") { 7 } else { RATES.len() };
            let size = SIZES[random.usize(..SIZES.len())];
            let gap = random.u32(4..20);
            let has_gap = container.may_have_gaps && random.u8(..4) == 0 && gap + 10 < tenths;
            let grows =
                container.file_name == "c.mkv" && encoder.starts_with("libx264") && random.u8(..3) == 0;
            Picture {
                encoder,
                size,
                rate: RATES[random.usize(..rates)],
                tenths,
                gap: has_gap.then_some((gap, gap + random.u32(2..8))),
                grown: (grows && !has_gap).then(|| SIZES[random.usize(..SIZES.len())]),
            }
        });
        let audio = (video.is_none() || random.u8(..5) > 0).then(|| {
            let encoder = container.audio[random.usize(..container.audio.len())];
            let other = random.u32(8..45);
            Sound {
                encoder,
                channels: if encoder.starts_with("libmp3") || encoder == "mp2" || encoder == "wmav2" {
                    random.u8(1..=2)
                } else {
                    [1, 2, 2, 6][random.usize(..4)]
                },
                hertz: if encoder == "libopus" { 48_000 } else { [44_100, 48_000][random.usize(..2)] },
                tenths: if random.u8(..4) == 0 { other } else { tenths },
                delay: if video.is_some() && random.u8(..4) == 0 { random.u32(..800) } else { 0 },
            }
        });
        Self { seed, container, video, audio, damage: Damage::draw(&mut random) }
    }

    /// Makes the file in `directory`, still without damage. `None` if FFmpeg cannot make it.
    pub(super) fn make(&self, directory: &Path) -> Option<PathBuf> {
        if let Some(picture) = &self.video
            && let Some(grown) = picture.grown
        {
            return self.make_in_parts(directory, picture, grown);
        }
        let name = self.container.file_name;
        made(directory, name, &self.args(self.video.as_ref()))
    }

    /// Two parts of different size, joined without encoding them again.
    fn make_in_parts(&self, directory: &Path, picture: &Picture, grown: (u32, u32)) -> Option<PathBuf> {
        let half = Picture { tenths: picture.tenths.div_ceil(10) * 5, ..picture.clone() };
        let silent = Self { audio: None, ..self.clone() };
        made(directory, "1.mkv", &silent.args(Some(&half)))?;
        made(directory, "2.mkv", &silent.args(Some(&Picture { size: grown, ..half })))?;
        std::fs::write(directory.join("parts.txt"), "file 1.mkv\nfile 2.mkv\n").unwrap();
        made(directory, self.container.file_name, "-f concat -safe 0 -i parts.txt -c copy")
    }

    fn args(&self, video: Option<&Picture>) -> String {
        let mut args = Vec::new();
        if let Some(Picture { size, rate, tenths, .. }) = video {
            args.push(format!(
                "-f lavfi -i color=black:s={}x{}:r={}/{}:d={},drawbox=t=fill:c=white:enable='lt(mod(t+0.5,1),0.1)'",
                size.0, size.1, rate.0, rate.1, seconds(*tenths)
            ));
        }
        if let Some(sound) = &self.audio {
            args.push(format!(
                "-itsoffset {}ms -f lavfi -i aevalsrc='if(lt(mod(t+0.5,1),0.1),sin(2*PI*1000*t),0)':s={}:d={}",
                sound.delay, sound.hertz, seconds(sound.tenths)
            ));
        }
        if let Some(picture) = video {
            if let Some((from, until)) = picture.gap {
                args.push(format!(
                    "-vf select='not(between(t,{},{}))' -vsync vfr",
                    seconds(from),
                    seconds(until)
                ));
            }
            args.push(format!("-c:v {}", picture.encoder));
        }
        if let Some(sound) = &self.audio {
            args.push(format!("-c:a {} -ac {}", sound.encoder, sound.channels));
        }
        args.push(self.container.args.to_owned());
        args.join(" ")
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.damage, Damage::None)
    }

    /// Seconds that a picture lasts; 0 for sound alone.
    pub(super) fn frame(&self) -> f64 {
        self.video.as_ref().map_or(0.0, |picture| f64::from(picture.rate.1) / f64::from(picture.rate.0))
    }

    /// Seconds by which the sound may end later than what is decoded of it: a Windows Media decoder keeps its last block.
    pub(super) fn undecoded(&self) -> f64 {
        match &self.audio {
            Some(sound) if sound.encoder == "wmav2" => 4096.0 / 44_100.0,
            _ => 0.0,
        }
    }

    /// Sides of the largest picture.
    pub(super) fn largest(&self) -> Option<(u32, u32)> {
        let picture = self.video.as_ref()?;
        let (a, b) = (picture.size, picture.grown.unwrap_or(picture.size));
        Some((a.0.max(b.0), a.1.max(b.1)))
    }

    /// By how many seconds each beep comes later than its flash; `None` where flashes or beeps cannot be compared.
    pub(super) fn beep_delay(&self) -> Option<f64> {
        let (picture, sound) = (self.video.as_ref()?, self.audio.as_ref()?);
        let can_be_seen =
            picture.rate.0 / picture.rate.1 >= 23 && picture.gap.is_none() && picture.grown.is_none();
        let delay = if self.container.states_times() { sound.delay } else { 0 };
        can_be_seen.then(|| f64::from(delay) / 1000.0)
    }
}

fn seconds(tenths: u32) -> f64 {
    f64::from(tenths) / 10.0
}

fn made(directory: &Path, name: &str, args: &str) -> Option<PathBuf> {
    let words = "-nostdin -v error -y".split(' ').chain(args.split_whitespace()).chain([name]);
    let output = run("ffmpeg", directory, words);
    if !output.status.success() {
        println!(
            "  cannot be made: {}",
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()
        );
    }
    output.status.success().then(|| directory.join(name))
}

impl fmt::Display for Recipe {
    /// The arguments of FFmpeg, and what is done to the file then.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, args) = (self.container.file_name, self.args(self.video.as_ref()));
        write!(formatter, "ffmpeg {args} {name}; {}", self.damage)?;
        match self.video.as_ref().and_then(|picture| picture.grown) {
            Some((width, height)) => write!(formatter, "; second half {width}x{height}, without sound"),
            None => Ok(()),
        }
    }
}
