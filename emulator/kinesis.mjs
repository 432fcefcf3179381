// Kinesis of the emulated cloud: kinesalite, in memory, on the loopback interface.
//
//   node kinesis.mjs PORT
//
// It ends with whoever started it (see the shell around it in events/src/emulators.rs).

import kinesalite from "kinesalite";

const port = Number(process.argv[2]);
if (!Number.isInteger(port)) {
  process.stderr.write("usage: node kinesis.mjs PORT\n");
  process.exit(2);
}
// A stream is there at once, not after half a second.
kinesalite({ createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 100 }).listen(port, "127.0.0.1");
