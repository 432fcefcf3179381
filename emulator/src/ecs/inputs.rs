//! Request bodies, with the members that the emulation reads:
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Operations.html>.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunTask {
    pub(super) cluster: Option<String>,
    pub(super) task_definition: String,
    pub(super) count: Option<usize>,
    pub(super) client_token: Option<String>,
    pub(super) launch_type: Option<String>,
    #[serde(default)]
    pub(super) capacity_provider_strategy: Vec<CapacityProvider>,
    pub(super) network_configuration: Option<Value>,
    #[serde(default)]
    pub(super) overrides: Overrides,
    pub(super) started_by: Option<String>,
    pub(super) group: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CapacityProvider {
    pub(super) capacity_provider: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Overrides {
    pub(super) container_overrides: Vec<ContainerOverride>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerOverride {
    pub(super) name: String,
    #[serde(default)]
    pub(super) environment: Vec<Variable>,
}

#[derive(Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Deserialize)]
pub(super) struct DescribeTasks {
    pub(super) cluster: Option<String>,
    pub(super) tasks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListTasks {
    pub(super) cluster: Option<String>,
    pub(super) family: Option<String>,
    pub(super) started_by: Option<String>,
    pub(super) desired_status: Option<String>,
    pub(super) max_results: Option<usize>,
    pub(super) next_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct StopTask {
    pub(super) cluster: Option<String>,
    pub(super) task: String,
    pub(super) reason: Option<String>,
}
