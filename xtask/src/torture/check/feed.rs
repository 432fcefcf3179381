//! The project's feed, as a client that follows it sees it.

use anyhow::{Result, bail};
use serde_json::Value;

use crate::platform::api::{Api, text_at};

/// An event, with the data that the checks need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::torture) struct Event {
    /// Unique in the project.
    pub(in crate::torture) id: String,
    pub(in crate::torture) kind: String,
    /// The video's id, or that of another stream.
    pub(in crate::torture) subject: String,
    pub(in crate::torture) generation: u64,
    pub(in crate::torture) attempt: u64,
    pub(in crate::torture) grant: String,
}

impl Event {
    fn parse(json: &Value) -> Result<Self> {
        let number = |name: &str| {
            let data = &json["data"];
            data[name].as_u64().or_else(|| data["job"][name].as_u64()).unwrap_or_default()
        };
        Ok(Self {
            id: text_at(json, "/id")?.to_owned(),
            kind: text_at(json, "/type")?.to_owned(),
            subject: json["subject"].as_str().unwrap_or_default().to_owned(),
            generation: number("generation"),
            attempt: number("attempt"),
            grant: json["data"]["grantId"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

/// The events that were read until now.
#[derive(Debug, Default)]
pub(in crate::torture) struct Feed {
    pub(in crate::torture) events: Vec<Event>,
    /// The place after the last page.
    position: Option<String>,
    /// The places before the pages that were read, with the number of events before them.
    pages: Vec<(Option<String>, usize)>,
}

impl Feed {
    /// Reads the events that are new. Returns the index of the first.
    pub(in crate::torture) fn read_on(&mut self, api: &Api) -> Result<usize> {
        let first = self.events.len();
        loop {
            let page = Page::read(api, self.position.as_deref())?;
            if page.events.is_empty() {
                return Ok(first);
            }
            self.pages.push((self.position.take(), self.events.len()));
            self.events.extend(page.events);
            self.position = Some(page.position);
        }
    }

    /// Reads the last pages again, or with `whole` all of them, and checks that they have the events that were read before.
    pub(in crate::torture) fn check_again(&self, api: &Api, whole: bool) -> Result<()> {
        let from = if whole { 0 } else { self.pages.len().saturating_sub(3) };
        let Some((position, mut index)) = self.pages.get(from).cloned() else { return Ok(()) };
        let mut position = position;
        while index < self.events.len() {
            let page = Page::read(api, position.as_deref())?;
            if page.events.is_empty() {
                bail!("the feed ends before {:?}, which was returned earlier", self.events[index]);
            }
            for event in page.events {
                match self.events.get(index) {
                    Some(known) if *known != event => {
                        bail!("the feed has {event:?} in the place of {known:?}, which was returned earlier")
                    }
                    _ => index += 1,
                }
            }
            position = Some(page.position);
        }
        Ok(())
    }
}

struct Page {
    events: Vec<Event>,
    position: String,
}

impl Page {
    fn read(api: &Api, after: Option<&str>) -> Result<Self> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let page = api.read(&format!("/events?limit=100{after}"))?;
        let events =
            page["data"].as_array().into_iter().flatten().map(Event::parse).collect::<Result<Vec<_>>>()?;
        let position =
            if events.is_empty() { String::new() } else { text_at(&page, "/position")?.to_owned() };
        Ok(Self { events, position })
    }
}
