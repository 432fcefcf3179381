//! Who may import whom.

use super::Violation;
use super::crates::{Dependency, Package};

/// What one room may depend on. Whoever adds a room, or an arrow, adds it here.
struct Room {
    name: &'static str,
    /// Packages of the workspace, for any purpose.
    rooms: &'static [&'static str],
    /// Whether its product code may use the cloud's SDK, behind its adapters.
    sdk: bool,
    /// Whether its tests may, as a client of our own servers.
    sdk_in_tests: bool,
}

const ROOMS: &[Room] = &[
    Room { name: "streamio-events", rooms: &[], sdk: true, sdk_in_tests: true },
    Room { name: "streamio-edge", rooms: &["streamio-events"], sdk: false, sdk_in_tests: false },
    Room { name: "streamio-core", rooms: &["streamio-events"], sdk: false, sdk_in_tests: false },
    Room {
        name: "streamio-lambdas",
        rooms: &["streamio-core", "streamio-events"],
        sdk: true,
        sdk_in_tests: true,
    },
    Room { name: "streamio-worker", rooms: &["streamio-events"], sdk: true, sdk_in_tests: true },
    Room {
        name: "streamio-local",
        rooms: &["streamio-core", "streamio-edge", "streamio-events", "streamio-worker"],
        sdk: false,
        sdk_in_tests: true,
    },
    Room { name: "streamio", rooms: &["streamio-events", "streamio-local"], sdk: false, sdk_in_tests: true },
    // A client and a server of the cloud's own protocols, with all the product's programs.
    Room {
        name: "streamio-emulator",
        rooms: &["streamio-core", "streamio-edge", "streamio-events", "streamio-lambdas", "streamio-local"],
        sdk: true,
        sdk_in_tests: true,
    },
    Room { name: "xtask", rooms: &[], sdk: false, sdk_in_tests: false },
];

const SDK: &str = "aws-sdk-";

/// Every arrow between rooms is allowed, and SDKs are only where they may be.
pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(room) = ROOMS.iter().find(|room| room.name == package.name) else {
            violations.push(Violation::new(
                &package.name,
                "a package without a place among the rooms: state in xtask/src/rules/rooms.rs what it may import",
            ));
            continue;
        };
        // A package may be its own dev-dependency: that is how its tests switch features on.
        let is_room = |name: &str| name != package.name && packages.iter().any(|other| other.name == name);
        for dependency in &package.dependencies {
            if is_room(&dependency.name) && !room.rooms.contains(&dependency.name.as_str()) {
                violations.push(Violation::new(
                    &package.name,
                    format!("must not depend on {}; it may import {}", dependency.name, listed(room.rooms)),
                ));
            }
            if dependency.name.starts_with(SDK) && !sdk_allowed(room, dependency) {
                violations.push(Violation::new(
                    &package.name,
                    format!(
                        "must not depend on {}: SDKs live behind the adapters of other rooms",
                        dependency.name
                    ),
                ));
            }
        }
    }
    violations
}

fn sdk_allowed(room: &Room, dependency: &Dependency) -> bool {
    if dependency.dev { room.sdk_in_tests } else { room.sdk }
}

fn listed(rooms: &[&str]) -> String {
    if rooms.is_empty() { "no other room".into() } else { rooms.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{Dependency, Package, ROOMS, check};

    /// A workspace with exactly the allowed arrows, and one more.
    fn workspace_with(from: &str, to: &str, dev: bool) -> Vec<Package> {
        let mut packages: Vec<Package> = ROOMS
            .iter()
            .map(|room| Package {
                name: room.name.into(),
                folder: String::new(),
                dependencies: room
                    .rooms
                    .iter()
                    .map(|name| Dependency { name: (*name).into(), dev: false })
                    .collect(),
            })
            .collect();
        let package = packages.iter_mut().find(|package| package.name == from).unwrap();
        package.dependencies.push(Dependency { name: to.into(), dev });
        packages
    }

    fn found(from: &str, to: &str, dev: bool) -> usize {
        check(&workspace_with(from, to, dev)).len()
    }

    #[test]
    fn the_allowed_arrows_are_allowed() {
        assert_eq!(found("streamio-local", "serde", false), 0);
        assert_eq!(found("streamio-edge", "streamio-events", true), 0);
        assert_eq!(found("streamio-events", "streamio-events", true), 0);
    }

    #[test]
    fn edge_core_and_worker_never_import_each_other_not_even_in_tests() {
        let three = ["streamio-core", "streamio-edge", "streamio-worker"];
        for from in three {
            for to in three.iter().filter(|to| **to != from) {
                for dev in [false, true] {
                    assert_eq!(found(from, to, dev), 1, "{from} -> {to}");
                }
            }
        }
    }

    #[test]
    fn lambdas_imports_neither_edge_nor_worker_and_only_the_emulator_imports_lambdas() {
        for (from, to) in [("streamio-lambdas", "streamio-edge"), ("streamio-lambdas", "streamio-worker")] {
            assert_eq!(found(from, to, true), 1, "{from} -> {to}");
        }
        for room in
            ROOMS.iter().filter(|room| !["streamio-lambdas", "streamio-emulator"].contains(&room.name))
        {
            assert_eq!(found(room.name, "streamio-lambdas", false), 1, "{}", room.name);
        }
    }

    #[test]
    fn no_package_imports_the_emulator() {
        for room in ROOMS.iter().filter(|room| room.name != "streamio-emulator") {
            assert_eq!(found(room.name, "streamio-emulator", true), 1, "{}", room.name);
        }
    }

    #[test]
    fn events_imports_no_room() {
        for to in ROOMS.iter().filter(|room| room.name != "streamio-events") {
            assert_eq!(found("streamio-events", to.name, false), 1, "{}", to.name);
        }
    }

    #[test]
    fn nobody_imports_xtask_and_xtask_imports_no_product_code() {
        for room in ROOMS.iter().filter(|room| room.name != "xtask") {
            assert_eq!(found(room.name, "xtask", true), 1, "{}", room.name);
            assert_eq!(found("xtask", room.name, false), 1, "{}", room.name);
        }
    }

    #[test]
    fn the_cli_reaches_the_other_rooms_through_local_only() {
        for to in ["streamio-core", "streamio-edge", "streamio-lambdas", "streamio-worker"] {
            assert_eq!(found("streamio", to, false), 1, "{to}");
        }
    }

    #[test]
    fn an_sdk_is_only_where_adapters_are_and_in_tests_that_are_clients() {
        for from in ["streamio-events", "streamio-lambdas", "streamio-worker"] {
            assert_eq!(found(from, "aws-sdk-s3", false), 0, "{from}");
        }
        assert_eq!(found("streamio-local", "aws-sdk-s3", true), 0);
        for (from, dev) in
            [("streamio-local", false), ("streamio", false), ("streamio-edge", true), ("streamio-core", true)]
        {
            let violations = check(&workspace_with(from, "aws-sdk-s3", dev));
            assert_eq!(violations.len(), 1, "{from}");
            assert!(violations[0].message.contains("aws-sdk-s3"));
        }
    }

    #[test]
    fn a_new_package_must_be_given_its_place() {
        let mut packages = workspace_with("xtask", "serde", false);
        packages.push(Package { name: "streamio-new".into(), folder: "new".into(), dependencies: vec![] });
        let violations = check(&packages);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].to_string().starts_with("streamio-new: a package without a place"));
    }
}
