-- A script for wrk. Sends one request repeatedly, in which "{number}" is replaced by a counter, and prints the result as one line
-- of JSON.
-- Arguments: path and query, body (empty: a GET request), API key.
local before, after
local number = 0

function init(args)
  local headers = { ["x-api-key"] = args[3], ["content-type"] = "application/json" }
  local text
  if args[2] == "" then
    text = wrk.format("GET", args[1], {})
  else
    text = wrk.format("POST", args[1], headers, args[2])
  end
  local from, to = text:find("{number}", 1, true)
  if from then
    before, after = text:sub(1, from - 1), text:sub(to + 1)
  else
    before, after = text, nil
  end
end

-- "{number}" is replaced by eight digits, which have the same length, so that the Content-Length is correct.
function request()
  if not after then return before end
  number = number + 1
  return before .. string.format("%08d", number) .. after
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
