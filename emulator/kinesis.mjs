// The emulated Kinesis: kinesalite, in memory, on a port of the loopback interface that the system chooses. Prints the port when it
// accepts connections.
//
//   node kinesis.mjs
//
// The shell script around it in events/src/emulators.rs stops it when the process that started it ends.

import kinesalite from "kinesalite";

// Streams become active immediately instead of after half a second.
const server = kinesalite({ createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 100 });
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
