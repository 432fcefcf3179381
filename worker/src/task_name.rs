//! The name by which a worker is known in events. The fence rests on it: no two workers may have the same, and in a task of
//! ECS it must be the one that ECS speaks of when the task ends.

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

/// How long ECS's metadata may take: they come from the machine itself.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: u32 = 3;
/// More than the metadata of a task have.
const MOST_BYTES: usize = 1024 * 1024;

/// The worker's name. Where ECS does not tell it, the worker makes one up: its end is then noticed by its silence only.
pub(crate) async fn of(name: &TaskName) -> String {
    match name {
        TaskName::Given(name) => name.clone(),
        TaskName::MadeUp => made_up(),
        TaskName::OfEcs(metadata) => {
            for _ in 0..TRIES {
                let answer = tokio::time::timeout(PATIENCE, task_arn(metadata)).await;
                match answer.map_err(BoxError::from).flatten() {
                    Ok(arn) => return arn,
                    Err(error) => {
                        tracing::warn!(
                            error = &*error as &dyn std::error::Error,
                            "ECS does not tell which task this is"
                        );
                    }
                }
            }
            made_up()
        }
    }
}

/// In a container, every worker is process 1.
fn made_up() -> String {
    let mut random = [0; 8];
    // Without randomness there is the clock, which no two starts share.
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

/// Asks the task metadata endpoint, version 4
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>).
async fn task_arn(metadata: &Url) -> Result<String, BoxError> {
    let host = metadata.host_str().ok_or("the address has no host")?;
    let stream = TcpStream::connect((host, metadata.port_or_known_default().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("{}/task", metadata.path().trim_end_matches('/')))
        .header(http::header::HOST, host)
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(format!("the answer is {}", answer.status()).into());
    }
    let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await?.to_bytes();
    connection.abort();
    Ok(serde_json::from_slice::<Metadata>(&body)?.task_arn)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// As recorded on Fargate, shortened.
    const RECORDED: &str = r#"{"Cluster":"arn:aws:ecs:eu-central-1:111122223333:cluster/streamio",
        "TaskARN":"arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb40f1f4fe4a2971f76ae5a47ad",
        "Family":"streamio-worker","Revision":"7","DesiredStatus":"RUNNING","KnownStatus":"RUNNING",
        "Containers":[{"DockerId":"c13b4cb40f1f4fe4a2971f76ae5a47ad-265927825","Name":"worker"}],"LaunchType":"FARGATE"}"#;

    /// Answers every request so, and tells the request lines.
    async fn answering(
        status: &'static str,
        body: &'static str,
    ) -> (Url, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v4/c13b4cb4-1234", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut lines = Vec::new();
            for _ in 0..if status.starts_with('2') { 1 } else { TRIES } {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                lines.push(request.lines().next().unwrap().to_owned());
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            lines
        });
        (address.parse().unwrap(), task)
    }

    #[tokio::test]
    async fn in_a_task_of_ecs_the_name_is_its_arn() {
        let (metadata, asked) = answering("200 OK", RECORDED).await;
        assert_eq!(
            of(&TaskName::OfEcs(metadata)).await,
            "arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb40f1f4fe4a2971f76ae5a47ad"
        );
        assert_eq!(asked.await.unwrap(), ["GET /v4/c13b4cb4-1234/task HTTP/1.1"]);
    }

    #[tokio::test]
    async fn where_ecs_does_not_tell_the_name_is_nobody_elses() {
        let (metadata, asked) = answering("500 Internal Server Error", "").await;
        let name = of(&TaskName::OfEcs(metadata)).await;
        assert_eq!(asked.await.unwrap().len(), 3);
        assert!(name.starts_with("process "), "{name}");
        assert_ne!(name, of(&TaskName::MadeUp).await);
    }
}
