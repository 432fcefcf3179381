// The single operations of the edge, which its build with probes exports.
import * as ours from "./index.js";
import { PLAYLIST } from "./cdn.mjs";
import { perform } from "./operations.mjs";

export default perform({
  presign: (count, env) => ours.benchPresign(count, env),
  "sign-ecdsa": (count, env) => ours.benchSignPolicy("ecdsa", count, env),
  "sign-rsa": (count, env) => ours.benchSignPolicy("rsa", count, env),
  "rewrite-playlist": (count) => ours.benchRewritePlaylist(count, PLAYLIST),
  "sign-shared": (count, env) => ours.benchSharedPolicy(count, env),
});
