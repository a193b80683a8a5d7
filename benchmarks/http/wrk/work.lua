-- Sends what a file holds, line by line, and says as one line of JSON how it went.
--   work.lua GET paths.txt
--   work.lua POST bodies.txt /path key-prefix      each with an Idempotency-Key of its own

local prepared, bodies, sent = {}, {}, 0
local path, prefix

function init(args)
  for line in io.lines(args[2]) do
    if args[1] == "GET" then
      prepared[#prepared + 1] = wrk.format("GET", line)
    else
      bodies[#bodies + 1] = line
    end
  end
  path, prefix = args[3], args[4]
end

function request()
  sent = sent + 1
  if #prepared > 0 then
    return prepared[sent % #prepared + 1]
  end
  wrk.headers["Idempotency-Key"] = prefix .. sent
  return wrk.format("POST", path, wrk.headers, bodies[sent % #bodies + 1])
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
