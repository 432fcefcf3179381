//! `GET /usage`: what a project used, and what it may use.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use streamio_events::day::{Day, InvalidDay};
use streamio_events::usage::UsageReport;

use super::{Exchange, home_problem};
use crate::problem::Problem;
use crate::reply;
use crate::request::Query;

/// The days of a request that names none, including today.
const DEFAULT_DAYS: u32 = 30;

/// The most days of a request.
const MAX_DAYS: u64 = 366;

/// The response body.
#[derive(Serialize)]
struct UsageBody {
    from: Day,
    to: Day,
    #[serde(flatten)]
    report: UsageReport,
}

/// `GET /usage?from=&to=`: days in UTC, both included.
pub(super) async fn show(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let to = day(&mut query, "to")?.unwrap_or_else(|| Day::of(exchange.context.now));
    let from = day(&mut query, "from")?.unwrap_or_else(|| to.minus(DEFAULT_DAYS - 1));
    query.finish()?;
    match to.days_from(from) {
        0 => return Err(Problem::parameter("from", format!("must not be after `to`, {to}"))),
        days if days > MAX_DAYS => {
            let detail = format!(
                "to `to` are {days} days; at most {MAX_DAYS} are returned: ask for each year by itself"
            );
            return Err(Problem::parameter("from", detail));
        }
        _ => {}
    }
    let project = &exchange.tenant.project_id;
    let report = exchange.services.ports.home.usage(project, from, to).await;
    let report = report.map_err(home_problem::of_read)?;
    reply::json(StatusCode::OK, &UsageBody { from, to, report })
}

fn day(query: &mut Query, name: &'static str) -> Result<Option<Day>, Problem> {
    let parse = |text: String| {
        text.parse()
            .map_err(|InvalidDay| Problem::parameter(name, "must be a day in UTC, such as 2026-01-02"))
    };
    query.take(name).map(parse).transpose()
}
