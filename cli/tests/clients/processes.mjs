// Processes on this machine, as listed in /proc. Systems without it have none to list.
import { existsSync, readFileSync, readdirSync } from "node:fs";

/** Returns the command lines of all other processes whose command line or environment contains `text`. */
export function processesMentioning(text) {
  if (!existsSync("/proc")) return [];
  const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const read = (id, file) => {
    try {
      return readFileSync(`/proc/${id}/${file}`, "utf8").replaceAll("\0", " ");
    } catch {
      // The process has ended.
      return "";
    }
  };
  // A zombie has no command line.
  return ids.filter((id) => read(id, "cmdline").trim() && (read(id, "cmdline") + read(id, "environ")).includes(text)).map((id) => read(id, "cmdline"));
}
