//! The error responses of the services.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::request_id::request_id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A service with an AWS JSON protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon DynamoDB, with its streams.
    DynamoDb,
    /// Amazon Kinesis Data Streams.
    Kinesis,
    /// Amazon Elastic Container Service.
    Ecs,
    /// Amazon Simple Queue Service.
    Sqs,
}

impl Service {
    /// Returns the response to a throttled request. SDKs retry after it.
    pub(super) fn throttled(self) -> Response<Bytes> {
        let (kind, message) = match self {
            // <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
            Self::DynamoDb => (
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.",
            ),
            // <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
            Self::Kinesis => ("ProvisionedThroughputExceededException", "Rate exceeded for stream."),
            // <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html>
            Self::Ecs => ("ThrottlingException", "Rate exceeded"),
            // <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
            Self::Sqs => ("com.amazonaws.sqs#RequestThrottled", "Rate exceeded"),
        };
        self.error(StatusCode::BAD_REQUEST, kind, message)
    }

    /// Returns an error response of the service.
    pub(super) fn error(self, status: StatusCode, kind: &str, message: &str) -> Response<Bytes> {
        let body = json!({ "__type": kind, "message": message });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        if let Ok(id) = HeaderValue::from_str(&request_id()) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::DynamoDb | Self::Sqs => "application/x-amz-json-1.0",
            Self::Kinesis | Self::Ecs => "application/x-amz-json-1.1",
        }
    }
}
