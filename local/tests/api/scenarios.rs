//! The scenarios, by theme. A scenario checks its responses; the comparison of all targets checks that they are the
//! same for every target.

mod bad_requests;
mod bodies;
mod browsers;
mod commands;
mod feed;
mod headers;
mod isolation;
mod limits;
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
mod webhooks;

use futures::future::LocalBoxFuture;

use crate::session::Session;

/// A scenario, to be run with one target.
pub(crate) type Scenario = for<'a> fn(&'a Session<'a>) -> LocalBoxFuture<'a, ()>;

macro_rules! scenarios {
    ($($theme:ident::$name:ident,)*) => {
        &[$((concat!(stringify!($theme), "::", stringify!($name)), |session| Box::pin($theme::$name(session)))),*]
    };
}

/// The scenarios for targets that allow only some origins.
pub(crate) const ORIGIN_SCENARIOS: &[(&str, Scenario)] =
    scenarios![browsers::allowed_origins, browsers::refused_origins, browsers::players_with_cookies,];

/// All other scenarios, in the order of their execution: scenarios that count come before scenarios that add.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = scenarios![
    bad_requests::every_bad_request_is_refused_as_specified,
    bodies::empty_and_malformed,
    bodies::sizes_up_to_the_limit_and_beyond,
    bodies::content_types,
    browsers::preflights,
    browsers::readable_responses,
    browsers::players,
    commands::a_deletion,
    commands::reprocessing,
    commands::refusals,
    feed::read_to_the_end_and_continued,
    headers::api_keys,
    headers::api_keys_in_paths,
    headers::bearer_tokens,
    headers::request_ids,
    headers::idempotency_keys,
    headers::names_in_capitals,
    headers::non_ascii_bytes,
    headers::sent_twice,
    headers::unused_headers,
    isolation::of_videos,
    isolation::of_keys_and_uploads,
    limits::of_a_project_that_may_store_nothing,
    limits::of_the_stated_size,
    paths::similar_to_a_call,
    paths::percent_encoded,
    paths::long,
    paths::other_methods,
    playback::of_a_file,
    playback::of_a_stream,
    playback::of_a_video,
    playback::of_any_player,
    playback::bound_to_a_network,
    playback::of_a_refused_player,
    playback::with_the_requested_lifetime,
    playback::with_conditions,
    playback::of_unusual_names,
    playback::refused,
    quota::reported_and_exhausted,
    repeating::an_upload,
    repeating::an_upload_at_the_same_time,
    repeating::an_upload_in_parts,
    repeating::a_playback,
    repeating::a_command,
    runtime::dots_in_paths,
    runtime::unknown_methods,
    service::health_and_description,
    service::problems_explained,
    service::head_is_get_without_its_body,
    service::options,
    upload::plain,
    upload::with_the_requested_lifetime,
    upload::with_every_field,
    upload::with_a_unique_key,
    upload::to_unusual_names,
    upload::with_metadata_and_lifetimes,
    upload_in_parts::of_a_large_file,
    upload_in_parts::resumed,
    upload_used::a_put,
    upload_used::a_put_with_declared_properties,
    upload_used::only_if_new,
    upload_used::in_parts,
    upload_used::aborted,
    videos::shown_in_every_state,
    videos::shown_as_of_a_time,
    videos::listed_page_by_page,
    videos::listed_by_state,
    videos::listed_by_prefix_and_metadata,
    videos::metadata_changed,
    videos::events,
    webhooks::endpoints,
    webhooks::refused,
    webhooks::deliveries,
    webhooks::jobs,
];
