#!/usr/bin/env bash
# Makes server/api.html of server/openapi.json: the same, for people, without scripts. Prints it. usage: api-page.sh
set -euo pipefail
cd "$(dirname "$0")/.."
jq -r '
. as $doc
| def named: if has("$ref") then (.["$ref"] | split("/")[1:]) as $path | $doc | getpath($path) else . end;
  def kind: (.schema // {}) | named | if .type == "array" then "list" else (.type // "") end;
  def parameter: named
    | "<tr><td><code>\(.name | @html)</code></td><td>\(.in)</td><td>\(kind)</td><td>\(.description // "" | @html)</td></tr>";
  def operation($path; $method):
    "<section><h3><code>\($method | ascii_upcase) \($path | @html)</code></h3>\n<p>\(.summary | @html)</p>",
    (if .description then "<p>\(.description | @html)</p>" else empty end),
    (if .parameters then "<table>", (.parameters[] | parameter), "</table>" else empty end),
    (if .requestBody then "<p>Body: " + ([.requestBody.content | keys[] | "<code>\(. | @html)</code>"] | join(", ")) + "</p>" else empty end),
    "<p>Answers: " + ([.responses | to_entries[] | "<b>\(.key)</b> \(.value | named | .description | @html)"] | join(" ")) + "</p></section>";
  "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
  "<title>\(.info.title | @html) API</title>",
  "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}table{border-collapse:collapse;width:100%}td{border-top:1px solid #ccc;padding:.2rem .8rem .2rem 0;vertical-align:top}code{font-size:.95em}section{border-top:2px solid #888;margin-top:1.5rem}a{color:#0645ad}</style>",
  "</head>\n<body>\n<h1>\(.info.title | @html) API</h1>\n<p>\(.info.description | @html) <a href=\"api\">The same for programs.</a></p>",
  (.tags[] as $tag | "<h2>\($tag.name | @html)</h2>\n<p>\($tag.description | @html)</p>",
    (.paths | to_entries[] | .key as $path | .value | to_entries[]
      | select(.value.tags[0] == $tag.name) | .key as $method | .value | operation($path; $method))),
  "</body>\n</html>"
' server/openapi.json
