-- wrk's side of bench/serve.py: POST /search by stored item, another one each time; percentiles of accepted requests alone.
local ids = {}
local path = os.getenv("SERVE_PATH") or "/search"
for line in io.lines(os.getenv("SERVE_IDS")) do ids[#ids + 1] = line end

local next_id = 0
function setup(thread)
    thread:set("first", next_id)
    next_id = next_id + 7919
end

function init(args)
    at = first
end

function request()
    if path ~= "/search" then return wrk.format("GET", path) end
    at = at + 1
    local item = ids[at % #ids + 1]
    return wrk.format("POST", "/search", {["Content-Type"] = "application/json"},
        '{"similarity":{"item":"' .. item .. '","k":10}}')
end

function done(summary, latency, requests)
    io.write(string.format("RESULT %d %d %.0f %.0f %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), summary.errors.status,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
