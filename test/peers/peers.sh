#!/bin/sh
# Measures peers with the requests that `make bench` measures croft with: bench's parts "data" and "large".
#
#	test/peers/peers.sh moto dynalite            those two, started here on a free port and ended afterwards
#	test/peers/peers.sh http://127.0.0.1:9000    whatever serves there; PEER_PID=N adds the processor time of that process
#
# Nothing is installed: moto needs moto_server on the PATH (pip install 'moto[server]'), dynalite needs dynalite (npm install -g dynalite), or DYNALITE=
# with the command that starts it. Rows of services and operations that a peer does not have are said not to be measured. Use a quiet machine.
set -eu
cd "$(dirname "$0")/../.."
ROUNDS=${ROUNDS:-7}
# The floor is croft's own answer.
[ -x bin/croft ] || make build
CGO_ENABLED=0 go build -o bin/bench ./test/bench
pid=
data=$(mktemp -d)
stop() {
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		pid=
	fi
}
trap 'stop; rm -rf "$data"' EXIT
trap 'exit 1' INT TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

await() {
	tries=0
	until curl -s -o /dev/null "$1"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
			echo "$2 does not serve; what it said:" >&2
			tail -n 5 "$data/log" >&2
			exit 1
		fi
		sleep 0.1
	done
}

# measure NAME URL PID
measure() {
	echo "== $1"
	for part in data large; do
		bin/bench -only "$part" -rounds "$ROUNDS" -endpoint "$2" -pid "$3" || echo "$1: part $part was not measured to its end"
	done
}

for peer in "$@"; do
	port=$(free_port)
	case $peer in
	http://* | https://*)
		measure "$peer" "$peer" "${PEER_PID:-0}"
		continue
		;;
	moto) moto_server -H 127.0.0.1 -p "$port" >"$data/log" 2>&1 & ;;
	dynalite) ${DYNALITE:-dynalite} --host 127.0.0.1 --port "$port" --path "$data/dynalite" --createTableMs 0 >"$data/log" 2>&1 & ;;
	*)
		echo "unknown peer $peer: moto, dynalite or a URL" >&2
		exit 1
		;;
	esac
	pid=$!
	await "http://127.0.0.1:$port/" "$peer"
	measure "$peer" "http://127.0.0.1:$port" "$pid"
	stop
done
