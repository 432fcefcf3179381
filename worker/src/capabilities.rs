//! Detects what the installed FFmpeg supports. Builds differ: some lack x264, many lack zscale.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::failure::{Failure, MachineError};
use crate::process::CaptureError;
use crate::tools::Tools;

/// Decoders and filters of the installed FFmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    decoded: BTreeSet<String>,
    filters: BTreeSet<String>,
    keeps_audio_time: bool,
}

const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_OUTPUT_BYTES: u64 = 1024 * 1024;

impl Capabilities {
    /// Runs `ffmpeg` to list its codecs and filters. Fails if an encoder that every plan needs is missing.
    pub async fn detect(tools: &Tools) -> Result<Self, Failure> {
        let (codecs, filters, options) = tokio::try_join!(
            list(tools, &["-codecs"]),
            list(tools, &["-filters"]),
            list(tools, &["-h", "long"])
        )?;
        Ok(Self::parse(&codecs, &filters, &options)?)
    }

    fn parse(codecs: &str, filters: &str, options: &str) -> Result<Self, MachineError> {
        for encoder in ["libx264", "aac", "mjpeg"] {
            let has = codecs.lines().any(|line| {
                let named = line
                    .split_once("(encoders:")
                    .is_some_and(|(_, names)| names.split([' ', ')']).any(|name| name == encoder));
                // FFmpeg omits the parentheses if the only encoder has the codec's name.
                named
                    || columns(line).is_some_and(|(flags, name)| {
                        name == encoder && flags.as_bytes().get(1) == Some(&b'E')
                    })
            });
            if !has {
                return Err(MachineError::Incapable(format!("the encoder `{encoder}`")));
            }
        }
        let decoded = codecs
            .lines()
            .filter_map(columns)
            .filter(|(flags, _)| flags.starts_with('D'))
            .map(|(_, name)| name.to_owned());
        let filters = filters.lines().filter_map(columns).map(|(_, name)| name.to_owned());
        let keeps_audio_time = options.lines().any(|line| line.split_whitespace().next() == Some("-async"));
        Ok(Self { decoded: decoded.collect(), filters: filters.collect(), keeps_audio_time })
    }

    /// Whether there is a decoder for `codec` (FFmpeg's name).
    pub fn decodes(&self, codec: &str) -> bool {
        self.decoded.contains(codec)
    }

    /// Whether colours can be converted from one set of primaries to another.
    pub fn can_convert_color(&self) -> bool {
        self.filters.contains("zscale")
    }

    /// Whether HDR can be tone mapped to SDR.
    pub fn can_tone_map(&self) -> bool {
        self.can_convert_color() && self.filters.contains("tonemap")
    }

    /// Whether FFmpeg itself can keep sound in time with `-async`. Later releases lack the option.
    pub fn keeps_audio_time(&self) -> bool {
        self.keeps_audio_time
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn full() -> Self {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let (decoded, filters) = (set(&["h264", "aac", "mp2", "mp3"]), set(&["zscale", "tonemap"]));
        Self { decoded, filters, keeps_audio_time: true }
    }

    #[cfg(test)]
    pub(crate) fn without_filters() -> Self {
        Self { filters: BTreeSet::new(), ..Self::full() }
    }
}

fn columns(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?))
}

async fn list(tools: &Tools, what: &[&str]) -> Result<String, Failure> {
    let args = ["-hide_banner", "-v", "error"].iter().chain(what).map(|&arg| arg.to_owned()).collect();
    match tools.ffmpeg_without_input(args).capture(TIMEOUT, MAX_OUTPUT_BYTES).await {
        Ok(finished) => Ok(String::from_utf8_lossy(&finished.stdout).into_owned()),
        Err(CaptureError::Machine(error)) => Err(error.into()),
        Err(CaptureError::Timeout { limit, .. }) => Err(Failure::Timeout(limit)),
        Err(CaptureError::TooMuchOutput { .. }) => {
            Err(MachineError::Incapable(format!("usable output of `{}`", what.join(" "))).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: &str = "Codecs:
 D..... = Decoding supported
 .E.... = Encoding supported
 -------
 .EVIL. a64_multi            Multicolor charset (encoders: a64multi )
 DEV.LS h264                 H.264 / AVC (decoders: h264 h264_cuvid ) (encoders: libx264 libx264rgb )
 DEVIL. mjpeg                Motion JPEG
 D.V.L. vp6                  On2 VP6
 DEAIL. aac                  AAC (Advanced Audio Coding) (decoders: aac aac_fixed )
";

    #[test]
    fn codecs_and_filters_are_parsed() {
        let capabilities = Capabilities::parse(
            CODECS,
            " TS. bwdif    V->V  Deinterlace\n .SC zscale  V->V  Resize",
            "-async   audio sync method",
        )
        .unwrap();
        assert!(
            capabilities.decodes("vp6") && capabilities.decodes("aac") && !capabilities.decodes("a64_multi")
        );
        assert!(!capabilities.can_tone_map(), "there is no tonemap");
        assert!(capabilities.can_convert_color() && capabilities.keeps_audio_time());
        let without = Capabilities::parse(CODECS, "", "-max_async").unwrap();
        assert!(!without.can_convert_color() && !without.keeps_audio_time());
    }

    #[test]
    fn a_build_without_x264_is_an_error_that_names_the_encoder() {
        let error = Capabilities::parse(&CODECS.replace("libx264 ", ""), "", "").unwrap_err();
        assert!(error.to_string().contains("`libx264`"), "{error}");
    }
}
