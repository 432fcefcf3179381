//! The allowed dependencies between the packages of the workspace.

use super::crates::{Dependency, Package};
use super::violation::Violation;

/// The allowed dependencies of one package. A new package or dependency has to be added here.
struct Policy {
    name: &'static str,
    /// The packages of the workspace that it may depend on, as normal, build or development dependencies.
    packages: &'static [&'static str],
    /// Whether its product code may use the AWS SDK, in adapter modules.
    sdk: bool,
    /// Whether its tests may use the AWS SDK, as a client of our own servers.
    sdk_in_tests: bool,
}

const POLICIES: &[Policy] = &[
    Policy { name: "streamio-events", packages: &[], sdk: true, sdk_in_tests: true },
    Policy { name: "streamio-edge", packages: &["streamio-events"], sdk: false, sdk_in_tests: false },
    Policy { name: "streamio-core", packages: &["streamio-events"], sdk: false, sdk_in_tests: false },
    Policy {
        name: "streamio-lambdas",
        packages: &["streamio-core", "streamio-events"],
        sdk: true,
        sdk_in_tests: true,
    },
    Policy { name: "streamio-worker", packages: &["streamio-events"], sdk: true, sdk_in_tests: true },
    Policy {
        name: "streamio-local",
        packages: &["streamio-core", "streamio-edge", "streamio-events", "streamio-worker"],
        sdk: false,
        sdk_in_tests: true,
    },
    Policy {
        name: "streamio",
        packages: &["streamio-events", "streamio-lambdas", "streamio-local"],
        sdk: false,
        sdk_in_tests: true,
    },
    // Emulates AWS services and runs all of the product's programs.
    Policy {
        name: "streamio-emulator",
        packages: &[
            "streamio-core",
            "streamio-edge",
            "streamio-events",
            "streamio-lambdas",
            "streamio-local",
        ],
        sdk: true,
        sdk_in_tests: true,
    },
    // Checks the parsers of all packages.
    Policy {
        name: "streamio-fuzz",
        packages: &[
            "streamio-core",
            "streamio-edge",
            "streamio-events",
            "streamio-lambdas",
            "streamio-local",
            "streamio-worker",
        ],
        sdk: false,
        sdk_in_tests: false,
    },
    Policy { name: "xtask", packages: &[], sdk: false, sdk_in_tests: false },
];

const SDK: &str = "aws-sdk-";

/// Checks every dependency between packages, and where the AWS SDK is used.
pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(policy) = POLICIES.iter().find(|policy| policy.name == package.name) else {
            violations.push(Violation::new(
                &package.name,
                "has no dependency policy: add it to xtask/src/rules/dependencies.rs",
            ));
            continue;
        };
        // A package may be its own development dependency, which enables features for its tests.
        let is_member = |name: &str| name != package.name && packages.iter().any(|other| other.name == name);
        for dependency in &package.dependencies {
            if is_member(&dependency.name) && !policy.packages.contains(&dependency.name.as_str()) {
                violations.push(Violation::new(
                    &package.name,
                    format!("must not depend on {}; allowed are: {}", dependency.name, list(policy.packages)),
                ));
            }
            if dependency.name.starts_with(SDK) && !sdk_allowed(policy, dependency) {
                violations.push(Violation::new(
                    &package.name,
                    format!(
                        "must not depend on {}: the AWS SDK is used in adapter modules of other packages",
                        dependency.name
                    ),
                ));
            }
        }
    }
    violations
}

fn sdk_allowed(policy: &Policy, dependency: &Dependency) -> bool {
    if dependency.dev { policy.sdk_in_tests } else { policy.sdk }
}

fn list(packages: &[&str]) -> String {
    if packages.is_empty() { "none".into() } else { packages.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{Dependency, POLICIES, Package, check};

    /// Returns a workspace with all allowed dependencies and one additional dependency.
    fn workspace_with(from: &str, to: &str, dev: bool) -> Vec<Package> {
        let mut packages: Vec<Package> = POLICIES
            .iter()
            .map(|policy| Package {
                name: policy.name.into(),
                folder: String::new(),
                dependencies: policy
                    .packages
                    .iter()
                    .map(|name| Dependency { name: (*name).into(), dev: false })
                    .collect(),
            })
            .collect();
        let package = packages.iter_mut().find(|package| package.name == from).unwrap();
        package.dependencies.push(Dependency { name: to.into(), dev });
        packages
    }

    /// Returns the number of violations that the additional dependency causes.
    fn violations(from: &str, to: &str, dev: bool) -> usize {
        check(&workspace_with(from, to, dev)).len()
    }

    #[test]
    fn allowed_dependencies_are_no_violation() {
        assert_eq!(violations("streamio-local", "serde", false), 0);
        assert_eq!(violations("streamio-edge", "streamio-events", true), 0);
        assert_eq!(violations("streamio-events", "streamio-events", true), 0);
    }

    #[test]
    fn edge_core_and_worker_never_depend_on_each_other_not_even_in_tests() {
        let three = ["streamio-core", "streamio-edge", "streamio-worker"];
        for from in three {
            for to in three.iter().filter(|to| **to != from) {
                for dev in [false, true] {
                    assert_eq!(violations(from, to, dev), 1, "{from} -> {to}");
                }
            }
        }
    }

    #[test]
    fn lambdas_depends_on_neither_edge_nor_worker_and_only_the_cli_and_tests_depend_on_lambdas() {
        const ALLOWED: [&str; 4] = ["streamio", "streamio-lambdas", "streamio-emulator", "streamio-fuzz"];
        for (from, to) in [("streamio-lambdas", "streamio-edge"), ("streamio-lambdas", "streamio-worker")] {
            assert_eq!(violations(from, to, true), 1, "{from} -> {to}");
        }
        for policy in POLICIES.iter().filter(|policy| !ALLOWED.contains(&policy.name)) {
            assert_eq!(violations(policy.name, "streamio-lambdas", false), 1, "{}", policy.name);
        }
    }

    #[test]
    fn no_package_depends_on_the_emulator() {
        for policy in POLICIES.iter().filter(|policy| policy.name != "streamio-emulator") {
            assert_eq!(violations(policy.name, "streamio-emulator", true), 1, "{}", policy.name);
        }
    }

    #[test]
    fn events_depends_on_no_other_package() {
        for to in POLICIES.iter().filter(|policy| policy.name != "streamio-events") {
            assert_eq!(violations("streamio-events", to.name, false), 1, "{}", to.name);
        }
    }

    #[test]
    fn no_package_depends_on_xtask_and_xtask_depends_on_no_product_code() {
        for policy in POLICIES.iter().filter(|policy| policy.name != "xtask") {
            assert_eq!(violations(policy.name, "xtask", true), 1, "{}", policy.name);
            assert_eq!(violations("xtask", policy.name, false), 1, "{}", policy.name);
        }
    }

    #[test]
    fn the_cli_uses_the_other_packages_through_local_and_lambdas_only() {
        for to in ["streamio-core", "streamio-edge", "streamio-worker"] {
            assert_eq!(violations("streamio", to, false), 1, "{to}");
        }
    }

    #[test]
    fn the_sdk_is_used_in_packages_with_adapters_and_in_tests_of_servers() {
        for from in ["streamio-events", "streamio-lambdas", "streamio-worker"] {
            assert_eq!(violations(from, "aws-sdk-s3", false), 0, "{from}");
        }
        assert_eq!(violations("streamio-local", "aws-sdk-s3", true), 0);
        for (from, dev) in
            [("streamio-local", false), ("streamio", false), ("streamio-edge", true), ("streamio-core", true)]
        {
            let violations = check(&workspace_with(from, "aws-sdk-s3", dev));
            assert_eq!(violations.len(), 1, "{from}");
            assert!(violations[0].message.contains("aws-sdk-s3"));
        }
    }

    #[test]
    fn a_new_package_needs_a_policy() {
        let mut packages = workspace_with("xtask", "serde", false);
        packages.push(Package { name: "streamio-new".into(), folder: "new".into(), dependencies: vec![] });
        let violations = check(&packages);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].to_string().starts_with("streamio-new: has no dependency policy"));
    }
}
