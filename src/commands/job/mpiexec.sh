# The warning comes to this script; the launcher hands it on to the ranks.
warned=
launched=
trap 'warned=yes; [ -z "$launched" ] || kill -USR1 "$launched" 2>/dev/null' USR1
{% include "command" %} &
launched=$!
# It may have come before the launcher was known.
[ -z "$warned" ] || kill -USR1 "$launched" 2>/dev/null
wait "$launched"
code=$?
# A signal ends the waiting, not the launcher.
while [ "$code" -gt 128 ] && kill -0 "$launched" 2>/dev/null; do
    wait "$launched"
    code=$?
done
{% if not open_mpi %}
# Hydra before 4.1 may end with 0 after it has handed a signal on, whatever the ranks have said.
if [ -n "$warned" ] && [ "$code" -eq 0 ]; then code=75; fi
{% endif %}
