//! How the older lock reads a claim: the rules of the seed threads as a model, in the terms of the JavaScript that they quote.
//!
//! The file is decoded as UTF-8, each bad sequence as U+FFFD, and parsed; of the object `pid`, `starttime` and `createdAt`
//! count, the last of duplicate keys. A number has to be an integer, in whatever notation. What does not parse has no payload.

use crate::json::{self, Keys, Text, Value};

/// What the older lock knows of a claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) pid: Number,
    pub(crate) starttime: Number,
    pub(crate) created_at: Option<Text>,
    /// Some key has half of a surrogate pair.
    pub(crate) lone_surrogate: bool,
}

/// A number, and how it got there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Number {
    /// The integer that counts.
    pub(crate) value: Option<f64>,
    /// As it is written.
    pub(crate) text: String,
}

/// `None`: it has no payload.
pub(crate) fn read(bytes: &[u8]) -> Option<(Reading, Vec<String>)> {
    let text = String::from_utf8_lossy(bytes);
    let members = json::members(text.as_bytes(), Keys::Any).ok()?;
    let last = |key: &str| members.iter().rfind(|(found, _)| is(found, key)).map(|(_, value)| value);
    let reading = Reading {
        pid: number(last("pid"), |value| value > 0.0),
        starttime: number(last("starttime"), |value| value >= 0.0),
        created_at: match last("createdAt") {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        },
        lone_surrogate: members.iter().any(|(key, _)| key.lone_surrogate),
    };
    Some((reading, members.into_iter().filter(|(key, _)| !key.lone_surrogate).map(|(key, _)| key.text).collect()))
}

fn is(found: &Text, key: &str) -> bool {
    !found.lone_surrogate && found.text == key
}

fn number(value: Option<&Value<'_>>, is_valid: impl Fn(f64) -> bool) -> Number {
    let Some(Value::Number(text)) = value else { return Number::default() };
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && value.fract() == 0.0 && is_valid(*value));
    Number { value, text: text.clone().into_owned() }
}
