use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use streamio_events::timestamp::Timestamp;

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The sort key of an item whose partition has no other item.
pub(super) const ONLY_ITEM: &str = "-";

/// An attribute of an item is missing or has an unexpected type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the item has no valid `{0}`")]
pub(super) struct InvalidItem(pub(super) &'static str);

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// The key of an item.
pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn text_of<'a>(item: &'a Item, name: &'static str) -> Result<&'a str, InvalidItem> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or(InvalidItem(name))
}

pub(super) fn number_of<T: std::str::FromStr>(item: &Item, name: &'static str) -> Result<T, InvalidItem> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|digits| digits.parse().ok()).ok_or(InvalidItem(name))
}

/// The time that an attribute states; `None` if the item has no such attribute.
pub(super) fn time_of(item: &Item, name: &'static str) -> Option<Timestamp> {
    text_of(item, name).ok()?.parse().ok()
}
