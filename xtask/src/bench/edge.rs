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
use super::effort::{Effort, Selection};
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
    (effort, selection): (Effort, &Selection),
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

    let selected = (effort, selection);
    operations(&workers, selected, report).context("could not measure single operations")?;
    loads(&workers, selected, report)?;
    if selection.has(cold_start::NAME) {
        report.add(
            cold_start::compare(&workers, effort, NOOP, Goal::AtMost(1.6))
                .context("could not measure cold starts")?,
        );
    }
    Ok(())
}

/// Compares single operations.
fn operations(
    workers: &Workers,
    (effort, selection): (Effort, &Selection),
    report: &mut Report,
) -> Result<()> {
    let mut operations = vec![
        ("presign one PUT", "presign", "presign", AWS4FETCH, 15.0),
        ("sign one policy, ECDSA", "sign-ecdsa", "sign-ecdsa", SIGNER_ECDSA, 2.0),
        ("sign one policy, RSA", "sign-rsa", "sign-rsa", SIGNER_RSA, 1.15),
        ("share one policy's signature", "sign-shared", "sign-ecdsa", SIGNER_ECDSA, 15.0),
        ("rewrite a playlist of two hours", "rewrite-playlist", "rewrite-playlist", M3U8, 20.0),
    ];
    operations.retain(|(name, ..)| selection.has(name));
    if operations.is_empty() {
        return Ok(());
    }
    let ours = Server::start(&workers.our_operations()?)?;
    let peer = Server::start(&workers.peer_operations()?)?;
    for (name, our_operation, peer_operation, peer_name, goal) in operations {
        print_progress(name);
        let both = (Operation::new(&ours, our_operation), Operation::new(&peer, peer_operation));
        report.add(
            operation::compare(name, both, effort, peer_name, Some(Goal::AtLeast(goal)))
                .with_context(|| name.to_owned())?,
        );
    }
    Ok(())
}

/// Compares requests under load.
fn loads(workers: &Workers, (effort, selection): (Effort, &Selection), report: &mut Report) -> Result<()> {
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
        // It writes twenty times what it reads.
        Load { call: &playlist, peer: Peer::Floor { goal: Goal::AtMost(2.0) }, ..upload },
    ];
    for load in loads.iter().filter(|load| selection.has(&load.name())) {
        print_progress(&load.name());
        for comparison in load.run(workers, effort).with_context(|| load.name())? {
            report.add(comparison);
        }
    }
    Ok(())
}
