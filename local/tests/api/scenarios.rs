//! What is said with every target, by theme. A scenario checks what an answer must be; that it is the same from every
//! target is checked for all of them together.

mod bad_requests;
mod bodies;
mod browsers;
mod commands;
mod feed;
mod headers;
mod isolation;
mod paths;
mod playback;
mod quota;
mod repeating;
mod runtime;
mod service;
mod upload;
mod upload_in_parts;
mod upload_used;
mod videos;

use futures::future::LocalBoxFuture;

use crate::session::Session;

/// A conversation with one target.
pub(crate) type Scenario = for<'a> fn(&'a Session<'a>) -> LocalBoxFuture<'a, ()>;

macro_rules! scenarios {
    ($($theme:ident::$name:ident,)*) => {
        &[$((concat!(stringify!($theme), "::", stringify!($name)), |session| Box::pin($theme::$name(session)))),*]
    };
}

/// Those for targets that may be called from the pages of some origins only.
pub(crate) const OF_ONE_ORIGIN: &[(&str, Scenario)] =
    scenarios![browsers::origins_that_are_allowed, browsers::origins_that_are_not,];

/// All others, in their order: one that counts what is there comes before those that add to it.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = scenarios![
    bad_requests::each_is_refused_as_the_table_says,
    bodies::what_is_nearly_a_body,
    bodies::sizes_up_to_the_limit_and_beyond,
    bodies::content_types,
    browsers::preflights,
    browsers::answers_that_a_page_may_read,
    commands::a_deletion,
    commands::processing_again,
    commands::refusals,
    feed::to_its_end_and_on,
    headers::api_keys,
    headers::request_ids,
    headers::idempotency_keys,
    headers::names_in_capitals,
    headers::bytes_that_are_no_ascii,
    headers::sent_twice,
    headers::of_other_purposes,
    isolation::of_videos,
    isolation::of_keys_and_uploads,
    paths::nearly_a_call,
    paths::percent_encoded,
    paths::long,
    paths::other_methods,
    playback::of_a_file,
    playback::of_a_stream,
    playback::for_as_long_as_was_asked,
    playback::with_conditions,
    playback::of_odd_names,
    playback::refused,
    quota::is_told_and_used_up,
    repeating::an_upload,
    repeating::an_upload_at_the_same_time,
    repeating::an_upload_in_parts,
    repeating::a_playback,
    repeating::a_command,
    runtime::dots_in_paths,
    runtime::methods_that_nobody_knows,
    service::health_and_description,
    service::problems_explained,
    service::head_is_get_without_its_body,
    service::options,
    upload::plain,
    upload::for_as_long_as_was_asked,
    upload::with_every_field,
    upload::to_odd_names,
    upload::with_metadata_and_lifetimes,
    upload_in_parts::of_a_large_file,
    upload_in_parts::goes_on,
    upload_used::a_put,
    upload_used::a_put_that_was_described,
    upload_used::only_if_new,
    upload_used::in_parts,
    upload_used::aborted,
    videos::shown_in_every_state,
    videos::shown_as_they_were,
    videos::listed_page_by_page,
    videos::listed_by_state,
    videos::their_events,
];
