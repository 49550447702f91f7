# The warning comes to this script; the launcher hands it on to the ranks.
trap 'kill -USR1 "$launched" 2>/dev/null' USR1
{% include "command" %} &
launched=$!
wait "$launched"
code=$?
# A signal ends the waiting, not the launcher.
while [ "$code" -gt 128 ] && kill -0 "$launched" 2>/dev/null; do
    wait "$launched"
    code=$?
done
