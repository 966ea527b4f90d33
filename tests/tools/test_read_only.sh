#!/usr/bin/env bash
# An archive of somebody else, who may be writing to it: a reader without permission for its lock says so only beside a writer.
set -eu
program=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-reader-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() {
    echo "read-only: $*" >&2
    exit 1
}
if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null || ! command -v python3 >/dev/null; then
    echo "only root can try this as another user, with setpriv and python3"
    exit 77
fi
cp "$program" diptych
./diptych simulate a --places 4 --size 32 >/dev/null 2>&1
chmod 755 . && chmod -R go=rX a
as_other() { setpriv --reuid 65534 --regid 65534 --clear-groups ./diptych "$@" >out 2>err; }

as_other info a || fail "info failed: $(cat err)"
grep -q '^tiles *8 of 4 places' out || fail "info said: $(cat out)"
[ ! -s err ] || fail "a reader beside no writer is told: $(cat err)"
as_other info a --verbose || fail "info --verbose failed"
grep -q "reading '.*a/store' without locks: lock.mdb: Permission denied" err || fail "--verbose tells: $(cat err)"
chmod o+w a/store/lock.mdb
as_other info a --verbose
[ ! -s err ] || fail "a reader with permission for the lock is told: $(cat err)"
chmod o-w a/store/lock.mdb
as_other simulate a --places 5 && fail "somebody else's archive was written"
grep -q 'cannot be written: no permission' err || fail "writing said: $(cat err)"

mkfifo release
python3 -c '
import fcntl
lock = open("a/store/writer.lock", "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("held", "w").write("held")
open("release").read()' &
writer=$!
trap 'kill $writer 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    [ ! -s held ] || break
    sleep 0.05
done
as_other info a || fail "info beside a writer failed: $(cat err)"
grep -q "process $writer writes to '.*a/store' and cannot see this reader" err || fail "beside a writer it said: $(cat err)"
echo >release
wait $writer
as_other info a
[ ! -s err ] || fail "once the writer has ended: $(cat err)"
echo "quiet alone, a warning beside a writer"
