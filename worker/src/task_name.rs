//! Determines the worker's name in events. Fencing depends on it: it must be unique, and in an ECS task it must be the task's
//! ARN, which ECS reports when the task ends.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use url::Url;

use crate::settings::TaskName;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Timeout of a request to the metadata endpoint, which is on the same machine.
const TIMEOUT: Duration = Duration::from_secs(2);
const MAX_TRIES: u32 = 3;
/// Upper bound of the metadata's size.
const MAX_BYTES: usize = 1024 * 1024;

/// Returns the worker's name. If the ECS metadata endpoint fails, the name is random, and the end of the worker is then
/// detected only by its missing heartbeat.
pub(crate) async fn resolve(name: &TaskName) -> String {
    match name {
        TaskName::Given(name) => name.clone(),
        TaskName::MadeUp => random_name(),
        TaskName::OfEcs(metadata) => {
            for _ in 0..MAX_TRIES {
                let result = tokio::time::timeout(TIMEOUT, task_arn(metadata)).await;
                match result.map_err(BoxError::from).flatten() {
                    Ok(arn) => return arn,
                    Err(error) => {
                        tracing::warn!(
                            error = &*error as &dyn std::error::Error,
                            "cannot read the ECS task metadata"
                        );
                    }
                }
            }
            random_name()
        }
    }
}

/// A random name. The process id alone is not unique: in a container, every worker is process 1.
fn random_name() -> String {
    let mut random = [0; 8];
    // If the system has no randomness, use the clock.
    if getrandom::fill(&mut random).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        random = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).to_be_bytes();
    }
    format!("process {} {:016x}", std::process::id(), u64::from_be_bytes(random))
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "TaskARN")]
    task_arn: String,
}

/// Reads the task's ARN from the task metadata endpoint, version 4
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>).
async fn task_arn(metadata: &Url) -> Result<String, BoxError> {
    let host = metadata.host_str().ok_or("the address has no host")?;
    let stream = TcpStream::connect((host, metadata.port_or_known_default().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("{}/task", metadata.path().trim_end_matches('/')))
        .header(http::header::HOST, host)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(format!("the response status is {}", response.status()).into());
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await?.to_bytes();
    connection.abort();
    Ok(serde_json::from_slice::<Metadata>(&body)?.task_arn)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A response recorded on Fargate, shortened.
    const RECORDED: &str = r#"{"Cluster":"arn:aws:ecs:eu-central-1:111122223333:cluster/streamio",
        "TaskARN":"arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb40f1f4fe4a2971f76ae5a47ad",
        "Family":"streamio-worker","Revision":"7","DesiredStatus":"RUNNING","KnownStatus":"RUNNING",
        "Containers":[{"DockerId":"c13b4cb40f1f4fe4a2971f76ae5a47ad-265927825","Name":"worker"}],"LaunchType":"FARGATE"}"#;

    /// A metadata endpoint that responds with `status` and `body`. The task returns the request lines received.
    async fn metadata_endpoint(
        status: &'static str,
        body: &'static str,
    ) -> (Url, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v4/c13b4cb4-1234", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut lines = Vec::new();
            for _ in 0..if status.starts_with('2') { 1 } else { MAX_TRIES } {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                lines.push(request.lines().next().unwrap().to_owned());
                let response = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(response.as_bytes()).await.unwrap();
            }
            lines
        });
        (address.parse().unwrap(), task)
    }

    #[tokio::test]
    async fn in_an_ecs_task_the_name_is_the_tasks_arn() {
        let (metadata, requests) = metadata_endpoint("200 OK", RECORDED).await;
        assert_eq!(
            resolve(&TaskName::OfEcs(metadata)).await,
            "arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb40f1f4fe4a2971f76ae5a47ad"
        );
        assert_eq!(requests.await.unwrap(), ["GET /v4/c13b4cb4-1234/task HTTP/1.1"]);
    }

    #[tokio::test]
    async fn without_ecs_metadata_the_name_is_unique() {
        let (metadata, requests) = metadata_endpoint("500 Internal Server Error", "").await;
        let name = resolve(&TaskName::OfEcs(metadata)).await;
        assert_eq!(requests.await.unwrap().len(), 3);
        assert!(name.starts_with("process "), "{name}");
        assert_ne!(name, resolve(&TaskName::MadeUp).await);
    }
}
