//! `cargo xtask bench edge`: compares the Worker with JavaScript Workers that do the same work with the usual npm packages, on one
//! machine and with one load generator.
//!
//! workerd runs without `wrangler dev` or miniflare, whose proxy costs more time than the Worker. Both sides get the same in-memory
//! bindings (`edge/bench/bindings.mjs`), so only the code differs.

mod call;
mod cold_start;
mod load;
mod operation;
mod packages;
mod responses;
mod worker;
mod workerd;

use anyhow::{Context, Result};

use self::call::Call;
use self::load::{Load, Peer};
use self::operation::Operation;
use self::packages::Packages;
use self::worker::{CdnKey, Workers};
use self::workerd::Server;
use super::comparison::Goal;
use super::effort::Effort;
use super::progress::print_progress;
use super::report::Report;
use crate::edge::{Kind, build};
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

const JAVASCRIPT: &str = "JavaScript Worker with aws4fetch";
const AWS4FETCH: &str = "aws4fetch";
const CLOUDFRONT_SIGNER: &str = "JavaScript Worker with @aws-sdk/cloudfront-signer";
const M3U8: &str = "m3u8-parser";
const M3U8_PARSER: &str = "JavaScript Worker with m3u8-parser";
const SIGNER_ECDSA: &str = "@aws-sdk/cloudfront-signer, ECDSA";
const SIGNER_RSA: &str = "@aws-sdk/cloudfront-signer, RSA";
const NOOP: &str = "no-op JavaScript Worker";

/// The most processor time of a media playlist of two hours, in microseconds.
const PLAYLIST_MICROS: f64 = 1000.0;

/// The number of connections to a busy Worker.
const MANY_CONNECTIONS: u32 = 32;

/// Runs all measurements and adds the results to `report`. With `builds`, builds the Worker first.
pub(super) fn measure(
    workspace: &Workspace,
    effort: Effort,
    builds: bool,
    report: &mut Report,
) -> Result<()> {
    let tools = Tools::new(workspace);
    tools.ensure(&[Tool::Wrk, Tool::BenchPackages])?;
    if builds {
        for kind in [Kind::Worker, Kind::Probes] {
            build(workspace, &tools, kind)?;
        }
    }
    let work = tempfile::Builder::new().prefix("streamio-bench-").tempdir()?;
    let packages = Packages::find(workspace)?;
    report.add_versions(packages.versions()?);
    let workers = Workers::prepare(workspace, &packages, work.path())?;

    operations(&workers, effort, report).context("could not measure single operations")?;
    loads(&workers, effort, report)?;
    report.add(
        cold_start::compare(&workers, effort, NOOP, Goal::AtMost(1.6))
            .context("could not measure cold starts")?,
    );
    Ok(())
}

/// Compares single operations.
fn operations(workers: &Workers, effort: Effort, report: &mut Report) -> Result<()> {
    let ours = Server::start(&workers.our_operations()?)?;
    let peer = Server::start(&workers.peer_operations()?)?;
    let compare = |name, our_operation, peer_operation, peer_name, goal| {
        print_progress(name);
        let (ours, peer) = (Operation::new(&ours, our_operation), Operation::new(&peer, peer_operation));
        operation::compare(name, (ours, peer), effort, peer_name, goal).with_context(|| name.to_owned())
    };
    let at_least = |number| Some(Goal::AtLeast(number));
    report.add(compare("presign one PUT", "presign", "presign", AWS4FETCH, at_least(15.0))?);
    report.add(compare("sign one policy, ECDSA", "sign-ecdsa", "sign-ecdsa", SIGNER_ECDSA, at_least(2.0))?);
    report.add(compare("sign one policy, RSA", "sign-rsa", "sign-rsa", SIGNER_RSA, at_least(1.15))?);
    let shared = "share one policy's signature";
    report.add(compare(shared, "sign-shared", "sign-ecdsa", SIGNER_ECDSA, at_least(15.0))?);
    let (playlist, rewrite) = ("rewrite a playlist of two hours", "rewrite-playlist");
    report.add(compare(playlist, rewrite, rewrite, M3U8, at_least(20.0))?);
    Ok(())
}

/// Compares requests under load.
fn loads(workers: &Workers, effort: Effort, report: &mut Report) -> Result<()> {
    let (upload, playback, same_playback) = (Call::upload(), Call::playback(), Call::same_playback());
    let peer = |name, goal| Peer::JavaScript { name, goal: Goal::AtLeast(goal), cost: None };
    let aws4fetch = |goal| peer(JAVASCRIPT, goal);
    let cloudfront_signer = |goal| peer(CLOUDFRONT_SIGNER, goal);
    let playlist = Call::playlist();
    let floor = Peer::Floor { goal: Goal::AtMost(1.5) };
    let upload = Load {
        call: &upload,
        variant: "",
        key: CdnKey::Ecdsa,
        shared: false,
        connections: MANY_CONNECTIONS,
        peer: aws4fetch(1.6),
    };
    let playback = Load { call: &playback, variant: ", ECDSA", peer: cloudfront_signer(1.2), ..upload };
    let shared_playback = Load {
        call: &same_playback,
        variant: ", RSA, shared signature",
        key: CdnKey::Rsa,
        shared: true,
        peer: cloudfront_signer(15.0),
        ..upload
    };
    let loads = [
        upload,
        Load { peer: floor, ..upload },
        Load { connections: 1, peer: aws4fetch(1.0), ..upload },
        playback,
        Load { peer: floor, ..playback },
        Load { variant: ", RSA", key: CdnKey::Rsa, peer: cloudfront_signer(1.15), ..playback },
        shared_playback,
        Load {
            call: &playlist,
            peer: Peer::JavaScript {
                name: M3U8_PARSER,
                goal: Goal::AtLeast(5.0),
                cost: Some(Goal::Within(PLAYLIST_MICROS)),
            },
            ..upload
        },
    ];
    for load in &loads {
        print_progress(&load.name());
        for comparison in load.run(workers, effort).with_context(|| load.name())? {
            report.add(comparison);
        }
    }
    Ok(())
}
