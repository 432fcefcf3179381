//! S3's limits on objects.

/// The longest key, in bytes of UTF-8: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
pub const MAX_KEY_BYTES: usize = 1024;

/// The largest body of one `PutObject` or `UploadPart`, in bytes (5 GiB):
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
pub const MAX_PUT_BYTES: u64 = 5 << 30;
