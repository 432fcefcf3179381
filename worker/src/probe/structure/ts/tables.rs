//! What the packets of a transport stream state: its streams (2.4.4) and times (2.4.3.6).

use std::collections::BTreeMap;

/// The format of a stream. Formats that one decoder decodes are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Picture(&'static str),
    Sound(&'static str),
}

use Class::{Picture, Sound};

/// The streams that are stated in a part of the file.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Pictures and sound by their packets' identifier.
    pub(super) streams: BTreeMap<u16, Class>,
    /// The first time in this part, in seconds.
    pub(super) time: Option<f64>,
}

impl Tables {
    /// Reads `packets` until every program is stated once. `None` if none is.
    pub(super) fn read<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut tables = Self::default();
        // The identifiers of packets that state a program, and whether it was read.
        let mut programs: BTreeMap<u16, bool> = BTreeMap::new();
        for packet in packets {
            let (pid, payload) = (pid(packet), payload(packet));
            if pid == 0 {
                for program in section(packet, 0).unwrap_or_default().chunks_exact(4) {
                    // Program 0 is the network's.
                    if program[..2] != [0, 0] {
                        programs.entry(number(&program[2..])).or_default();
                    }
                }
            } else if let Some(is_read) = programs.get_mut(&pid) {
                if let Some(streams) = section(packet, 2) {
                    tables.add(streams);
                    *is_read = true;
                }
            } else if let Some(time) = time(packet, payload)
                && tables.time.is_none()
            {
                tables.time = Some(time);
            }
            if tables.time.is_some() && !programs.is_empty() && programs.values().all(|is_read| *is_read) {
                break;
            }
        }
        (!tables.streams.is_empty()).then_some(tables)
    }

    /// The stream of the kind of `class`, pictures or sound, that is not in `others`, if there is exactly one.
    pub(super) fn missing_in(&self, others: &Self, class: Class) -> Option<u16> {
        let is_of_kind = |other: &Class| std::mem::discriminant(other) == std::mem::discriminant(&class);
        let mut missing =
            self.streams.iter().filter(|(pid, other)| is_of_kind(other) && !others.streams.contains_key(pid));
        missing.next().filter(|_| missing.next().is_none()).map(|(pid, _)| *pid)
    }

    /// Adds the streams of a program's section.
    fn add(&mut self, section: &[u8]) {
        let after = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 2).map(|length| at + 2 + usize::from(number(length) & 0xfff))
        };
        let Some(mut rest) = after(section, 2).and_then(|start| section.get(start..)) else { return };
        while let Some(end) = after(rest, 3)
            && let Some(descriptors) = rest.get(5..end)
        {
            if let Some(class) = class(rest[0], descriptors) {
                self.streams.insert(number(&rest[1..]), class);
            }
            rest = &rest[end..];
        }
    }
}

/// The last time among `packets` before stream `pid` is stated to have the class `class`.
pub(super) fn last_time<'a>(packets: impl Iterator<Item = &'a [u8]>, pid: u16, class: Class) -> Option<f64> {
    let mut last = None;
    for packet in packets {
        if let Some(section) = section(packet, 2) {
            let mut tables = Tables::default();
            tables.add(section);
            if tables.streams.get(&pid) == Some(&class) {
                break;
            }
        }
        last = time(packet, payload(packet)).or(last);
    }
    last
}

fn number(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]]) & 0x1fff
}

fn pid(packet: &[u8]) -> u16 {
    number(&packet[1..])
}

/// Whether a section or a packet of a stream begins in this packet.
fn is_start(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

/// What follows the header and the adaptation field.
fn payload(packet: &[u8]) -> &[u8] {
    let start = match packet[3] >> 4 & 3 {
        1 => 4,
        3 => 5 + usize::from(packet[4]),
        _ => packet.len(),
    };
    packet.get(start..).unwrap_or_default()
}

/// The contents of the section with the identifier `table` that lies in `packet`, without its header and checksum. Sections that do
/// not fit into one packet are not read.
fn section(packet: &[u8], table: u8) -> Option<&[u8]> {
    let payload = Some(payload(packet)).filter(|_| is_start(packet))?;
    let section = payload.get(1 + usize::from(*payload.first()?)..)?;
    let length = usize::from(number(section.get(1..3)?) & 0xfff);
    // A section of this syntax that holds now.
    let is_current = section[0] == table && section[1] & 0x80 != 0 && section.get(5)? & 1 != 0;
    // The program's clock and the length of its descriptors belong to the contents of table 2.
    section.get(8..(3 + length).checked_sub(4)?).filter(|_| is_current)
}

/// The presentation time of the packet that begins here, in seconds.
fn time(packet: &[u8], payload: &[u8]) -> Option<f64> {
    let header = Some(payload).filter(|payload| is_start(packet) && payload.starts_with(&[0, 0, 1]))?;
    // Pictures (0xe0 to 0xef), sound (0xc0 to 0xdf) or private data such as AC-3 (0xbd).
    if !matches!(header.get(3)?, 0xbd | 0xc0..=0xef) || header.get(7)? & 0x80 == 0 {
        return None;
    }
    let time = header.get(9..14)?;
    let bits = u64::from(time[0] >> 1 & 7) << 30
        | u64::from(time[1]) << 22
        | u64::from(time[2] >> 1) << 15
        | u64::from(time[3]) << 7
        | u64::from(time[4] >> 1);
    #[allow(clippy::cast_precision_loss, reason = "33 bits")]
    Some(bits as f64 / 90_000.0)
}

/// The class of a stream type (2.4.4.9); `None` for what is neither pictures nor sound.
fn class(stream_type: u8, descriptors: &[u8]) -> Option<Class> {
    Some(match stream_type {
        0x01 | 0x02 => Picture("MPEG-2 video"),
        0x10 => Picture("MPEG-4 video"),
        0x1b => Picture("H.264"),
        0x24 => Picture("HEVC"),
        0x33 => Picture("VVC"),
        0x42 => Picture("AVS"),
        0xea => Picture("VC-1"),
        0x03 | 0x04 => Sound("MPEG audio"),
        0x0f => Sound("AAC"),
        0x11 => Sound("AAC (LATM)"),
        0x81 | 0x84 | 0x87 => Sound("AC-3"),
        0x06 => private(descriptors)?,
        _ => return None,
    })
}

/// The class that the descriptors of private data state (ETSI EN 300 468, 6.1).
fn private(mut descriptors: &[u8]) -> Option<Class> {
    while let [tag, length, rest @ ..] = descriptors {
        match tag {
            0x6a | 0x7a => return Some(Sound("AC-3")),
            0x7b => return Some(Sound("DTS")),
            0x7c => return Some(Sound("AAC")),
            _ => descriptors = rest.get(usize::from(*length)..)?,
        }
    }
    None
}
