"""Rows of measurements: JSON objects, one a line, each with the machine, the version and the command; and tables of them."""

import datetime
import json
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys

signal.signal(signal.SIGTERM, signal.default_int_handler)  # a benchmark that is told to end ends as with Ctrl-C

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        text = file.read()
    model = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"flags\s*: (.*)", text)
    have = set(flags.group(1).split()) if flags else set()
    return dict(cpu=model.group(1).strip() if model else "unknown", cores=len(os.sched_getaffinity(0)),
                features=[f for f in FEATURES if f in have])


def version(build):
    """What the program calls itself, and the commit where the tree is a git checkout."""
    said = subprocess.run([os.path.join(build, "diptych"), "--version"], capture_output=True, text=True, check=False)
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False)
    return " ".join((said.stdout.split() + [""])[1:2] + commit.stdout.split())


class Rows:
    """A file of rows. What was measured before is kept, and found again by the values of `key`."""

    def __init__(self, path, key, common, fresh):
        self.path, self.key, self.common, self.rows = path, key, common, []
        if fresh and os.path.exists(path):
            os.remove(path)
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                lines = file.readlines()
            if lines and not lines[-1].endswith("\n"):  # the machine went down in the middle of it
                with open(path, "w", encoding="ascii") as file:
                    file.writelines(lines[:-1])
                lines.pop()
            self.rows = [json.loads(line) for line in lines]
        self.done = {self.key_of(row) for row in self.rows}

    def key_of(self, row):
        return json.dumps([row.get(k) for k in self.key])

    def has(self, row):
        return self.key_of(dict(self.common, **row)) in self.done

    def add(self, rows):
        """All or none: a run that is interrupted never leaves half of what belongs together."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = [dict(self.common, date=now, load=round(os.getloadavg()[0], 1), **row) for row in rows]
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "a", encoding="ascii") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        self.rows += rows
        self.done |= {self.key_of(row) for row in rows}


def command():
    """As it was given, but for folders, which differ from machine to machine."""
    words, skip = [os.path.relpath(os.path.abspath(sys.argv[0]), ROOT)], False
    for word in sys.argv[1:]:
        if not skip and word not in ("--build", "--out", "--data", "--folder"):
            words.append(word)
        skip = word in ("--build", "--out", "--data", "--folder")
    return shlex.join(words)


def common(build):
    return dict(machine=machine(), version=version(build), command=command())


def head(rows):
    """The lines that say where and when rows come from."""
    first = rows[0]["machine"]
    days = sorted({row["date"][:10] for row in rows})
    loads = [row["load"] for row in rows]
    return (f"{first['cpu']}, {first['cores']} cores, {' '.join(first['features'])}; "
            f"{' to '.join(dict.fromkeys([days[0], days[-1]]))}; "
            f"version {', '.join(dict.fromkeys(row['version'] for row in rows))}; "
            f"load of the machine {min(loads):.0f} to {max(loads):.0f} (median {statistics.median(loads):.0f}).")


def table(columns, lines):
    """Markdown; None is a dash."""
    def cells(line):
        return "| " + " | ".join("–" if c is None else str(c) for c in line) + " |"
    return "\n".join([cells(columns), "|" + "---|" * len(columns)] + [cells(line) for line in lines]) + "\n"


def number(x, digits=3):
    """Three digits that count; all before the point."""
    if x is None:
        return None
    if x == 0:
        return "0"
    whole = len(str(int(abs(x)))) if abs(x) >= 1 else 0
    return f"{x:,.{max(0, digits - whole)}f}"


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def measure(bench, options, key, make, tell):
    """Measures what there are no rows of, unless only the table is wanted, and writes the table of this machine's rows.

    make(options, rows): has all() and close(); tell(rows, source): the text of the table's file; source says where it comes from.
    """
    path = os.path.join(options.out, bench + ("-quick" if options.quick else ""))
    rows = Rows(path + ".jsonl", key, dict(bench=bench, **common(options.build)), options.fresh)
    if not options.only_table:
        work = make(options, rows)
        try:
            work.all()
        except KeyboardInterrupt:
            say("stopped; the same command goes on")
            sys.exit(130)
        finally:
            work.close()
    own = [row for row in rows.rows if row["machine"] == rows.common["machine"]]
    if not own:
        raise SystemExit("bench: there are no rows of this machine yet")
    source = f"Made by `make bench-{bench}{' QUICK=1' if options.quick else ''}`; do not edit. {head(own)}"
    with open(path + ".md.partial", "w", encoding="utf-8") as file:
        file.write(tell(own, source))
    os.replace(path + ".md.partial", path + ".md")
    say(f"the table is {os.path.relpath(path, os.getcwd())}.md")
