//! Keeps the spans of a test, with what was recorded on them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Attributes by their names; text as it is, everything else as it is written in Rust.
pub type Fields = BTreeMap<&'static str, String>;

/// A span as it is by now.
#[derive(Clone, Debug)]
pub struct Seen {
    id: u64,
    pub name: &'static str,
    pub target: &'static str,
    pub parent: Option<&'static str>,
    pub follows: Vec<&'static str>,
    pub fields: Fields,
    /// By their names.
    pub events: Vec<(&'static str, Fields)>,
    /// How often it was entered, and how often it was left again.
    pub entered: (usize, usize),
    pub is_closed: bool,
}

impl Seen {
    /// An attribute, or an empty text.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub fn event_names(&self) -> Vec<&'static str> {
        self.events.iter().map(|(name, _)| *name).collect()
    }

    /// The attributes of its only event of this name.
    pub fn event(&self, name: &str) -> &Fields {
        let mut named = self.events.iter().filter(|(event, _)| *event == name);
        let event = named.next().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert!(named.next().is_none(), "{name} twice in {self:?}");
        &event.1
    }
}

#[derive(Clone, Debug, Default)]
pub struct Collector(Arc<Mutex<Vec<Seen>>>);

impl Collector {
    /// One that listens on this thread until what comes with it is dropped.
    pub fn listen() -> (Self, DefaultGuard) {
        let collector = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(collector.clone()));
        (collector, guard)
    }

    /// All spans in the order in which they began.
    pub fn spans(&self) -> Vec<Seen> {
        self.0.lock().expect("no panic in a subscriber").clone()
    }

    /// Drops the oldest one.
    pub fn forget_first(&self) {
        self.0.lock().expect("no panic in a subscriber").remove(0);
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.spans().iter().map(|span| span.name).collect()
    }

    /// The last span with this name.
    pub fn last(&self, name: &str) -> Seen {
        let spans = self.spans();
        spans.iter().rfind(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {spans:?}")).clone()
    }

    /// Whether an event was recorded, on whatever span.
    pub fn has_event(&self, name: &str) -> bool {
        self.spans().iter().any(|span| span.event_names().contains(&name))
    }

    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut spans = self.0.lock().expect("no panic in a subscriber");
        // Identities are used again.
        change(spans.iter_mut().rfind(|span| span.id == id.into_u64()).expect("a span that has begun"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("it has just begun");
        let mut seen = Seen {
            id: id.into_u64(),
            name: span.name(),
            target: span.metadata().target(),
            parent: span.parent().map(|parent| parent.name()),
            follows: Vec::new(),
            fields: Fields::new(),
            events: Vec::new(),
            entered: (0, 0),
            is_closed: false,
        };
        attributes.record(&mut Visitor(&mut seen.fields));
        self.0.lock().expect("no panic in a subscriber").push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |span| values.record(&mut Visitor(&mut span.fields)));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let follows = context.span(follows).expect("it lives").name();
        self.change(id, |span| span.follows.push(follows));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        let mut fields = Fields::new();
        event.record(&mut Visitor(&mut fields));
        assert_eq!(fields.remove("message").as_deref(), Some(event.metadata().name()));
        self.change(&span.id(), |seen| seen.events.push((event.metadata().name(), fields)));
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.change(id, |span| span.entered.0 += 1);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.change(id, |span| span.entered.1 += 1);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.change(&id, |span| span.is_closed = true);
    }
}

struct Visitor<'a>(&'a mut Fields);

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
