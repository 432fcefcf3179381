// The emulated Kinesis: kinesalite, in memory, on the loopback interface.
//
//   node kinesis.mjs PORT
//
// The shell script around it in events/src/emulators.rs stops it when the process that started it ends.

import kinesalite from "kinesalite";

const port = Number(process.argv[2]);
if (!Number.isInteger(port)) {
  process.stderr.write("usage: node kinesis.mjs PORT\n");
  process.exit(2);
}
// Streams become active immediately instead of after half a second.
kinesalite({ createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 100 }).listen(port, "127.0.0.1");
