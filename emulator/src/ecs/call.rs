//! The calls of the API, in the protocol AWS JSON 1.1.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::container;
use super::inputs::{DescribeTasks, ListTasks, RunTask, StopTask};
use super::shared::{EcsError, Run, Shared};
use super::task::{RunParameters, State, Status, StopCode, epoch};
use crate::arn::arn;
use crate::fault_proxy::operation;
use crate::request_id::request_id;

/// The maximum length of `overrides`, in characters.
const MAX_OVERRIDES: usize = 8192;
/// The maximum number of tasks of one `RunTask`.
const MAX_COUNT: usize = 10;
/// The maximum number of tasks of one `DescribeTasks`, and of a page of `ListTasks`.
const MAX_TASKS: usize = 100;
/// The maximum length of a client token.
const MAX_TOKEN: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// An error response: the exception's name, its message, and `resourceIds`.
struct ApiError {
    kind: &'static str,
    message: String,
    resource_ids: Vec<String>,
}

fn api_error<T>(kind: &'static str, message: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError { kind, message: message.into(), resource_ids: Vec::new() })
}

/// Returns the response to a call.
pub(super) fn respond(shared: &Arc<Shared>, request: &Request<Bytes>) -> Response<Bytes> {
    let body = request.body();
    let result = match operation(request.headers()).as_str() {
        "RunTask" => parse(body).and_then(|(input, value)| run_task(shared, input, value)),
        "DescribeTasks" => parse(body).and_then(|(input, _)| describe_tasks(shared, input)),
        "ListTasks" => parse(body).and_then(|(input, _)| list_tasks(shared, &input)),
        "StopTask" => parse(body).and_then(|(input, _)| stop_task(shared, input)),
        other => api_error("UnknownOperationException", format!("{other} is not emulated")),
    };
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err(ApiError { kind, message, resource_ids }) => {
            let mut body = json!({ "__type": kind, "message": message });
            if !resource_ids.is_empty() {
                body["resourceIds"] = json!(resource_ids);
            }
            (StatusCode::BAD_REQUEST, body)
        }
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Ok(id) = HeaderValue::from_str(&request_id()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<(T, Value), ApiError> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return api_error("SerializationException", error.to_string()),
    };
    match serde_json::from_value(value.clone()) {
        Ok(input) => Ok((input, value)),
        Err(error) => api_error("InvalidParameterException", error.to_string()),
    }
}

impl Shared {
    fn check_cluster(&self, cluster: Option<&str>) -> Result<(), ApiError> {
        let named = cluster.unwrap_or("default");
        if named == self.config.cluster || named == self.cluster_arn() {
            Ok(())
        } else {
            api_error("ClusterNotFoundException", "Cluster not found.")
        }
    }

    fn check_run(&self, input: &RunTask, parameters: &Value) -> Result<(), ApiError> {
        self.check_cluster(input.cluster.as_deref())?;
        let definition = &self.config.definition;
        let names = [definition.family.clone(), format!("{}:1", definition.family), definition.arn()];
        if !names.contains(&input.task_definition) {
            return api_error("ClientException", "Unable to describe task definition.");
        }
        if !(1..=MAX_COUNT).contains(&input.count.unwrap_or(1)) {
            return api_error("InvalidParameterException", "count should be between 1 and 10.");
        }
        if input.launch_type.is_some() && !input.capacity_provider_strategy.is_empty() {
            return api_error(
                "InvalidParameterException",
                "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
            );
        }
        let subnets = input.network_configuration.as_ref();
        let subnets = subnets.and_then(|it| it["awsvpcConfiguration"]["subnets"].as_array());
        if subnets.is_none_or(Vec::is_empty) {
            return api_error(
                "InvalidParameterException",
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            );
        }
        if parameters["overrides"].to_string().chars().count() > MAX_OVERRIDES {
            return api_error("InvalidParameterException", "Container Overrides length must be at most 8192");
        }
        for container in &input.overrides.container_overrides {
            if container.name != definition.container {
                let message = format!(
                    "Override for container named {} is not a container in the TaskDefinition.",
                    container.name
                );
                return api_error("InvalidParameterException", message);
            }
        }
        let token = input.client_token.as_deref().unwrap_or_default();
        let printable = token.bytes().all(|byte| (33..=126).contains(&byte));
        if token.len() > MAX_TOKEN || !printable {
            return api_error(
                "InvalidParameterException",
                "clientToken must have at most 64 characters, ASCII 33 to 126.",
            );
        }
        Ok(())
    }
}

fn run_task(shared: &Arc<Shared>, input: RunTask, parameters: Value) -> Result<Value, ApiError> {
    shared.check_run(&input, &parameters)?;
    if shared.stop.is_cancelled() {
        return api_error("ServerException", "The service is stopping.");
    }
    let run_parameters = RunParameters {
        capacity_provider: input.capacity_provider_strategy.first().map(|it| it.capacity_provider.clone()),
        environment: input
            .overrides
            .container_overrides
            .into_iter()
            .flat_map(|container| container.environment)
            .map(|variable| (variable.name, variable.value))
            .collect(),
        overrides: parameters.get("overrides").cloned().unwrap_or_else(|| json!({})),
        started_by: input.started_by,
        group: input.group,
    };
    let (mut arns, mut failures) = (Vec::new(), Vec::new());
    {
        // The lock is held from the lookup of the token to its insertion, so that only one of two concurrent calls runs the task.
        let mut tasks = shared.tasks();
        if let Some(run) = input.client_token.as_ref().and_then(|token| tasks.runs.get(token)) {
            if run.parameters != parameters {
                return Err(ApiError {
                    kind: "ConflictException",
                    message: "The request with this clientToken had other parameters.".to_owned(),
                    resource_ids: run.tasks.clone(),
                });
            }
            let same: Vec<Value> =
                run.tasks.iter().filter_map(|arn| Some(tasks.find(arn)?.json(epoch))).collect();
            return Ok(json!({ "tasks": same, "failures": [] }));
        }
        for _ in 0..input.count.unwrap_or(1) {
            if tasks.placement_failures.is_empty() {
                let state = State::new(&shared.config, shared.cluster_arn(), run_parameters.clone());
                arns.push(state.arn.clone());
                tasks.all.push(state);
            } else {
                let reason = tasks.placement_failures.remove(0);
                failures.push(json!({ "arn": arn("ecs", "container-instance/none"), "reason": reason }));
            }
        }
        if let Some(token) = input.client_token.filter(|_| !arns.is_empty()) {
            tasks.runs.insert(token, Run { parameters, tasks: arns.clone() });
        }
    }
    let mut started = Vec::new();
    for arn in arns {
        shared.change(&arn, |_| {});
        started.extend(shared.tasks().find(&arn).map(|state| state.json(epoch)));
        shared.running.spawn(container::run_task(Arc::clone(shared), arn));
    }
    Ok(json!({ "tasks": started, "failures": failures }))
}

fn describe_tasks(shared: &Shared, input: DescribeTasks) -> Result<Value, ApiError> {
    shared.check_cluster(input.cluster.as_deref())?;
    if !(1..=MAX_TASKS).contains(&input.tasks.len()) {
        return api_error("InvalidParameterException", "Tasks must have 1 to 100 items.");
    }
    let tasks = shared.tasks();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for task in input.tasks {
        match tasks.find(&task) {
            Some(state) => found.push(state.json(epoch)),
            None => failures.push(json!({ "arn": task, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "tasks": found, "failures": failures }))
}

fn list_tasks(shared: &Shared, input: &ListTasks) -> Result<Value, ApiError> {
    shared.check_cluster(input.cluster.as_deref())?;
    let after: usize = match input.next_token.as_deref().unwrap_or("0").parse() {
        Ok(after) => after,
        Err(_) => return api_error("InvalidParameterException", "Invalid token."),
    };
    let limit = input.max_results.unwrap_or(MAX_TASKS);
    if !(1..=MAX_TASKS).contains(&limit) {
        return api_error("InvalidParameterException", "maxResults should be between 1 and 100.");
    }
    let stopped = input.desired_status.as_deref() == Some("STOPPED");
    let family = &shared.config.definition.family;
    let tasks = shared.tasks();
    let mut wanted = tasks.all.iter().filter(|state| {
        (state.desired == Status::Stopped) == stopped
            && input.family.as_ref().is_none_or(|wanted| wanted == family)
            && input.started_by.as_ref().is_none_or(|by| state.parameters.started_by.as_ref() == Some(by))
    });
    let page: Vec<&str> = wanted.by_ref().skip(after).take(limit).map(|state| state.arn.as_str()).collect();
    let mut response = json!({ "taskArns": page });
    if wanted.next().is_some() {
        response["nextToken"] = json!((after + limit).to_string());
    }
    Ok(response)
}

fn stop_task(shared: &Shared, input: StopTask) -> Result<Value, ApiError> {
    shared.check_cluster(input.cluster.as_deref())?;
    let reason = input.reason.unwrap_or_else(|| "Task stopped by user".to_owned());
    match shared.stop_task(&input.task, StopCode::UserInitiated, reason) {
        Ok(state) => Ok(json!({ "task": state.json(epoch) })),
        Err(EcsError::NoTask(_) | EcsError::NoProcess(_) | EcsError::Signal { .. }) => {
            api_error("InvalidParameterException", "The referenced task was not found.")
        }
    }
}
