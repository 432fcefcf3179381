/** A moment: a `Date`, or a number of Unix seconds. Signatures know whole seconds; fractions are dropped. */
export type Moment = Date | number;

/** The options of {@link presignPut}. */
export interface PresignPutOptions {
  /** The URL of the S3 service, with a base path where it has one: `https://s3.eu-west-1.amazonaws.com`. */
  endpoint: string;
  /** The region that the signature names. */
  region: string;
  /** The bucket's name. */
  bucket: string;
  /** The object's key, not encoded, 1 to 1,024 bytes of UTF-8. */
  key: string;
  /** `https://host/bucket/key` instead of `https://bucket.host/key`: for local servers and names with dots. */
  pathStyle?: boolean;
  /** The public half of the access key. */
  accessKeyId: string;
  /** The secret half of the access key. It needs `s3:PutObject` on the object. */
  secretAccessKey: string;
  /** What temporary credentials come with. */
  sessionToken?: string;
  /** How many seconds the URL lives, 1 to 604,800. The upload must begin within them. */
  expiresIn: number;
  /** Headers that the upload must carry exactly so, such as `content-type` or `if-none-match: *`. */
  headers?: Record<string, string>;
  /** When the URL's life begins. Now, unless given. */
  now?: Moment;
}

/** A presigned upload. */
export interface PresignedPut {
  /** The URL to PUT to. Whoever has it may use it: treat it as a secret. */
  url: string;
  /** The headers to send with it: those of the options. */
  headers: Record<string, string>;
}

/**
 * Signs a URL with which anyone may PUT one object (AWS Signature Version 4, in the query).
 * @throws {TypeError} naming the option that is missing, unknown or wrong, and never its value.
 */
export function presignPut(options: PresignPutOptions): PresignedPut;

/** What is common to both forms of {@link SignPlaybackOptions}. */
export interface PlaybackConditions {
  /** The id under which CloudFront knows the public key. */
  keyPairId: string;
  /** The private key in PEM, not encrypted: RSA of 2,048 bits, or ECDSA on P-256, which is many times faster. */
  privateKey: string;
  /** When the permission ends: before 2038-01-19T03:14:08Z, where CloudFront's time ends. */
  expiresAt: Moment;
  /** When the permission begins. At once, unless given. */
  startsAt?: Moment;
  /** The only IPv4 address, or network in CIDR form, that it is for. */
  ip?: string;
  /** The hash that is signed. `SHA1` unless given, which is what CloudFront assumes. */
  hash?: "SHA1" | "SHA256";
}

/** One file. */
export interface SignFileOptions extends PlaybackConditions {
  /** The file's URL, percent-encoded. */
  url: string;
  resource?: undefined;
}

/** Many files. */
export interface SignFilesOptions extends PlaybackConditions {
  /** A pattern for the files' URLs, in which `*` stands for any text and `?` for one character. */
  resource: string;
  /** One of the files, whose signed URL is wanted: an HLS stream's master playlist. */
  url?: string;
}

/** The options of {@link signPlayback}: `url` for one file, `resource` for many, with `url` for one of them. */
export type SignPlaybackOptions = SignFileOptions | SignFilesOptions;

/** A signed permission, in the forms in which it travels. All of them are secrets. */
export interface SignedPlayback {
  /** The parameters alone, without `?`, to be appended to the URL of any file that the permission covers. */
  query: string;
  /** Cookies by name; their domain, path and flags are yours to choose. */
  cookies: Record<string, string>;
}

/**
 * Signs a permission for CloudFront: a canned policy for one file without conditions, a custom policy for all else.
 * The answer has `url` where the options have it.
 * @throws {TypeError} naming the option that is missing, unknown or wrong, and never its value.
 */
export function signPlayback(options: (SignFileOptions | SignFilesOptions) & { url: string }): SignedPlayback & {
  /** The URL of the options, signed. */
  url: string;
};
export function signPlayback(options: SignPlaybackOptions): SignedPlayback & { url?: string };

/** The options of {@link verifyPlayback}: one public key for any id, or several by the ids of their pairs. */
export type VerifyPlaybackOptions = {
  /** The signed URL, as a viewer would request it. */
  url: string;
  /** The moment to verify for. Now, unless given. */
  now?: Moment;
  /** The viewer's address. Without it a permission for one network is `address-needed`. */
  ip?: string;
} & (
  | {
      /** The public key in PEM, whatever the URL's key pair id. */
      publicKey: string;
      keys?: undefined;
    }
  | {
      /** Public keys in PEM by key pair id. */
      keys: Record<string, string>;
      publicKey?: undefined;
    }
);

/** Why a URL does not open its file. */
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

/** The URL opens its file. */
export interface ValidPlayback {
  valid: true;
  /** Whose signature it is. */
  keyPairId: string;
  /** The hash under the signature. */
  hash: "SHA1" | "SHA256";
  /** The URL or pattern that was signed. */
  resource: string;
  /** When the permission ends, in Unix seconds. */
  expiresAt: number;
  /** When it began, in Unix seconds, where the policy says so. */
  startsAt?: number;
  /** The only network that it is for, where the policy says so. */
  ip?: string;
}

/** The URL does not open its file. */
export interface InvalidPlayback {
  valid: false;
  /** For programs. */
  reason: Reason;
  /** For people. Nothing of the signature is in it. */
  message: string;
}

/**
 * Verifies a signed URL as CloudFront does: signature, policy, time and address.
 * @throws {TypeError} naming the option that is missing, unknown or wrong; what is wrong with the URL is an answer.
 */
export function verifyPlayback(options: VerifyPlaybackOptions): ValidPlayback | InvalidPlayback;
