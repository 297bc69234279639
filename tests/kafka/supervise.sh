# supervise.sh FOLDER COMMAND... runs COMMAND, its output going to FOLDER/log, for as long
# as somebody holds the other end of standard input: however that process dies, the pipe
# closes, COMMAND is ended and FOLDER removed. A line on standard input kills COMMAND at
# once, as a crash would, and leaves FOLDER.
folder=$1
shift

# A background job loses its standard input; the watcher reads the pipe as 3.
exec 3<&0 </dev/null

"$@" >>"$folder/log" 2>&1 3<&- &
pid=$!

(
	if read -r _ <&3; then
		kill -KILL "$pid"
		exit 0
	fi
	trap '' TERM
	kill -TERM "$pid"
	tenths=0
	while [ "$tenths" -lt 50 ] && kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
		tenths=$((tenths + 1))
	done
	kill -KILL "$pid" 2>/dev/null
	exit 3
) &
watcher=$!

# COMMAND may also have ended by itself: then the watcher still reads, and is not needed.
wait "$pid"
kill -TERM "$watcher" 2>/dev/null
wait "$watcher"
[ $? -ne 3 ] || rm -rf "$folder"
