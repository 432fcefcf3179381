/** A time: a `Date`, or a number of Unix seconds. Fractions of a second are truncated. */
export type Moment = Date | number;

/** The options of {@link presignPut}. */
export interface PresignPutOptions {
  /** The URL of the S3 service, such as `https://s3.eu-west-1.amazonaws.com`. It may have a base path. */
  endpoint: string;
  /** The region in the scope of the signature. */
  region: string;
  /** The name of the bucket. */
  bucket: string;
  /** The key of the object, not encoded, 1 to 1,024 bytes of UTF-8. */
  key: string;
  /** Use `https://host/bucket/key` instead of `https://bucket.host/key`, for local servers and names with dots. */
  pathStyle?: boolean;
  /** The access key ID. */
  accessKeyId: string;
  /** The secret access key. It needs the permission `s3:PutObject` on the object. */
  secretAccessKey: string;
  /** The session token of temporary credentials. */
  sessionToken?: string;
  /** The lifetime of the URL in seconds, 1 to 604,800. The upload must begin within it. */
  expiresIn: number;
  /** Headers that the upload must have with exactly these values, such as `content-type` or `if-none-match: *`. */
  headers?: Record<string, string>;
  /** The start of the lifetime. The default is the current time. */
  now?: Moment;
}

/** A presigned upload. */
export interface PresignedPut {
  /** The URL for the PUT request. Anyone who has it can upload: treat it as a secret. */
  url: string;
  /** The headers to send: those of the options. */
  headers: Record<string, string>;
}

/**
 * Presigns the PUT of one object (AWS Signature Version 4, in the query).
 * @throws {TypeError} if an option is missing, unknown or invalid. The message names the option and not its value.
 */
export function presignPut(options: PresignPutOptions): PresignedPut;

/** The options that both forms of {@link SignPlaybackOptions} have. */
export interface PlaybackConditions {
  /** CloudFront's id of the public key. */
  keyPairId: string;
  /** The private key in PEM, not encrypted: RSA with 2,048 bits, or ECDSA with P-256, which is many times faster. */
  privateKey: string;
  /** When the permission ends. CloudFront supports times before 2038-01-19T03:14:08Z. */
  expiresAt: Moment;
  /** When the permission begins. The default is immediately. */
  startsAt?: Moment;
  /** The IPv4 address, or the network in CIDR notation, that the permission is limited to. */
  ip?: string;
  /** The hash algorithm of the signature. The default is `SHA1`, as in CloudFront. */
  hash?: "SHA1" | "SHA256";
}

/** Options to sign the URL of one file. */
export interface SignFileOptions extends PlaybackConditions {
  /** The percent-encoded URL of the file. */
  url: string;
  resource?: undefined;
}

/** Options to sign a policy for many files. */
export interface SignFilesOptions extends PlaybackConditions {
  /** A pattern of the URLs, in which `*` matches any text and `?` any single character. */
  resource: string;
  /** The URL of one of the files, to be returned signed, such as the master playlist of an HLS stream. */
  url?: string;
}

/** The options of {@link signPlayback}: `url` for one file, or `resource` for many, optionally with the `url` of one. */
export type SignPlaybackOptions = SignFileOptions | SignFilesOptions;

/** A signed permission, as query parameters and as cookies. Treat both as secrets. */
export interface SignedPlayback {
  /** The query parameters without `?`, to be appended to the URL of any file that the permission covers. */
  query: string;
  /** The values of the cookies, by name. The caller chooses their domain, path and flags. */
  cookies: Record<string, string>;
}

/**
  * Signs a permission for CloudFront: a canned policy for one file without conditions, otherwise a custom policy.
  * The result has `url` if the options have it.
  * @throws {TypeError} if an option is missing, unknown or invalid. The message names the option and not its value.
 */
export function signPlayback(options: (SignFileOptions | SignFilesOptions) & { url: string }): SignedPlayback & {
  /** The signed URL. */
  url: string;
};
export function signPlayback(options: SignPlaybackOptions): SignedPlayback & { url?: string };

/** The options of {@link verifyPlayback}: one public key for any key pair id, or several keys by key pair id. */
export type VerifyPlaybackOptions = {
  /** The signed URL, as a viewer requests it. */
  url: string;
  /** The time to verify for. The default is the current time. */
  now?: Moment;
  /** The IP address of the viewer. Without it, a permission that is limited to a network is invalid: `address-needed`. */
  ip?: string;
} & (
  | {
      /** The public key in PEM, for any key pair id. */
      publicKey: string;
      keys?: undefined;
    }
  | {
      /** Public keys in PEM, by key pair id. */
      keys: Record<string, string>;
      publicKey?: undefined;
    }
);

/** Why a URL is invalid. */
export type Reason =
  | "not-signed"
  | "malformed"
  | "unknown-key-pair"
  | "bad-signature"
  | "not-covered"
  | "expired"
  | "not-yet-valid"
  | "other-address"
  | "address-needed";

/** The result for a valid URL. */
export interface ValidPlayback {
  valid: true;
  /** The key pair id of the signature. */
  keyPairId: string;
  /** The hash algorithm of the signature. */
  hash: "SHA1" | "SHA256";
  /** The URL or pattern that was signed. */
  resource: string;
  /** When the permission ends, in Unix seconds. */
  expiresAt: number;
  /** When the permission begins, in Unix seconds, if the policy has a start. */
  startsAt?: number;
  /** The network that the permission is limited to, if the policy has one. */
  ip?: string;
}

/** The result for an invalid URL. */
export interface InvalidPlayback {
  valid: false;
  /** The reason, for programs. */
  reason: Reason;
  /** The reason, for people. It does not contain the signature. */
  message: string;
}

/**
 * Verifies a signed URL as CloudFront does: signature, policy, time and address.
  * @throws {TypeError} if an option is missing, unknown or invalid. An invalid URL is a result and not an error.
 */
export function verifyPlayback(options: VerifyPlaybackOptions): ValidPlayback | InvalidPlayback;
